"""What becomes known late: however it arrives, the next nightly run publishes what a full build of the same lake would.

The tables compared are those of the registry, so that one added later is held to it as well.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.market.tables import TABLES
from tests.support.indicator_tables import INDICATOR_TABLES

pytestmark = pytest.mark.slow

#: What is written by deliveries, by people and by live scans: the input of a build, not its result.
GIVEN = {
    *("bars_daily", "bars_1m", "bars_1m_extended", "bars_other_series", "bars_1m_live"),
    *("corporate_actions", "instruments", "instrument_aliases", "raw_files", "quarantine", "signals_live", "sessions"),
}
#: Records of what was published before, which a single build has no part in.
RECORDS = {"releases", "scanner_signals_superseded"}
BUILT = sorted({*TABLES, *INDICATOR_TABLES} - GIVEN - RECORDS - {name for name in TABLES if name.endswith("_superseded")})

LAST_OF_GONE, DELISTED = date(2014, 5, 20), date(2014, 5, 27)
RENAMED = date(2014, 4, 1)
#: Sessions without a bar of the share that is renamed: one under either ticker.
SILENT = (date(2014, 2, 12), date(2014, 5, 14))
RESTATED = date(2014, 5, 22)
ACTIONS = "symbol,ex_date,action,ratio,successor"


@pytest.fixture(scope="module")
def known(based_home: Any, tape: Any, market: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home with a year of five shares, the sessions at its end released together: GONE falls silent, OLD goes on as NEW."""
    folder = tmp_path_factory.mktemp("deliveries")
    home = based_home("known")
    gone = [line.replace("IWM", "GONE") for line in tape.daily(market.BASE[0], LAST_OF_GONE, ["IWM"])]
    home.ingest(market.write(folder / "more.csv", [*gone, *_renamed(tape, *market.BASE)]), received=market.arrival(1))
    home.nightly()
    files = {}
    for session in market.SESSIONS:
        more = market.write(folder / f"more-{session}.csv", _renamed(tape, session, session))
        files[session] = [*tape.delivery(folder, session), more]
    *first, last = files.values()
    home.ingest(*(file for each in first for file in each), received=market.arrival(2))
    home.ingest(*last, received=market.arrival(3))
    home.nightly()
    return home


def _renamed(tape: Any, first: date, last: date) -> list[str]:
    lines = [line.split(",", 2) for line in tape.daily(first, last, ["QQQ"])]
    return [
        f"{'OLD' if day < str(RENAMED) else 'NEW'},{day},{rest}" for _, day, rest in lines if date.fromisoformat(day) not in SILENT
    ]


def _changed(line: str, *, close: float | None = None, volume: int | None = None) -> str:
    symbol, day, opening, high, low, last, traded = line.split(",")
    price = float(last) if close is None else close
    return f"{symbol},{day},{opening},{max(float(high), price)},{min(float(low), price)},{price},{volume or traded}"


def _actions(home: Any, market: Any, *rows: str, day: int = 10) -> None:
    path = home.folder / "actions.csv"
    path.write_text("\n".join([ACTIONS, *rows]) + "\n", encoding="utf-8")
    home.ingest(path, received=market.arrival(day), reader="actions")


def _restate(home: Any, tape: Any, market: Any, **values: Any) -> None:
    (line,) = tape.daily(RESTATED, RESTATED, ["IBM"])
    path = market.write(home.folder / "restated.csv", [_changed(line, **values)])
    home.ingest(path, received=market.arrival(10))


def delisting(home: Any, tape: Any, market: Any) -> None:
    _actions(home, market, f"GONE,{DELISTED},delisting,,")


def late_split_rename_and_reuse(home: Any, tape: Any, market: Any) -> None:
    """Each of another share: SPY's ticker was another company's before."""
    actions = ("IBM,2014-05-28,split,2,", f"OLD,{RENAMED},rename,,NEW", f"SPY,{RESTATED},ticker_reuse,,")
    _actions(home, market, *actions)


def restatements(home: Any, tape: Any, market: Any) -> None:
    """Of one share with an effect on its signals, of another without."""
    _restate(home, tape, market, close=171.0)
    (line,) = tape.daily(RESTATED, RESTATED, ["SPY"])
    more = _changed(line, volume=int(line.rsplit(",", 1)[1]) + 1000)
    home.ingest(market.write(home.folder / "volume.csv", [more]), received=market.arrival(10))


def withdrawn_delivery(home: Any, tape: Any, market: Any) -> None:
    """A restatement that was built already, and everything of the last session."""
    last = market.SESSIONS[-1]
    for name in ("restated.csv", f"daily-{last}.csv", f"more-{last}.csv"):
        home.withdraw(name, market.arrival(11))


EVENTS = (delisting, late_split_rename_and_reuse, restatements, withdrawn_delivery)


@pytest.fixture(scope="module")
def after(known: Any, new_home: Any, tape: Any, market: Any) -> Callable[[Callable[..., None]], Any]:
    """The home after an event and the nightly run that followed; each is made once."""
    homes: dict[str, Any] = {}

    def made(event: Callable[..., None]) -> Any:
        if event.__name__ not in homes:
            before = made(restatements) if event is withdrawn_delivery else known
            home = market.copy_home(before, new_home(event.__name__))
            event(home, tape, market)
            home.nightly()
            homes[event.__name__] = home
        return homes[event.__name__]

    return made


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_the_next_nightly_run_publishes_what_a_full_build_of_the_same_lake_does(
    event: Callable[..., None], after: Any, new_home: Any, market: Any
) -> None:
    stepwise = after(event)
    # With its record: a signal stays as it was issued, which no other home can know.
    at_once = market.copy_home(stepwise, new_home(f"{event.__name__}_at_once"))
    at_once.nightly(full=True)

    differing = {name: found for name in BUILT if (found := _differing(stepwise, at_once, name))}

    assert differing == {}


def test_what_a_withdrawn_restatement_had_replaced_is_what_stands_again(after: Any, tape: Any, market: Any) -> None:
    home = after(withdrawn_delivery)
    ibm = home.rows("bars_daily").filter(pl.col("symbol") == "IBM")
    (line,) = tape.daily(RESTATED, RESTATED, ["IBM"])
    assert ibm.filter(pl.col("session_date") == RESTATED)["close"].item() == float(line.split(",")[5])
    for table in ("bars_daily", "indicators_daily", "scanner_signals", "scanner_runs"):
        assert home.rows(table)["session_date"].max() == market.SESSIONS[-2], table


def _differing(left: Any, right: Any, name: str) -> str:
    """How the rows of a table differ, observational columns apart; an empty text where they are equal."""
    names = left.table(name).schema.reproducible()
    ours, theirs = (home.rows(name).select(names) for home in (left, right))
    only = [a.join(b, on=names, how="anti", nulls_equal=True) for a, b in ((ours, theirs), (theirs, ours))]
    if not only[0].height and not only[1].height and ours.height == theirs.height:
        return ""
    key = list(left.table(name).schema.key)
    columns = [c for c in names if c not in key and _values_differ(only[0], only[1], key, c)]
    return f"{only[0].height} rows step by step, {only[1].height} at once; columns {columns}; first {only[0].head(1).to_dicts()}"


def _values_differ(left: pl.DataFrame, right: pl.DataFrame, key: list[str], column: str) -> bool:
    both = left.select(*key, __l=column).join(right.select(*key, __r=column), on=key, nulls_equal=True)
    return bool(both.select(pl.col("__l").ne_missing(pl.col("__r")).any()).item())


def test_a_later_delisting_leaves_everything_published_of_the_sessions_before_it_as_it_was(known: Any, after: Any) -> None:
    """Sessions before it, and of the outcomes those that were over before it: who held the share then is paid out since."""
    delisted = after(delisting)
    assert known.rows("scanner_signals").filter(pl.col("instrument_id") == "XNYS:GONE").height > 0
    changed = {}
    for name in BUILT:
        schema = known.table(name).schema
        day = next((c for c in ("session_date", "date") if c in schema.names), None)
        # Aggregates over all sessions have no session of their own.
        if day is None:
            continue
        # A run is named after all that it read, the actions too.
        columns = [column for column in schema.reproducible() if column != "run_id"]
        before, now = (home.rows(name).select(columns).filter(pl.col(day) < DELISTED) for home in (known, delisted))
        if name == "signal_outcomes":
            key = list(schema.key)
            # What a stop or target is compared with are all shares held for up to twenty sessions.
            month_before = DELISTED - timedelta(days=35)
            alone = (pl.col("horizon") != "stop_target") | (pl.col("session_date") < month_before)
            over = before.filter("is_over", alone, pl.col("exit_ts").dt.date() < DELISTED).select(key)
            before, now = (frame.join(over, on=key, how="semi") for frame in (before, now))
        key = [column for column in schema.key if column in columns]
        if not before.sort(key).equals(now.sort(key)):
            changed[name] = (before.height, now.height)
    assert changed == {}
