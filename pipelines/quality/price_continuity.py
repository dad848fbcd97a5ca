"""A daily bar beside the bars before and after it: errors of scale that each bar alone does not show.

Lives here: `with_adjacent_bars`, which says of every daily row whether it is in line, and `minutes_in_line`, the same of minutes.
Does not live here: the rule that stops the others (`row_rules.py`), errors that strike a whole session (`price_scale.py`), jumps
that splits have (dbt mart `price_flags`).

A share that falls or is split stays where it went. So a close is out of line where two witnesses agree against it: the sessions on
both sides, the stored bar that it would replace and the session before, minutes of the day and the session before, or the previous
close that the next session's file prints. One witness alone counts only beyond a factor of 20. A bar of months ago is no witness:
shares do rise and fall twentyfold within a year, and splits are forgotten.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.tables import TABLES
from pipelines.quality.price_scale import RECENT_SESSIONS, last_closes, stored_closes
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: A hundredfold error is beyond it; no share has gone so far from one session to the next.
_MOST_STEP = 20
#: Longer ago a bar says nothing of where a price should be.
_LONGEST_GAP = timedelta(days=30)
#: Far beyond what a share gains and gives back in two sessions, where these agree with each other.
_THERE_AND_BACK = 2.5
#: Beyond every daily price limit: two witnesses that agree within it, and differ from the close by more, contradict it.
_CONTRADICTS = 1.5
_BEYOND_MINUTES = 1.2
#: Within a session no share has gone so far from an open that stood where the last close was.
_LEAP = 5
_RESCALING = ("split", "bonus", "capital_reduction", "demerger", "merger")
#: Sessions of stored minutes that one delivery of daily bars is held against at most; the newest ones.
_MOST_MINUTE_SESSIONS = 20
_KEY = ["instrument_id", "session_date"]


def with_adjacent_bars(
    lake: Lake, exchange: str, daily: pl.DataFrame, actions: pl.DataFrame, minutes: pl.DataFrame | None = None
) -> pl.DataFrame:
    """`daily` with `in_line`: false where the close contradicts the bars around it (see the module), null for a first bar.

    `actions`: instrument_id, ex_date, action of all that is known; none of a rescaling kind may lie between. Neighbours are stored
    bars and those of the batch. `minutes`: minutes of the batch, or what `minute_ranges` makes of them. The newest bar is held
    against those before it alone: a split of more than 20 for one that nobody recorded is out of line on its first day.
    """
    columns = [*_KEY, "open", "high", "low", "close", "prev_close"]
    known = daily.drop_nulls([*_KEY, "close"]).filter(pl.col("close") > 0).select(columns).unique(_KEY, keep="first")
    if known.is_empty():
        return daily.with_columns(in_line=pl.lit(None, pl.Boolean))
    first, last = known["session_date"].min(), known["session_date"].max()
    years = list(range(first.year - 1, last.year + 2))  # type: ignore[union-attr]
    table = LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"])
    stored = table.read(partitions=years, columns=columns)
    series = pl.concat([known, stored.select(columns).join(known, on=_KEY, how="anti")]).sort(_KEY)
    compared = _steps(_on_basis(series, actions), lake.calendar(exchange)).join(
        stored.select(*_KEY, replaces="close"), on=_KEY, how="left", maintain_order="left"
    )
    compared = compared.join(known.select(_KEY), on=_KEY, how="semi", maintain_order="left")
    compared = _beside_minutes(lake, exchange, compared, minutes)
    judged = compared.select(*_KEY, (~(_out_of_line() | _wild())).alias("in_line"))
    return daily.join(judged, on=_KEY, how="left", maintain_order="left")


def minutes_in_line(
    lake: Lake,
    days: ExchangeCalendar,
    minutes: pl.DataFrame,
    daily: pl.DataFrame,
    actions: pl.DataFrame,
    since: date | None = None,
) -> pl.DataFrame:
    """`minutes` with `in_line`: false for all minutes of an instrument's session whose median close is more than 20 times off the
    instrument's last close of the five sessions before; null where there is none.

    The last close is a daily one, stored or of the batch (`daily`), else that of the last stored minutes before the batch: before
    `since`, where these are only a part of its minutes, as `first_priced` finds it in the first part that has one.
    """
    mic = days.exchange.mic
    usable = _priced(minutes)
    if usable.is_empty():
        return minutes.with_columns(in_line=pl.lit(None, pl.Boolean))
    typical = usable.group_by(_KEY).agg(pl.col("close").median())
    first, last = typical["session_date"].min(), typical["session_date"].max()
    closes = pl.concat(
        [
            daily.select(*_KEY, "close").drop_nulls().filter(pl.col("close") > 0),
            stored_closes(lake, mic, first, last),  # type: ignore[arg-type]
            _stored_minute_closes(lake, days, typical, since or first),  # type: ignore[arg-type]
        ]
    ).unique(_KEY, keep="first", maintain_order=True)
    held = last_closes(typical, closes, days)
    recent = timedelta(days=RECENT_SESSIONS * 2 + 15)
    rescaled = actions.filter(pl.col("action").is_in(_RESCALING)).select("instrument_id", "ex_date").drop_nulls().unique()
    between = held.join(rescaled, on="instrument_id").filter(
        pl.col("ex_date").is_between(pl.col("session_date") - recent, pl.col("session_date"))
    )
    limit = pl.lit(float(_MOST_STEP)).log()
    judged = held.join(between.select(_KEY).unique(), on=_KEY, how="anti").select(
        *_KEY, in_line=(pl.col("close") / pl.col("last_close")).log().abs() <= limit
    )
    return minutes.join(judged, on=_KEY, how="left", maintain_order="left")


def _on_basis(series: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """`series` with `ex_date`: that of the last rescaling action of the instrument up to the session."""
    rescaled = (
        actions.filter(pl.col("action").is_in(_RESCALING)).select("instrument_id", session_date="ex_date").drop_nulls().unique()
    )
    return series.sort("session_date").join_asof(
        rescaled.with_columns(ex_date=pl.col("session_date")).sort("session_date"),
        on="session_date",
        by="instrument_id",
        check_sortedness=False,
    )


def _steps(basis: pl.DataFrame, days: ExchangeCalendar) -> pl.DataFrame:
    """Logarithms of the close over those around it where no action lies between: before, earlier (two before), after.

    `printed` is the close over the previous close that the bar of the very next session prints: a later one may speak of a session
    in between. `lately`: the bar before is at most `_LONGEST_GAP` old. `gap`: from the bar before to the one after.
    """
    close, since = pl.col("close"), pl.col("ex_date")
    numbered = days.frame().select("session_date").sort("session_date").with_row_index("__session")
    followed = pl.col("__session").shift(-1).cast(pl.Int64) - pl.col("__session").cast(pl.Int64) == 1

    def over(other: pl.Expr, n: int) -> pl.Expr:
        return pl.when(since.eq_missing(since.shift(n))).then((close / other).log()).over("instrument_id")

    at_session = basis.join(numbered, on="session_date", how="left").sort(_KEY)
    return at_session.with_columns(
        before=over(close.shift(1), 1),
        earlier=over(close.shift(2), 2),
        after=over(close.shift(-1), -1),
        printed=pl.when(followed.over("instrument_id")).then(over(pl.col("prev_close").shift(-1), -1)),
        lately=(pl.col("session_date") - pl.col("session_date").shift(1)).over("instrument_id") <= _LONGEST_GAP,
        gap=(pl.col("session_date").shift(-1) - pl.col("session_date").shift(1)).over("instrument_id"),
    ).drop("__session")


def _beside_minutes(lake: Lake, exchange: str, compared: pl.DataFrame, minutes: pl.DataFrame | None) -> pl.DataFrame:
    """`compared` with `minute_high`, `minute_low` of the day's minutes, of the batch or stored, for bars that jumped."""
    far = pl.lit(_CONTRADICTS).log()
    jumped = compared.filter((pl.col("before").abs() > far) | ((pl.col("high") / pl.col("low")).log() > far))
    sessions = jumped["session_date"].unique().sort().to_list()[-_MOST_MINUTE_SESSIONS:]
    columns = [*_KEY, "high", "low"]
    empty = pl.DataFrame(schema={"instrument_id": pl.String, "session_date": pl.Date, "high": pl.Float64, "low": pl.Float64})
    frames = [empty]
    if minutes is not None:
        frames.append(minutes.select(columns).join(jumped, on=_KEY, how="semi"))
    if sessions:
        table = LakeTable(lake.table_uri(exchange, "bars_1m"), TABLES["bars_1m"])
        wanted = pl.col("instrument_id").is_in(jumped["instrument_id"].unique().implode())
        frames.append(table.read(partitions=sessions, columns=columns, where=wanted))
    ranges = pl.concat(frames).group_by(_KEY).agg(minute_high=pl.col("high").max(), minute_low=pl.col("low").min())
    return compared.join(ranges, on=_KEY, how="left", maintain_order="left")


def minute_ranges(minutes: pl.DataFrame) -> pl.DataFrame:
    """High and low of each instrument's minutes of a session: instrument_id, session_date, high, low."""
    return minutes.group_by(_KEY).agg(pl.col("high").max(), pl.col("low").min())


def _out_of_line() -> pl.Expr:
    before, earlier, after, printed = (pl.col(c) for c in ("before", "earlier", "after", "printed"))
    far, back, other = (pl.lit(float(n)).log() for n in (_MOST_STEP, _THERE_AND_BACK, _CONTRADICTS))
    off = before.abs() > other

    def both(left: pl.Expr, right: pl.Expr, limit: pl.Expr) -> pl.Expr:
        return (left.abs() > limit) & (right.abs() > limit) & (left.sign() == right.sign())

    # The bar before may be the wrong one: then the close agrees with the one before that.
    alone = (
        pl.col("lately")
        & (before.abs() > far)
        & pl.when(after.is_null()).then(earlier.is_null() | (earlier.abs() > far)).otherwise(both(before, after, far))
    )
    near = pl.col("gap") <= timedelta(days=RECENT_SESSIONS * 2)
    there_and_back = near & both(before, after, back) & ((before - after).abs() < other)
    printed_otherwise = off & (printed.abs() > other) & ((before - printed).abs() < pl.lit(1.2).log())
    replaced = (pl.col("close") / pl.col("replaces")).log()
    replaces_a_good_one = off & (replaced.abs() > other) & ((before - replaced).abs() < other)
    close, high, low = pl.col("close"), pl.col("minute_high"), pl.col("minute_low")
    previous = close / before.exp()
    minutes_say_otherwise = (
        off
        & ((close > _BEYOND_MINUTES * high) | (close * _BEYOND_MINUTES < low))
        & previous.is_between(low / _CONTRADICTS, high * _CONTRADICTS)
    )
    witnesses = (alone, there_and_back, printed_otherwise, replaces_a_good_one, minutes_say_otherwise)
    return pl.any_horizontal(witness.fill_null(value=False) for witness in witnesses)


def _wild() -> pl.Expr:
    """A high at 2.5 times all around it, a low at a fifth, or a close at five times an open that agrees with the last close.

    A panic may take a share to a third of where it closes, and a demerger day to a fifth of its open: neither is stopped.

    What surrounds it: the bar's own open and close and the closes on both sides; or, with the close before, the day's minutes.
    """
    high, low, opened, close = (pl.col(c) for c in ("high", "low", "open", "close"))
    previous, following = close / pl.col("before").exp(), close / pl.col("after").exp()
    both_sides = pl.all_horizontal(side.is_not_null() for side in (previous, following)) & (
        (high > _THERE_AND_BACK * pl.max_horizontal(opened, close, previous, following))
        | (low * _LEAP < pl.min_horizontal(opened, close, previous, following))
    )
    minutes = pl.col("minute_high").is_not_null() & (
        ((high > _CONTRADICTS * pl.col("minute_high")) & (high > _CONTRADICTS * previous))
        | ((low * _CONTRADICTS < pl.col("minute_low")) & (low * _CONTRADICTS < previous))
    )
    last = pl.coalesce(previous, "prev_close")
    leapt = (close > _LEAP * opened) & ((opened / last).log().abs() < pl.lit(float(_CONTRADICTS)).log())
    return pl.any_horizontal(each.fill_null(value=False) for each in (both_sides, minutes, leapt))


def first_priced(minutes: pl.DataFrame) -> date | None:
    """The first session with a price among minutes."""
    return _priced(minutes)["session_date"].min()  # type: ignore[return-value]


def _priced(minutes: pl.DataFrame) -> pl.DataFrame:
    return minutes.drop_nulls([*_KEY, "close"]).filter(pl.col("close") > 0)


def _stored_minute_closes(lake: Lake, days: ExchangeCalendar, typical: pl.DataFrame, first: date) -> pl.DataFrame:
    """Median closes of stored minutes of the five sessions before `first`: that many partitions, no more."""
    before = [s.session_date for s in days.sessions if s.session_date < first][-RECENT_SESSIONS:]
    table = LakeTable(lake.table_uri(days.exchange.mic, "bars_1m"), TABLES["bars_1m"])
    wanted = pl.col("instrument_id").is_in(typical["instrument_id"].unique().implode())
    rows = table.read(partitions=before, columns=[*_KEY, "close"], where=wanted)
    return rows.group_by(_KEY, maintain_order=True).agg(pl.col("close").median())
