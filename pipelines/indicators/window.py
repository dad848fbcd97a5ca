"""Indicators of a build's window: reads bars, carried state and actions from the build database, streams the rows to write.

Lives here: which bars a window needs (tail, carried state, or a cold start), the walk through its sessions in bounded memory, and
where it may stop.
Does not live here: what is read (`window_reads`), arithmetic (`engine`), when restated rows became known (`known_at`), the window
itself (`build/plan.py`), committing rows (`storage`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.indicators.arrays import BarArrays, Result
from pipelines.indicators.engine import compute
from pipelines.indicators.frame import Floats, Ints
from pipelines.indicators.known_at import Chunk, KnownTimes, Walked, columns_of, rescales_of
from pipelines.indicators.registry import Registry
from pipelines.indicators.restatements import Restatements, bars_of, day_number
from pipelines.indicators.rows import bar_arrays, result_batch
from pipelines.indicators.tables import STATE_TYPE, indicator_tables
from pipelines.indicators.window_reads import BEGINNING, BOUNDS, TIMEFRAMES, Timeframe, WindowReads, sessions_behind
from pipelines.market.schema import TableSchema

if TYPE_CHECKING:
    import duckdb

#: New bars worked at once: about 0.6 GB at the peak, with 44 columns of DOUBLE and the state of daily bars.
BARS_PER_CHUNK = 500_000

#: Sessions of the first chunk. Chunks double, so that a restatement whose effect has died away stops early and a long window
#: is still worked in few pieces.
_FIRST_CHUNK = 8

_EPOCH = date(1970, 1, 1)


def build_window(
    connection: duckdb.DuckDBPyConnection,
    timeframe: Literal["daily", "1m"],
    registry: Registry,
    bars_per_chunk: int = BARS_PER_CHUNK,
) -> pa.RecordBatchReader:
    """Stream the indicators of every bar in the window of the build database behind `connection`.

    registry: the indicators. Columns: those of their table (`indicator_tables`, without session_year), then `state`, filled on the
    last bar of each session. An instrument continues from its state after the last bar before the window; where that is missing or
    was made by another set of indicators, it starts at its first bar, which gives the same bits and costs its history.
    The connection must stay open, and unused by others, until the stream is read.
    """
    kind = TIMEFRAMES[timeframe]
    schema = _schema(indicator_tables(registry)[kind.table])
    return pa.RecordBatchReader.from_batches(schema, _Window(connection, kind, registry, schema).batches(bars_per_chunk))


def _schema(table: TableSchema) -> pa.Schema:
    fields = [field.with_nullable(True) for field in table.arrow() if field.name != "session_year"]
    return pa.schema([*fields, pa.field("state", STATE_TYPE)])


class _Window:
    """The walk through one window: per instrument the raw tail and the state that the next chunk continues from."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, kind: Timeframe, registry: Registry, schema: pa.Schema) -> None:
        self._connection, self._kind, self._registry, self._schema = connection, kind, registry, schema
        self._reads = WindowReads(connection, kind)
        self._lookback = max(registry.lookback(), 1)
        self._states: dict[str, Floats] = {}
        self._actions = self._reads.actions()
        self._tails = self._reads.bars(pl.DataFrame(schema=BOUNDS), BEGINNING, BEGINNING)

    def batches(self, bars_per_chunk: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows to write: chunk of sessions by chunk of sessions, instruments in order within each."""
        window = self._reads.window()
        if window.is_empty():
            return
        self._restatements = Restatements(
            self._connection, self._kind.bars, self._kind.replaced, self._kind.order, self._kind.columns, window
        )
        self._known = KnownTimes(
            self._restatements.of,
            self._restatements.actions_before,
            registry=self._registry,
            intraday=self._kind.intraday,
            dtype=self._kind.dtype,
        )
        starts = self._prepare(window)
        largest = max(1, bars_per_chunk // (window.height * self._reads.per_session))
        for begin, end in pairwise(self._edges(_least(starts, "start"), _greatest(starts, "to_session"), largest)):
            bars = self._reads.bars(starts.rename({"start": "first", "to_session": "last"}), begin, end - timedelta(days=1))
            if bars.height:
                yield from self._work(bars, starts, begin, end - timedelta(days=1))
                starts = starts.filter(~pl.col("instrument_id").is_in(self._settled(starts)))

    def _edges(self, first: date, last: date, largest: int) -> list[date]:
        """First days of the chunks from `first` to `last`, and the day after the last one."""
        days = [day for day in self._reads.sessions if first < day <= last]
        edges, at, size = [first], 0, min(_FIRST_CHUNK, largest)
        while at + size - 1 < len(days):
            edges.append(days[at + size - 1])
            at, size = at + size, min(2 * size, largest)
        return [*edges, last + timedelta(days=1)]

    def _settled(self, starts: pl.DataFrame) -> list[str]:
        """Instruments whose every later row is known: what they carry is what the last build carried, bit for bit, all that their
        kernels look back on is unchanged, and no restatement is left that may date a later row.
        """
        ends = self._tails.group_by("instrument_id").agg(
            pl.len().alias("held"), pl.col("session_date").min().alias("oldest"), pl.col("session_date").max()
        )
        ends = ends.join(starts, on="instrument_id").filter(
            pl.col("held") == self._lookback, pl.col("oldest") > pl.col("changed_to"), pl.col("session_date") < pl.col("to_session")
        )
        if ends.is_empty():
            return []
        stored = self._reads.states_after(ends.select("instrument_id", "session_date"))
        return [
            name
            for name, state in stored.items()
            if state.tobytes() == self._states[name].tobytes() and not self._known.is_open(name)
        ]

    def _prepare(self, window: pl.DataFrame) -> pl.DataFrame:
        """Load tails and states, and add `start`: the session that each instrument is computed from.

        Where rows of the window became known by a restatement of earlier sessions, the walk starts at the first of these.
        """
        opened = window.select("instrument_id", opened="from_session")
        restated = pl.DataFrame(
            [(name, _EPOCH + timedelta(days=min(r.first for r in found))) for name, found in self._restatements.of.items()],
            schema={"instrument_id": pl.String, "restated_from": pl.Date},
            orient="row",
        )
        window = window.join(restated, on="instrument_id", how="left", maintain_order="left").with_columns(
            from_session=pl.min_horizontal("from_session", "restated_from")
        )
        usual = sessions_behind(self._lookback, self._reads.per_session)
        floors = [self._reads.session_before(day, usual) for day in window["from_session"].to_list()]
        cold = self._load(window.with_columns(pl.Series("floor", floors, dtype=pl.Date)))
        firsts = self._reads.first_bars(cold)
        # Rarely traded instruments: their tail reaches further back than the usual number of sessions.
        begun = cold.join(firsts.filter(pl.col("first_session") < pl.col("from_session")), on="instrument_id", how="semi")
        waiting = self._load(begun.with_columns(floor=pl.lit(BEGINNING, dtype=pl.Date))) if begun.height else begun
        new = cold.join(begun, on="instrument_id", how="anti")
        # An action may open a window years before an instrument's first bar; there is nothing to walk through until then.
        starting = firsts.join(pl.concat([waiting, new]), on="instrument_id", how="semi").select("instrument_id", "first_session")
        walked = window.join(starting, on="instrument_id", how="left").with_columns(
            # What is now another instrument's may lie before the first bar that is left.
            start=pl.min_horizontal(pl.coalesce("first_session", "from_session"), "restated_from")
        )
        return walked.drop("from_session", "restated_from").join(opened, on="instrument_id").rename({"opened": "from_session"})

    def _load(self, wanted: pl.DataFrame) -> pl.DataFrame:
        """Keep tail and state of the instruments that can continue; return the others."""
        bounds = wanted.select("instrument_id", first="floor", last=pl.col("from_session") - pl.duration(days=1))
        first, last = _least(bounds, "first"), _greatest(bounds, "last")
        tails = self._newest(self._reads.bars(bounds, first, last))
        states = self._reads.newest_states(bounds, first, last)
        found = tails.group_by("instrument_id").agg(pl.len().alias("held"), pl.col("session_date").max())
        warm: list[str] = []
        for name, state, held in (
            states.join(found, on=["instrument_id", "session_date"]).select("instrument_id", "state", "held").iter_rows()
        ):
            if len(state) == self._registry.state_width() and 0 < min(state[0], self._lookback) <= held:
                warm.append(name)
                self._states[name] = np.array(state, dtype=np.float64)
        self._tails = pl.concat([self._tails, tails.filter(pl.col("instrument_id").is_in(warm))])
        return wanted.filter(~pl.col("instrument_id").is_in(warm)).drop("floor")

    def _work(self, bars: pl.DataFrame, starts: pl.DataFrame, first: date, last: date) -> Iterator[pa.RecordBatch]:
        new = bars.with_columns(is_new=pl.lit(True))
        tail = self._tails.join(bars, on="instrument_id", how="semi").with_columns(is_new=pl.lit(False))
        frame = pl.concat([tail, new]).sort("instrument_id", self._kind.order)
        groups = frame.group_by("instrument_id", maintain_order=True).agg(pl.len(), (~pl.col("is_new")).sum().alias("held"))
        names: list[str] = groups["instrument_id"].to_list()
        offsets = np.concatenate(([0], np.cumsum(groups["len"].to_numpy()))).astype(np.int64)
        arrays = bar_arrays(frame, offsets)
        begin = offsets[:-1] + groups["held"].to_numpy().astype(np.int64)
        unknown = np.full(self._registry.state_width(), np.nan)
        state = np.stack([self._states.get(name, unknown) for name in names])
        spans = zip(names, *zip(*pairwise(offsets.tolist()), strict=True), strict=True)
        rescales = rescales_of([(low, high, self._actions.get(name, [])) for name, low, high in spans], arrays.session)
        result = compute(
            arrays, begin, state, rescales, intraday=self._kind.intraday, registry=self._registry, dtype=self._kind.dtype
        )

        written = frame.filter("is_new")
        if self._restatements.of:
            walked = _Computed(names, arrays, offsets, begin, state, result, frame)
            written = written.with_columns(known_at=self._known_at(walked, written, set(starts["instrument_id"]), first, last))
        counts = np.cumsum(offsets[1:] - begin)
        for name, row in zip(names, np.searchsorted(result.state_row, counts) - 1, strict=True):
            self._states[name] = result.state[row]
        kept = self._newest(frame.drop("is_new"))
        self._tails = pl.concat([self._tails.join(bars, on="instrument_id", how="anti"), kept])
        batch = result_batch(self._schema, written, result)
        asked = written.join(starts, on="instrument_id", how="left", maintain_order="left")
        wanted = asked["session_date"] >= asked["from_session"]
        yield batch if wanted.all() else batch.filter(wanted.to_arrow())

    def _known_at(self, done: _Computed, written: pl.DataFrame, walking: set[str], first: date, last: date) -> pl.Series:
        """known_at of the rows to write: that of their bars, later where a restatement changed them."""
        known = written["known_at"].cast(pl.Datetime("us", "UTC")).to_physical().to_numpy().copy()
        replaced = self._restatements.replaced_bars(first, last)
        place = {name: number for number, name in enumerate(done.names)}
        for name in self._restatements.of:
            if name not in walking:
                continue
            if (number := place.get(name)) is None:
                walked, rows = self._idle(name), slice(0, 0)
            else:
                walked, rows = done.walked(number, self._kind.order)
            columns = columns_of(done.result, rows)
            chunk = Chunk(day_number(first), day_number(last), walked, columns, replaced.get(name))
            known[rows] = self._known.of(name, chunk)
        return pl.Series(known).cast(pl.Datetime("us", "UTC"))

    def _idle(self, name: str) -> Walked:
        """The walk of an instrument without bars in a chunk."""
        tail = bars_of(self._tails.filter(pl.col("instrument_id") == name), self._kind.order)
        width = self._registry.state_width()
        state = self._states.get(name, np.full(width, np.nan))
        return Walked(tail, tail.key.size, state, np.empty(0, np.int64), np.empty((0, width)))

    def _newest(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Each instrument's last bars, as many as the kernels look back."""
        return bars.group_by("instrument_id", maintain_order=True).tail(self._lookback).select(bars.columns)


@dataclass(frozen=True)
class _Computed:
    """What the engine was given for a chunk, as it takes it, and what it gave; `frame` has the bars of the arrays."""

    names: list[str]
    arrays: BarArrays
    offsets: Ints
    begin: Ints
    state: Floats
    result: Result
    frame: pl.DataFrame

    def walked(self, number: int, order: str) -> tuple[Walked, slice]:
        """One instrument's walk, and its rows of the result."""
        low, high, begin = int(self.offsets[number]), int(self.offsets[number + 1]), int(self.begin[number])
        row = begin - int((self.begin - self.offsets[:-1])[: number + 1].sum())
        rows = slice(row, row + high - begin)
        shots = slice(*np.searchsorted(self.result.state_row, (rows.start, rows.stop)).tolist())
        bars = bars_of(self.frame.slice(low, high - low), order)
        days = bars.session[begin - low :][self.result.state_row[shots] - row].astype(np.int64)
        return Walked(bars, begin - low, self.state[number], days, self.result.state[shots]), rows


def _least(frame: pl.DataFrame, column: str) -> date:
    return frame[column].min()  # type: ignore[return-value]  # a column of dates


def _greatest(frame: pl.DataFrame, column: str) -> date:
    return frame[column].max()  # type: ignore[return-value]  # a column of dates
