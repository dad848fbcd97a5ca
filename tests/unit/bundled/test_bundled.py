"""The data shipped with the package."""

from __future__ import annotations

from pipelines.bundled import bundled_folder


def test_it_is_small_and_every_folder_is_named_in_the_notice() -> None:
    folder = bundled_folder()
    files = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in files) < 2_000_000
    notice = (folder / "NOTICE.md").read_text()
    homes = {p.parent.relative_to(folder) for p in files} - {folder.relative_to(folder)}
    for home in homes:
        known = [str(part) for part in (home, *home.parents)]
        assert any(f"`{name}`" in notice for name in known), f"{home} is not in NOTICE.md"


def test_no_quotes_are_shipped() -> None:
    assert not list(bundled_folder().rglob("*_quote.zip"))
