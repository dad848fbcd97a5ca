"""A signal explained: its rule with its numbers, what it stands on, where that came from; and one clear line for a wrong id."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.market.tables.scanning import SCANNER_SIGNALS
from pipelines.scanners.registry import CompiledScanners, load_scanners
from pipelines.scanners.signal_ids import parameters_hash, signal_id
from pipelines.scanners.signal_provenance import UnknownSignalError, explain_signal, find_signal, in_words, rule_fields
from pipelines.storage.upsert import append_new

MIC = "XNYS"
SESSIONS = calendar(MIC).between(date(2024, 1, 2), date(2024, 2, 2))
SESSION = SESSIONS[-1]
DETAILS = {
    "level": 109.5,
    "sessions_missing": 0,
    "volume": 9000,
    "volume_ratio": 3.0,
    "atr_14": 1.25,
    "distance_atr": 0.4,
    "volume_score": 1.0,
}
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def shipped(dbt_manifest) -> CompiledScanners:
    return load_scanners(dbt_manifest / "manifest.json")


def a_signal(parameters: str, symbol: str = "AAPL", **changed: object) -> dict[str, object]:
    told = ("breakout_20d", 3, parameters, f"{MIC}:{symbol}", SESSION.session_date, SESSION.closes_at, "BUY")
    return {
        "signal_id": signal_id(*told),
        "scanner_name": told[0],
        "scanner_version": told[1],
        "exchange": MIC,
        "instrument_id": told[3],
        "symbol": symbol,
        "session_date": told[4],
        "ts": told[5],
        "timeframe": "1d",
        "signal_type": "BUY",
        "entry_price": 110.0,
        "target_price": 113.75,
        "stop_loss": 107.5,
        "confidence_score": 0.7,
        "details": json.dumps(DETAILS),
        "superseded_by": None,
        "known_at": told[5],
        "session_year": 2024,
    } | changed


def store(pipeline, table: str, *rows: dict[str, object], **more: object) -> None:
    schema = TABLES[table]
    frame = pl.DataFrame([row | more for row in rows], schema_overrides={"superseded_by": pl.String})
    append_new(pipeline.lake, MIC, schema, frame.select(schema.names), {})


@pytest.fixture
def market(dagster_pipeline, bars_csv, shipped):
    """Bars of two instruments from one csv, and today's parameters' hash."""
    rows = [(s, day.session_date, 100, 110, 99, 110, 3000) for day in SESSIONS for s in ("AAPL", "IBM")]
    dagster_pipeline.ingest(dagster_pipeline.deliver("prices.csv", bars_csv(rows)))
    return dagster_pipeline


@pytest.fixture
def default(shipped: CompiledScanners) -> str:
    return parameters_hash(shipped.scanner("breakout_20d").values())


@pytest.fixture
def marketlake(market, marketlake: Command) -> Command:
    return marketlake


def test_the_ids_of_a_build_follow_from_the_defaults(build, compiled: CompiledScanners) -> None:
    rows = build.rows("from marts.scanner_signals")
    assert rows.height
    for row in rows.iter_rows(named=True):
        told = parameters_hash(compiled.scanner(row["scanner_name"]).values())
        key = (row["scanner_name"], row["scanner_version"], told, row["instrument_id"], row["session_date"], row["ts"])
        assert signal_id(*key, row["signal_type"]) == row["signal_id"]


def test_numbers_are_spelled_as_the_mart_spells_them() -> None:
    """By name, numbers as DuckDB casts a DOUBLE."""
    assert parameters_hash({"y": 2.0, "b": "word", "x": 1e-7}) == hashlib.sha256(b"b=word;x=1e-07;y=2.0").hexdigest()
    assert parameters_hash({}) == ""


def details_of(sql: str) -> set[str]:
    """Keys of the JSON that a compiled scanner writes into `details`."""
    return {
        key
        for block in re.findall(r"json_object\((.*?)\) as varchar", sql, re.DOTALL)
        for key in re.findall(r"^\s*'(\w+)',", block, re.MULTILINE)
    }


def test_every_rule_names_only_fields_that_its_signals_have(shipped: CompiledScanners) -> None:
    unknown = {}
    for name, scanner in shipped.scanners.items():
        told = details_of(shipped.models[scanner.relation].sql)
        assert told, name
        assert rule_fields(scanner.rule), f"{name}: its rule names no number"
        unknown[name] = [field for field in rule_fields(scanner.rule) if field not in {*told, *SCANNER_SIGNALS.names}]
    assert {name: fields for name, fields in unknown.items() if fields} == {}


def test_a_rule_with_a_wrong_field_would_be_seen(shipped: CompiledScanners) -> None:
    told = details_of(shipped.models["scanners.breakout_20d"].sql)
    assert told == set(DETAILS)
    assert [field for field in rule_fields("last {entry_price} above {levle}") if field not in {*told, *SCANNER_SIGNALS.names}] == [
        "levle"
    ]


def test_the_rule_is_told_with_the_numbers_of_the_signal() -> None:
    row = {"entry_price": 110.0, "details": '{"level": 109.5, "names": ["a", "b"], "none": null}'}
    told = in_words("{entry_price} over {level} by {names}; {none}, {gone}", row)
    assert told == "110 over 109.5 by a, b; {none}, {gone}"


def test_a_signal_is_followed_to_its_bars_files_rows_and_checks(market, shipped: CompiledScanners, default: str) -> None:
    signal = a_signal(default)
    store(market, "scanner_signals", signal, a_signal(default, "IBM"))
    found = explain_signal(market.lake, find_signal(market.lake, [MIC], str(signal["signal_id"])[:12]), shipped)
    assert found["standing"] == "current"
    assert found["rule"].startswith("last price 110 beyond 109.5, the extreme of the 20 regular sessions before, on 3 times")
    assert found["parameters"] == {"volume_factor": 1.5, "stop_atr": 2.0, "target_atr": 3.0, "missing_pct": 2.0}
    assert found["look_back"] == "20 regular sessions before 2024-02-02"
    # Row 1 is the header, then two rows a session: the session's own and the 20 before it.
    days = [s.session_date for s in SESSIONS][::-1][:21]
    assert [(bar["session_date"], bar["row_number"]) for bar in found["bars"]] == [
        (day, 2 + 2 * (len(SESSIONS) - 1 - back)) for back, day in enumerate(days)
    ]
    (file,) = found["raw_files"]
    assert (file["name"], file["rows"], file["last_row"]) == ("prices.csv", 21, 2 * len(SESSIONS))
    assert len(file["content_hash"]) == 64
    assert found["checks"]["line"] == "AAPL,2024-02-02,100,110,99,110,3000"
    assert "high_below_low" in found["checks"]["row_rules"]
    assert found["release"]["first"].startswith("none yet")
    assert found["minutes"] == []


def test_what_does_not_follow_from_the_defaults_is_told(market, shipped: CompiledScanners) -> None:
    signal = a_signal("another hash", scanner_version=1)
    store(market, "scanner_signals", signal)
    found = explain_signal(market.lake, find_signal(market.lake, [MIC], str(signal["signal_id"])), shipped)
    assert found["parameters"].startswith("other values than the defaults")
    assert found["rule_version"] == "1; the rule shown here is that of version 3"


def test_live_and_withdrawn_signals_are_found_and_say_so(market, shipped: CompiledScanners, default: str) -> None:
    live, gone = a_signal(default), a_signal(default, "IBM")
    store(market, "signals_live", live, mode="live", run_key="k")
    at = datetime.fromisoformat("2024-03-01T12:00:00+00:00")
    store(market, "scanner_signals_superseded", gone, superseded_at=at, superseded_by_batch="build:1")
    told = [
        explain_signal(market.lake, find_signal(market.lake, [MIC], str(s["signal_id"])), shipped)["standing"] for s in (live, gone)
    ]
    assert told == ["issued live; no nightly build has it", "superseded: a later build withdrew it (2024-03-01 12:00 UTC)"]


@pytest.mark.slow
@pytest.mark.measured
def test_before_the_close_a_signal_stands_on_minutes_that_had_ended(market, bars_csv, shipped: CompiledScanners) -> None:
    opened = SESSION.opens_at
    rows = [("AAPL", (opened + timedelta(minutes=m)).strftime("%Y-%m-%d %H:%M:%S+00:00"), 100, 101, 99, 100, 10) for m in range(6)]
    market.ingest(market.deliver("minutes.csv", bars_csv(rows)))
    at = opened + timedelta(minutes=4)
    signal = a_signal("x", ts=at, known_at=at, signal_id="f" * 64)
    store(market, "scanner_signals", signal)
    found = explain_signal(market.lake, find_signal(market.lake, [MIC], "ffff"), shipped)
    assert [row["ts"] for row in found["minutes"]] == [opened + timedelta(minutes=m) for m in (3, 2, 1, 0)]
    assert found["bars"][0]["session_date"] == SESSIONS[-2].session_date
    assert sorted(file["name"] for file in found["raw_files"]) == ["minutes.csv", "prices.csv"]


def test_an_unknown_id_and_one_that_fits_several_are_told_in_one_line(market, default: str) -> None:
    store(market, "scanner_signals", a_signal("x", signal_id="ab1" + "0" * 61), a_signal("y", "IBM", signal_id="ab2" + "0" * 61))
    with pytest.raises(UnknownSignalError, match="no signal of XNYS begins with 'feed'"):
        find_signal(market.lake, [MIC], "feed")
    with pytest.raises(UnknownSignalError, match="2 signals begin with 'ab'"):
        find_signal(market.lake, [MIC], "ab")
    assert find_signal(market.lake, [MIC], " AB1").row["symbol"] == "AAPL"


def test_the_command_prints_it_for_people_and_for_machines(market, marketlake: Command, default: str) -> None:
    signal = a_signal(default)
    store(market, "scanner_signals", signal)
    code, out, err = marketlake("explain", str(signal["signal_id"])[:10])
    assert (code, err) == (0, "")
    assert "last price 110 beyond 109.5" in out
    assert "bars: 21, newest first (5 shown; --json has all)" in out
    code, out, _ = marketlake("explain", str(signal["signal_id"]), "--json")
    assert (code, len(json.loads(out)["bars"])) == (0, 21)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["explain", "feedface"], 1, "no signal of XNYS begins with 'feedface'"),
        (["explain", ""], 1, "no signal of XNYS begins with ''"),
        (["explain", "bars_daily"], 2, "a bar is named by table, instrument and moment"),
        (["explain", "bars_daily", "AAPL"], 2, "a bar is named by table, instrument and moment"),
    ],
)
def test_wrong_input_is_one_clear_line(marketlake: Command, arguments: list[str], code: int, message: str) -> None:
    ended, out, err = marketlake(*arguments)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert message in err
