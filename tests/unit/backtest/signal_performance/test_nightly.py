"""The nightly track record on a lake: what a night finds anew is what a full run finds."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.backtest.signal_performance import update
from pipelines.backtest.signal_performance.performance import ScannerId
from pipelines.backtest.signal_performance.update import update_track_record
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.step_records import StepRecord
from pipelines.storage.upsert import replace_rows

MIC = "XNYS"
SESSIONS = calendar(MIC).between(date(2023, 9, 1), date(2024, 2, 29))
SCANNERS = {"s": ScannerId(1, "hash")}


def record_of(pipeline, mic: str) -> StepRecord:
    return StepRecord.of(pipeline.settings.state_dir, mic, "scanner_performance")


def bars() -> pl.DataFrame:
    """Random walks of five instruments; C halves by a split, D leaves the market, E is halted for thirteen sessions."""
    draw = np.random.Generator(np.random.PCG64(7))
    rows = []
    for name in "ABCDE":
        price = 100.0
        for number, session in enumerate(SESSIONS):
            price *= float(1 + draw.normal(0, 0.02)) * (0.5 if name == "C" and number == 60 else 1)
            low, high = price * (1 - abs(draw.normal(0, 0.01))), price * (1 + abs(draw.normal(0, 0.01)))
            if (name != "D" or number < 80) and (name != "E" or not 85 <= number < 98):
                rows.append(
                    (f"{MIC}:{name}", session.session_date, round(price, 2), round(high, 2), round(low, 2), round(price, 2))
                )
    schema = ["instrument_id", "session_date", "open", "high", "low", "close"]
    return filled("bars_daily", pl.DataFrame(rows, schema=schema, orient="row"))


def signals(frame: pl.DataFrame) -> pl.DataFrame:
    """A signal of every third bar, stop and target 4 % away."""
    chosen = frame.gather_every(3).with_row_index("n")
    closes = calendar(MIC).frame().select("session_date", ts="closes_at")
    side = pl.when(pl.col("n") % 2 == 0).then(pl.lit("BUY")).otherwise(pl.lit("SELL"))
    sign = pl.when(pl.col("n") % 2 == 0).then(1).otherwise(-1)
    rows = chosen.join(closes, on="session_date").select(
        "instrument_id",
        "session_date",
        "ts",
        signal_id=pl.format("{}-{}", "instrument_id", "session_date"),
        scanner_name=pl.lit("s"),
        known_at="ts",
        signal_type=side,
        entry_price="close",
        stop_loss=(pl.col("close") * (1 - 0.04 * sign)).round(4),
        target_price=(pl.col("close") * (1 + 0.04 * sign)).round(4),
    )
    return filled("scanner_signals", rows)


def filled(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of a table: what is not told is the exchange, the year, or some value of its type."""
    schema = empty_frame(TABLES[table]).schema
    made = rows.with_columns(exchange=pl.lit(MIC), session_year=pl.col("session_date").dt.year())
    defaults = {pl.String: "x", pl.Int64: 1, pl.Float64: 1.0}
    optional = {c.name for c in TABLES[table].columns if c.nullable}
    for name, kind in schema.items():
        if name not in made.columns:
            value = None if name in optional else defaults.get(type(kind) if not isinstance(kind, type) else kind, 1)
            made = made.with_columns(pl.lit(value).alias(name))
    return made.select(list(schema)).cast(dict(schema))


BARS = bars()
SIGNALS = signals(BARS)
SPLIT = filled(
    "corporate_actions",
    pl.DataFrame(
        {"instrument_id": [f"{MIC}:C"], "ex_date": [SESSIONS[60].session_date], "action": ["split"], "ratio": [2.0]}
    ).with_columns(session_date="ex_date"),
)


@pytest.fixture
def night(pipeline):
    """Store bars and signals up to a session (signals of any version), then update the track record."""

    def run(
        last: date, touched: tuple[date, date] | None, frame: pl.DataFrame = BARS, told: pl.DataFrame = SIGNALS, bps: float = 5.0
    ):
        upto = pl.col("session_date") <= last
        versions = {}
        frames = {"bars_daily": frame.filter(upto), "scanner_signals": told.filter(upto), "corporate_actions": SPLIT}
        for name, rows in frames.items():
            everything = sorted(rows["session_year"].unique()) if "session_year" in rows.columns else None
            version = replace_rows(
                pipeline.lake, MIC, TABLES[name], rows, lambda stored: pl.Series([True] * stored.height), everything, {}
            )
            assert version is not None
            versions[name] = version
        return update_track_record(
            pipeline.lake, MIC, versions, touched, SCANNERS, record=record_of(pipeline, MIC), costs=CostSettings(bps)
        )

    return run


def stored(pipeline) -> tuple[pl.DataFrame, pl.DataFrame]:
    return tuple(pipeline.rows(name).sort(TABLES[name].key) for name in ("signal_outcomes", "scanner_performance"))


def day(number: int) -> date:
    return SESSIONS[number].session_date


@pytest.mark.slow
@pytest.mark.measured
def test_night_by_night_equals_all_at_once(pipeline, night) -> None:
    """A first build, one new session, a jump into a halt, one out of it, and the rest: then everything anew."""
    steps = [
        (70, None),
        (71, (day(71), day(71))),
        (90, (day(72), day(90))),
        (97, (day(91), day(97))),
        (101, (day(98), day(101))),
        (len(SESSIONS) - 1, (day(102), day(len(SESSIONS) - 1))),
    ]
    for last, touched in steps:
        night(day(last), touched)
    by_night = stored(pipeline)
    waited = by_night[0].filter((pl.col("instrument_id") == f"{MIC}:E") & (pl.col("exit_ts").dt.date() == day(98)))
    assert waited.filter(pl.col("horizon") == "5").height > 0
    assert set(by_night[0].filter(pl.col("exit_reason") == "cash_out")["instrument_id"]) == {f"{MIC}:D"}
    everything = night(day(len(SESSIONS) - 1), (day(0), day(len(SESSIONS) - 1)))
    assert everything.outcomes == by_night[0].height == 5 * SIGNALS.height
    assert all(before.equals(after) for before, after in zip(by_night, stored(pipeline), strict=True))


def test_a_quiet_night_finds_nothing_and_an_ordinary_one_only_what_may_differ(night) -> None:
    first = night(day(100), None)
    assert (first.since, first.outcomes) == (None, 5 * SIGNALS.filter(pl.col("session_date") <= day(100)).height)
    quiet = night(day(100), None)
    assert (quiet.outcomes, quiet.versions) == (0, first.versions)
    ordinary = night(day(101), (day(101), day(101)))
    assert ordinary.since is not None
    assert 0 < ordinary.outcomes < first.outcomes / 2
    assert (date.fromisoformat(str(ordinary.since)) - day(101)).days > -40


def test_a_withdrawn_signal_takes_its_outcomes_along(pipeline, night) -> None:
    night(day(100), None)
    gone = SIGNALS.filter(pl.col("session_date") != day(99))
    night(day(100), (day(99), day(100)), told=gone)
    assert pipeline.rows("signal_outcomes").filter(pl.col("session_date") == day(99)).is_empty()


def test_other_costs_are_counted_at_once(pipeline, night) -> None:
    night(day(100), None)
    cheap = stored(pipeline)[0]
    night(day(100), None, bps=50.0)
    dear = stored(pipeline)[0]
    more, gross = (cheap["net_return"] - dear["net_return"]).drop_nulls(), dear["gross_return"].drop_nulls()
    ratio = 1 + gross * dear.filter(pl.col("gross_return").is_not_null())["side"].replace_strict({"BUY": 1, "SELL": -1})
    assert more.len() > 100
    assert (more - 0.0045 * (1 + ratio)).abs().max() < 1e-12  # 45 more basis points on each side, the exit's on its own value


def test_what_an_instrument_is_charged_by_follows_when_its_isin_becomes_known(pipeline) -> None:
    """A ticker that no list names counts as a share until an ISIN says that it is a fund: its outcomes are found anew."""
    mic, days = "XNSE", [s.session_date for s in calendar("XNSE").between(date(2025, 1, 1), date(2025, 1, 31))]
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0)
    bars = filled("bars_daily", pl.DataFrame({"session_date": days, "instrument_id": "XNSE:F", **prices}))
    instrument = pl.DataFrame({"session_date": days[:1], "instrument_id": "XNSE:F", "symbol": "F", "valid_from": days[:1]})

    def night(isin: str | None, touched: tuple[date, date] | None) -> tuple[int, pl.DataFrame]:
        rows = filled("instruments", instrument.with_columns(isin=pl.lit(isin, pl.String)))
        frames = {"bars_daily": bars, "scanner_signals": signals(bars).with_columns(exchange=pl.lit(mic)), "instruments": rows}
        versions = {}
        for name, frame in frames.items():
            years = sorted(frame["session_year"].unique()) if "session_year" in frame.columns else None
            replace_rows(pipeline.lake, mic, TABLES[name], frame, lambda stored: pl.Series([True] * stored.height), years, {})
            versions[name] = LakeTable(pipeline.lake.table_uri(mic, name), TABLES[name]).version()
        record = record_of(pipeline, mic)
        found = update_track_record(pipeline.lake, mic, versions, touched, SCANNERS, record=record, costs=CostSettings()).outcomes
        table = TABLES["signal_outcomes"]
        return found, LakeTable(pipeline.lake.table_uri(mic, table.name), table).read().sort(table.key)

    (_, share), (found, fund), (none, same) = night(None, None), night("INF000000000", None), night("INF000000000", None)
    assert (share["cost_class"].unique().to_list(), fund["cost_class"].unique().to_list()) == (["equity"], ["equity_fund"])
    share_paid, fund_paid = (rows.filter(pl.col("horizon") == "5")["costs"].drop_nulls() for rows in (share, fund))
    assert share_paid.len() > 0
    assert (share_paid > fund_paid).all()
    assert (found, none) == (fund.height, 0)
    assert same.equals(fund)


def test_the_settings_of_fills_reach_the_outcomes(pipeline) -> None:
    """L trades at one price a day long, 2 % down, which is locked or not; a month later it is delisted. G goes on."""
    mic = "XNSE"
    days = [s.session_date for s in calendar(mic).between(date(2025, 1, 1), date(2025, 3, 31))]
    prices = [100.0] * 6 + [98.0] + [97.0] * 33
    lows = [price - 1 if number != 6 else price for number, price in enumerate(prices)]
    share = pl.DataFrame({"session_date": days[:40], "instrument_id": f"{mic}:L", "open": prices, "high": prices, "low": lows})
    other = pl.DataFrame({"session_date": days, "instrument_id": f"{mic}:G"}).with_columns(open=100.0, high=100.0, low=99.0)
    told = filled("bars_daily", pl.concat([share, other]).with_columns(close="open", series=pl.lit("EQ")))
    bars = told.with_columns(exchange=pl.lit(mic))
    chosen = signals(bars.filter(pl.col("instrument_id") == f"{mic}:L")).filter(pl.col("session_date").is_in([days[3], days[33]]))
    chosen = chosen.with_columns(exchange=pl.lit(mic), signal_type=pl.lit("BUY"), target_price=None)
    chosen = chosen.with_columns(stop_loss=pl.when(pl.col("session_date") == days[3]).then(98.5).otherwise(40.0))
    gone = pl.DataFrame({"session_date": days[40:41], "instrument_id": f"{mic}:L", "ex_date": days[40:41], "action": "delisting"})

    def exits(fills: FillRules) -> list[tuple[str, float]]:
        versions = {}
        frames = {"bars_daily": bars, "scanner_signals": chosen, "corporate_actions": filled("corporate_actions", gone)}
        for name, frame in frames.items():
            years = sorted(frame["session_year"].unique()) if "session_year" in frame.columns else None
            replace_rows(pipeline.lake, mic, TABLES[name], frame, lambda stored: pl.Series([True] * stored.height), years, {})
            versions[name] = LakeTable(pipeline.lake.table_uri(mic, name), TABLES[name]).version()
        record = record_of(pipeline, mic)
        update_track_record(pipeline.lake, mic, versions, None, SCANNERS, record=record, costs=CostSettings(), fills=fills)
        table = TABLES["signal_outcomes"]
        found = LakeTable(pipeline.lake.table_uri(mic, table.name), table).read().filter(pl.col("horizon") == "stop_target")
        return found.sort("session_date").select("exit_reason", "exit_price").rows()

    assert exits(FillRules(locked_move=0.015, delisting_haircut=0.3)) == [("stop", 97.0), ("cash_out", pytest.approx(0.7 * 97))]
    assert exits(FillRules(locked_move=0.05, delisting_haircut=0.5)) == [("stop", 98.0), ("cash_out", pytest.approx(0.5 * 97))]


def test_figures_are_counted_again_only_where_something_they_follow_from_changed(pipeline, night, monkeypatch) -> None:
    night(day(70), None)
    first = stored(pipeline)
    counted: list[int] = []
    honest = update.scanner_performance
    monkeypatch.setattr(update, "scanner_performance", lambda rows, *rest: counted.append(rows.height) or honest(rows, *rest))
    again = night(day(70), None)
    assert counted == []
    assert again.performance.sort(TABLES["scanner_performance"].key).equals(first[1])
    # Of the same outcomes under another version of the code the figures may be others.
    monkeypatch.setattr(update, "code_version", lambda: "another")
    night(day(70), None)
    assert len(counted) == 1
    # They were the same, and no version of the table could say what they were counted from.
    night(day(70), None)
    assert len(counted) == 1
    night(day(71), (day(71), day(71)))
    assert len(counted) == 2
