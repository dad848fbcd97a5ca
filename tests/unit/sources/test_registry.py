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


class Bursts:
    def __init__(self) -> None:
        raise RuntimeError("no\nlicence")


class Quits:
    def __init__(self) -> None:
        raise SystemExit(1)


class Vague(Ours):
    name = "vague"
    priority = "high"
    publication_lag = 3


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
    assert list(found) == [
        "actions",
        "candles",
        "csv",
        "lean",
        "nse_bhavcopy",
        "nse_delivery",
        "nse_derivatives",
        "nse_indices",
        "nse_ticks",
        "parquet",
    ]
    assert all(isinstance(source, Source) for source in found.values())


def test_a_plug_in_joins_them_and_their_own_entry_points_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ours="ours:Ours", csv="pipelines.sources.csv:CsvSource")
    assert list(registry.load_sources()) == [
        "actions",
        "candles",
        "csv",
        "lean",
        "nse_bhavcopy",
        "nse_delivery",
        "nse_derivatives",
        "nse_indices",
        "nse_ticks",
        "ours",
        "parquet",
    ]
    assert registry.source("ours").claims("x/y.ours")


def test_an_unknown_name_lists_the_known_ones_and_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(
        registry.UnknownSourceError, match=r"unknown source 'leen'; did you mean lean\? Known sources: actions, candles, csv, lean"
    ):
        registry.source("leen")


def test_a_plug_in_that_takes_a_name_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, csv="ours:Ours", ours="ours:Ours")
    found = registry.load_sources()
    assert type(found["csv"]).__name__ == "CsvSource"
    assert "ours" in found
    (error,) = found.broken.values()
    assert "csv = ours:Ours" in str(error)
    assert "the name is taken" in str(error)


def test_of_two_plug_ins_of_one_name_neither_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    points = [EntryPoint("ours", value, registry.GROUP) for value in ("ours:Ours", "ours:Half")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry.load_sources.cache_clear()
    assert "ours" not in registry.load_sources()
    with pytest.raises(registry.SourcePluginError, match="another package brings this name too"):
        registry.source("ours")


@pytest.mark.parametrize(
    ("name", "target", "why"),
    [
        ("half", "ours:Half", "half = ours:Half lacks description, whole_market, priority, publication_lag, parse, claims"),
        ("gone", "no_such_module:Source", "gone = no_such_module:Source cannot be loaded"),
        ("other", "ours:Ours", "calls itself 'ours'"),
        ("bursts", "ours:Bursts", r"bursts = ours:Bursts cannot be loaded \(RuntimeError: no licence\)"),
        ("quits", "ours:Quits", r"quits = ours:Quits cannot be loaded \(SystemExit: 1\)"),
        ("vague", "ours:Vague", "vague = ours:Vague has an unusable priority, publication_lag"),
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
