"""Settings come from the environment and `.env` of the working directory, typed, and say which one is wrong."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.settings import Settings


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without any setting."""
    import os

    for name in [n for n in os.environ if n.startswith("MARKETLAKE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_setting_the_home_is_the_working_directory_and_mumbai_comes_first(bare: Path) -> None:
    settings = Settings()
    assert settings.home == bare
    assert settings.exchanges == ("XNSE", "XNYS")
    assert settings.lake_root == str(bare / "lake")
    assert settings.catalogue_link == bare / "marketlake.duckdb"
    assert settings.state_dir == bare / ".state"
    assert settings.inbox_dir == bare / "inbox"


def test_the_environment_wins_over_the_file(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / ".env").write_text("MARKETLAKE_EXCHANGES=XLON\nMARKETLAKE_WAIT_SECONDS=5\nUNRELATED=1\n")
    monkeypatch.setenv("MARKETLAKE_EXCHANGES", " XNYS , XNSE,")
    settings = Settings()
    assert settings.exchanges == ("XNYS", "XNSE")
    assert settings.lock_wait.total_seconds() == 5


def test_a_lake_elsewhere_does_not_move_the_home(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETLAKE_LAKE_URI", "s3://bars/lake")
    monkeypatch.setenv("MARKETLAKE_HOME", "desk")
    settings = Settings()
    assert (settings.lake_root, settings.home) == ("s3://bars/lake", bare / "desk")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXCHANGES", " , "),
        ("WAIT_SECONDS", "-1"),
        ("BACKTEST_CASH", "0"),
        ("KEEP_CATALOGUES_DAYS", "0"),
        ("BACKTEST_COST_BPS", "x"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(bare: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"MARKETLAKE_{name}", value)
    with pytest.raises(ValidationError) as error:
        Settings()
    assert [e["loc"] for e in error.value.errors()] == [(name.lower(),)]


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    named = set(re.findall(r"^#?\s*MARKETLAKE_(\w+)=", example, re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    default = Settings(_env_file=None)
    for name in ("INDICATORS", "INBOX", "LAKE_URI"):
        monkeypatch.setenv(f"MARKETLAKE_{name}", "")
    assert Settings(_env_file=None) == default


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MARKETLAKE_WAIT_SECONDS=1\nMARKETLAKE_WAIT_SECONDS=2\n", r"\.env:2: MARKETLAKE_WAIT_SECONDS is set in line 1 already"),
        (
            "# mine\nMARKETLAKE_SCANERS=rules.yml\n",
            r"\.env:2: MARKETLAKE_SCANERS is no setting; did you mean MARKETLAKE_SCANNERS\?",
        ),
        ("MARKETLAKE_HOME\n", r"\.env:1: MARKETLAKE_HOME has no value"),
        ("MARKETLAKE_HOME=/tmp/\x1b[31m\n", r"\.env:1: MARKETLAKE_HOME holds a control character: '/tmp/\\x1b"),
        ("export MARKETLAKE_LIQUID_VALUE=1\nOTHER\nOTHER=1\nOTHER=2\n", ""),
    ],
)
def test_a_slip_in_the_file_is_told_with_its_line(bare: Path, text: str, told: str) -> None:
    from pipelines.cli.options import check_settings_file
    from pipelines.user_files import UserFileError

    (bare / ".env").write_text(text)
    if not told:
        check_settings_file()
        return
    with pytest.raises(UserFileError, match=told):
        check_settings_file()


@pytest.mark.parametrize("value", ["inf", "nan", "-1", "9" * 5_000, "x"])
def test_a_wrong_value_is_told_with_the_line_it_comes_from(bare: Path, value: str) -> None:
    from pipelines.cli.options import setting_problems

    (bare / ".env").write_text(f"\nMARKETLAKE_LIQUID_VALUE={value}\n")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert setting_problems(caught.value).startswith(".env:2: MARKETLAKE_LIQUID_VALUE: ")
    assert "\n" not in setting_problems(caught.value)


def test_a_settings_file_that_is_no_text_is_one_line(bare: Path) -> None:
    from pipelines.cli.options import check_settings_file
    from pipelines.user_files import UserFileError

    (bare / ".env").write_bytes(b"MARKETLAKE_HOME=caf\xe9\n")
    with pytest.raises(UserFileError, match=r"\.env:1: .* is not UTF-8 text"):
        check_settings_file()


def test_what_a_home_sets_of_costs_and_fills_reaches_backtest_and_track_record(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.backtest.exchange_costs import CostSettings
    from pipelines.backtest.rules import FillRules
    from pipelines.orchestration.resources import MarketlakeResource

    costs = {"COST_BPS": 7, "DEPOSITORY_CHARGE": 20, "STATE_STAMP_BPS": 0.5, "BEFORE_COST_TABLE": "refuse", "VOLUME_SHARE": 0.2}
    chosen = {f"BACKTEST_{name}": value for name, value in costs.items()} | {"LOCKED_MOVE": 0.03, "DELISTING_HAIRCUT": 0.5}
    for name, value in chosen.items():
        monkeypatch.setenv(f"MARKETLAKE_{name}", str(value))
    given = MarketlakeResource.from_settings(Settings())
    assert given.costs == CostSettings(7.0, 20.0, 0.5, "refuse")
    assert given.fill_rules == FillRules(0.2, 0.03, 0.5)
