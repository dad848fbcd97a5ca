"""`marketlake scanners` and `scan` with wrong input: one clear line, exit code 1 (nothing to scan) or 2 (wrong usage)."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.storage.location import Lake
from pipelines.storage.releases import record_release


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def marketlake(home, marketlake: Callable[..., tuple[int, str, str]]) -> Command:
    """The command in this process, on an empty home."""

    def run(*arguments: str) -> Ended:
        return Ended(*marketlake(*arguments))

    return run


def test_scanners_are_listed_with_moments_parameters_and_origin(marketlake: Command) -> None:
    rows = {row["name"]: row for row in json.loads(marketlake("scanners", "--json").out)}

    breakout = rows["breakout_20d"]
    assert (breakout["family"], breakout["evaluates"], breakout["origin"]) == ("breakout", "forming_daily", "built-in")
    assert breakout["parameters"]["volume_factor"]["range"] == [0.0, 100.0]
    shown = marketlake("scanners").out
    assert re.search(r"breakout_20d +breakout +3 +forming_daily +close +volume_factor 1\.5 \(0 … 100 ratio\)", shown)


def test_one_scanner_is_described_and_a_misspelt_one_gets_the_right_one_suggested(marketlake: Command) -> None:
    told = marketlake("scanners", "describe", "breakout_20d")
    assert told.code == 0
    assert re.search(r"rule: +last price \{entry_price\} beyond", told.out)
    assert "stop_atr: 2 (0 … 100 ATR): Distance of the stop from the entry." in told.out

    wrong = marketlake("scanners", "describe", "breakout20")
    assert wrong.code == 2
    assert wrong.err.startswith("error: no scanner 'breakout20'; did you mean 'breakout_")


@pytest.mark.slow
@pytest.mark.measured
def test_a_rule_of_the_file_is_listed_and_a_wrong_one_is_one_line(
    marketlake: Command, home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLAKE_SCANNERS", "scanners.yml")
    path = home.home / "scanners.yml"
    path.write_text("scanners:\n  mine:\n    when: rsi_14 < 30\n    side: BUY\n")
    rows = {row["name"]: row for row in json.loads(marketlake("scanners", "--json").out)}
    assert rows["mine"]["origin"] == str(path)

    path.write_text("scanners:\n  mine:\n    when: rsi14 < 30\n    side: BUY\n")
    told = f"error: {path}:2: mine: when: at position 1 of 'rsi14 < 30': no column 'rsi14'; did you mean rsi_14?"
    for command in ("scanners", "nightly"):
        ended = marketlake(command)
        assert (ended.code, ended.err.splitlines()[-1]) == (2, told)
        assert "Traceback" not in ended.err
    path.write_text("scanners:\n  mine:\n    when: rsi_14 < 30\n    side: BUY\n    universe: liqid\n")
    ended = marketlake("scanners")
    assert ended.code == 2
    assert "unknown universe 'liqid'; did you mean liquid?" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--at", "yesterday"], 2, "--at: 'yesterday' is no moment; write it as 2024-01-31 09:50"),
        (["--at", "2024-02-30 10:00"], 2, "--at: '2024-02-30 10:00' is no moment"),
        (["--at", "25:00"], 2, "--at: '25:00' is no moment"),
        (["--at", "2999-01-01 10:00"], 2, "--at: 2999-01-01 10:00 lies in the future"),
        (["--at", "2999-01-01"], 2, "--at: 2999-01-01 lies in the future"),
        (["--exchange", "XNYX"], 2, "unknown exchange 'XNYX'"),
        (["--universe", "liqid"], 2, "unknown universe 'liqid'; did you mean liquid? Known universes: all, liquid"),
        (["--watchlist", "gone.csv"], 2, "universe or watchlist: cannot read gone.csv: No such file or directory"),
        (["--watchlist", "a", "--universe", "all"], 2, "give either --universe or --watchlist"),
        (["--shortlist", "--universe", "all"], 2, "--shortlist scans its own list and everything"),
        (["--save", "x.csv"], 2, "--save writes the shortlist; add --shortlist"),
        (["--record", "--universe", "liquid"], 2, "--record keeps scans as they are declared"),
        (["--param", "breakout_20d"], 2, "--param: 'breakout_20d' is not SCANNER.NAME=VALUE"),
        (["--at", "2024-01-03 10:00"], 1, "nothing is released for XNYS: run `marketlake nightly --exchange XNYS` first"),
        (["--shortlist"], 1, "nothing is released for XNYS"),
        ([], 1, "nothing is released for XNYS"),
    ],
)
def test_what_cannot_be_scanned_is_told_in_one_line(marketlake: Command, arguments: list[str], code: int, told: str) -> None:
    ended = marketlake("scan", *arguments)
    assert ended.code == code
    lines = [line for line in ended.err.splitlines() if not line.startswith("scanning")]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {told}")
    assert ended.out == ""


def test_where_only_another_exchange_is_released_it_is_named(marketlake: Command, home) -> None:
    record_release(Lake.from_settings(home), "XNSE", {"bars_daily": 1}, code_version="1", config={}, sessions=[])

    told = "run `marketlake nightly --exchange XNYS` first, or look at what is there with --exchange XNSE"
    assert marketlake("scan").err.splitlines()[-1] == f"error: nothing is released for XNYS: {told}"


def test_a_clock_time_is_today_and_a_day_is_its_close_by_the_exchanges_clock() -> None:
    from pipelines.cli.scan import _moment
    from pipelines.market.exchanges import exchange

    venue = exchange("XNSE")
    now = datetime(2024, 3, 4, 6, 0, tzinfo=UTC)  # 11:30 in Mumbai

    assert _moment("09:50", venue, now) == datetime(2024, 3, 4, 4, 20, tzinfo=UTC)
    assert _moment("2024-03-01 15:30", venue, now) == datetime(2024, 3, 1, 10, 0, tzinfo=UTC)
    assert _moment("2024-03-01", venue, now) == datetime(2024, 3, 1, 18, 29, tzinfo=UTC)
    assert _moment("2024-03-01T10:00:00+00:00", venue, now) == datetime(2024, 3, 1, 10, 0, tzinfo=UTC)
    assert _moment("2024-03-04", venue, now) == now
    assert _moment(None, venue, now) == now


def test_signals_stand_by_falling_score_and_top_keeps_the_first(marketlake: Command) -> None:
    from pipelines.cli.scan_run import _scan_content
    from pipelines.scanners.engine.runner import ScanResult
    from pipelines.scanners.project import HomeProject
    from pipelines.scanners.registry import CompiledScanners

    at = datetime(2024, 3, 1, 10, 0, tzinfo=UTC)
    rows = [("a", "X", at, "1", 0.2), ("b", "Z", at, "2", 0.9), ("b", "Y", at, "3", 0.9), ("a", "Z", at, "4", 0.5)]
    columns = ["scanner_name", "symbol", "ts", "signal_id", "confidence_score"]
    found = ScanResult(pl.DataFrame(rows, columns, orient="row"), pl.DataFrame(schema={"scanner_name": pl.String}))
    declared = HomeProject.from_settings(Settings()).declared_scanners()
    whole, best = (_scan_content(None, found, CompiledScanners(declared, {}), most) for most in (None, 2))

    assert [row["signal_id"] for row in whole["signals"]] == ["3", "2", "4", "1"]
    assert ([row["signal_id"] for row in best["signals"]], best["signals_total"]) == (["3", "2"], 4)


def test_relative_volume_says_what_its_price_confirmation_is_and_how_to_choose_it(marketlake: Command) -> None:
    told = " ".join(marketlake("scanners", "describe", "relative_volume").out.split())
    assert "above both the previous session's official close and today's open, SELL when below both" in told
    assert "confirmation: close_and_open (close_and_open or close or open): What the last price must stand beyond." in told
