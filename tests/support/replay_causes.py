"""Why the signals and outcomes of two replays differ: each difference under the first cause that explains it.

Lives here: the causes, how a difference is recognised as theirs, and the counts of docs/decisions/0038.
Does not live here: the replays and the comparison of tables (`replay.py`).

    python -m tests.support.replay_causes HOME_BEFORE HOME_AFTER
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

#: A signal by what it says; its id also holds the version of its rule.
SIGNAL = ["exchange", "scanner_name", "instrument_id", "ts", "signal_type"]
_BAR = ["exchange", "instrument_id", "session_date", "open", "high", "low", "close", "volume"]
_MINUTE = ["exchange", "instrument_id", "session_date", "ts", "close", "volume"]
#: Days that the longest look-back of a scanner spans.
_LOOK_BACK = 420
UNEXPLAINED = "unexplained"
_BARS = "bars taken or set aside differently"
_ACTION = "look-back across a suspected action"
_PRICE = "prices no signal may have"
_CARRIED = "known when the last of its inputs was"
_GAP = "sessions missing within the tolerance"


class Replays:
    """Two replays, before and after a change."""

    def __init__(self, before: Path, after: Path) -> None:
        self._tables = [home / "tables" for home in (before, after)]

    def read(self, table: str, columns: list[str] | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """A table before and after."""
        old, new = (pl.read_parquet(folder / f"{table}.parquet", columns=columns) for folder in self._tables)
        return old, new

    def signals(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Signals of the first replay alone, of the second alone, and of both with the second's columns suffixed `_after`."""
        old, new = self.read("scanner_signals")
        gone, come = old.join(new, on=SIGNAL, how="anti"), new.join(old, on=SIGNAL, how="anti")
        return self._with_cause(gone), self._with_cause(come), self._with_cause(old.join(new, on=SIGNAL, suffix="_after"))

    def outcomes(self) -> pl.DataFrame:
        """Outcomes of signals of both replays, with the second's columns suffixed `_after`."""
        signals = self.read("scanner_signals", ["signal_id", *SIGNAL])
        outcomes = self.read("signal_outcomes")
        named = [o.join(s.drop("exchange"), on="signal_id", suffix="_of") for o, s in zip(outcomes, signals, strict=True)]
        return named[0].join(named[1], on=[*SIGNAL, "horizon"], suffix="_after")

    def _with_cause(self, signals: pl.DataFrame) -> pl.DataFrame:
        """`signals` with `cause`: prices first, since they need nothing else; then actions, then bars, then gaps."""
        rows = signals.with_row_index("row").join(self._first_change(), on=["exchange", "instrument_id"], how="left")
        near = rows.join(self._suspected(), on=["exchange", "instrument_id"]).filter(
            (pl.col("session_date") - pl.col("suspected")).dt.total_days().is_between(0, _LOOK_BACK)
        )
        rows = rows.join(near.select("row").unique().with_columns(near=pl.lit(value=True)), on="row", how="left")
        buys = pl.col("signal_type") == "BUY"
        entry, stop = pl.col("entry_price"), pl.col("stop_loss")
        risk = pl.when(buys).then(entry - stop).otherwise(stop - entry)
        missing = pl.col("details").str.json_path_match("$.sessions_missing").cast(pl.Float64, strict=False)
        causes = {
            _PRICE: (entry.round(4) <= 0) | (risk <= entry * 0.001),
            _ACTION: pl.col("near"),
            _BARS: pl.col("session_date") >= pl.col("changed"),
            _GAP: missing > 0,
        }
        cause = pl.coalesce(pl.when(holds).then(pl.lit(name)) for name, holds in causes.items())
        return rows.with_columns(cause=cause.fill_null(UNEXPLAINED)).drop("row", "changed", "near")

    def _first_change(self) -> pl.DataFrame:
        """The first session of each instrument with another bar in one replay than in the other."""
        frames = []
        for table, columns in (("bars_daily", _BAR), ("bars_1m", _MINUTE)):
            old, new = self.read(table, columns)
            frames += [a.join(b, on=columns, how="anti").select(_BAR[:3]) for a, b in ((old, new), (new, old))]
        return pl.concat(frames).group_by("exchange", "instrument_id").agg(changed=pl.col("session_date").min())

    def _suspected(self) -> pl.DataFrame:
        _, flags = self.read("price_flags")
        suspected = flags.filter(pl.col("flag").str.starts_with("unrecorded_"))
        return suspected.select("exchange", "instrument_id", suspected="session_date")


def report(replays: Replays) -> None:
    """Print the counts: signals by cause, columns of the others, what became of outcomes."""
    gone, come, both = replays.signals()
    for title, rows in (("signals gone", gone), ("signals new", come)):
        _print_counts(title, rows, ["cause"])
    for column in ("entry_price", "stop_loss", "target_price", "confidence_score", "known_at"):
        changed = both.filter(pl.col(column).ne_missing(pl.col(f"{column}_after")))
        to_null = pl.when(pl.col(f"{column}_after").is_null()).then(pl.lit("to NULL")).otherwise(pl.lit("another value"))
        if column in {"stop_loss", "target_price"}:
            unreachable = pl.col(f"{column}_after").is_null() & (pl.col(column) <= 0)
            changed = changed.with_columns(cause=pl.when(unreachable).then(pl.lit(_PRICE)).otherwise("cause"))
        if column == "known_at":
            later = pl.col("known_at_after") > pl.col("known_at")
            changed = changed.with_columns(cause=pl.when(later).then(pl.lit(_CARRIED)).otherwise("cause"))
        _print_counts(f"{column} of signals in both", changed.with_columns(how=to_null), ["how", "cause"])
    outcomes = replays.outcomes()
    moved = outcomes.filter(pl.col("status") != pl.col("status_after"))
    _print_counts("status of outcomes of signals in both", moved, ["status", "status_after"])
    same = outcomes.filter(pl.col("status") == pl.col("status_after"))
    for column in ("exit_reason", "gross_return", "costs", "base_return"):
        changed = same.filter(pl.col(column).ne_missing(pl.col(f"{column}_after")))
        by = ["exit_reason", "exit_reason_after"] if column != "costs" else ["costs_assumed", "costs_assumed_after"]
        _print_counts(f"{column} of outcomes of one status", changed, by)


def _print_counts(title: str, rows: pl.DataFrame, by: list[str]) -> None:
    counts = rows.group_by("exchange", *by).len().sort("exchange", "len", *by, descending=[False, True, *(False for _ in by)])
    print(f"{title}: {rows.height:,}")
    for row in counts.iter_rows():
        print("  ", *row)


if __name__ == "__main__":
    report(Replays(Path(sys.argv[1]), Path(sys.argv[2])))
