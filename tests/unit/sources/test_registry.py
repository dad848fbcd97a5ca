"""Finding sources by name, plug-ins included."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pipelines.sources import registry
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, Source


class Ours:
    name = "ours"
    description = "a plug-in"
    whole_market = True
    priority = 5
    publication_lag = timedelta(hours=1)

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        return []

    def claims(self, name: str) -> bool:
        return Path(name).suffix == ".ours"


class Half:
    name = "half"


def install(monkeypatch: pytest.MonkeyPatch, **targets: str) -> None:
    points = [EntryPoint(name, value, registry.GROUP) for name, value in targets.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.GROUP else [])
    monkeypatch.setattr(
        registry, "import_module", lambda name: __import__("sys").modules[__name__] if name == "ours" else _import(name)
    )
    registry.load_sources.cache_clear()


def _import(name: str) -> object:
    import importlib

    return importlib.import_module(name)


@pytest.fixture(autouse=True)
def _forget() -> object:
    yield
    registry.load_sources.cache_clear()


def test_the_built_in_sources_are_there_without_an_installed_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    found = registry.load_sources()
    assert list(found) == ["actions", "csv", "lean", "nse_bhavcopy", "nse_ticks", "parquet"]
    assert all(isinstance(source, Source) for source in found.values())


def test_a_plug_in_joins_them_and_their_own_entry_points_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ours="ours:Ours", csv="pipelines.sources.csv:CsvSource")
    assert list(registry.load_sources()) == ["actions", "csv", "lean", "nse_bhavcopy", "nse_ticks", "ours", "parquet"]
    assert registry.source("ours").claims("x/y.ours")


def test_an_unknown_name_lists_the_known_ones_and_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(
        registry.UnknownSourceError, match=r"unknown source 'leen'; did you mean lean\? Known sources: actions, csv, lean"
    ):
        registry.source("leen")


def test_a_plug_in_that_takes_a_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, csv="ours:Ours")
    with pytest.raises(registry.SourcePluginError, match=r"csv = ours:Ours .* the name is taken"):
        registry.load_sources()


@pytest.mark.parametrize(
    ("name", "target", "why"),
    [
        ("half", "ours:Half", "half = ours:Half lacks description, whole_market, priority, publication_lag, parse, claims"),
        ("gone", "no_such_module:Source", "gone = no_such_module:Source cannot be loaded"),
        ("other", "ours:Ours", "calls itself 'ours'"),
    ],
)
def test_a_broken_plug_in_stops_only_those_who_ask_for_it(
    name: str, target: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, ours="ours:Ours", **{name: target})
    found = registry.load_sources()
    assert {"csv", "lean", "ours"} <= set(found)
    assert name not in found
    with pytest.raises(registry.SourcePluginError, match=why):
        registry.source(name)
    with pytest.raises(registry.SourcePluginError, match=why):
        found[name]
