"""One definition, seen to be one: what the nightly build put on record is what a scan of the same moment gives.

Lives here: which recorded scans of a last session to repeat, and what differs when scans are repeated, with and without a future.
Does not live here: cutting the future off (`look_ahead.py`), which sessions of the past (`sampling.py`), reading the record
(`records.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from pipelines.scanners.engine.runner import ScanEngine, ScanInputs
from pipelines.scanners.verification.look_ahead import DIFFERENCES, different, has_future, spoiled, truncated
from pipelines.scanners.verification.sampling import Asked, grouped


def scans_to_repeat(runs: pl.DataFrame) -> Asked:
    """Of recorded scans (rows of `scanner_runs`) each scanner's last one, and its first and last that issued signals."""
    at = pl.col("as_of_ts")
    fired = runs.filter(pl.col("signals") > 0)
    chosen = pl.concat(
        [
            runs.group_by("scanner_name").agg(at.max()),
            fired.group_by("scanner_name").agg(at.max()),
            fired.group_by("scanner_name").agg(at.min()),
        ]
    ).unique()
    return grouped(chosen)


def find_unreproduced(engine: ScanEngine, inputs: ScanInputs, recorded: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """Signals that a scan with the same inputs gives otherwise than recorded; none is what is hoped for. Columns of `DIFFERENCES`.

    engine: is given the inputs, whatever it held before. recorded: rows of `scanner_signals`, those of other scans too. inputs: of
    the sessions of `asked`.
    """
    if not asked:
        return pl.DataFrame(schema=DIFFERENCES)
    engine.give(inputs)
    return _described(different(*_judged(_of(recorded, asked), engine.run_at(asked).signals)), "whole")


def find_look_ahead(engine: ScanEngine, inputs: ScanInputs, recorded: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """Recorded signals that a scan does not give, or gives otherwise, when the future is cut off or altered.

    Columns as of `find_unreproduced`. Each evaluation time is scanned alone: a row that was made from rows of other evaluation
    times is not made again. inputs: to have a future that can be altered, they must reach beyond the evaluation times; without one
    the two futures are the same.
    """
    found = [pl.DataFrame(schema=DIFFERENCES)]
    for at, names in asked:
        record = _of(recorded, [(at, names)])
        futures = (("truncated", truncated), ("spoiled", spoiled))
        for name, cut in futures if has_future(inputs, at) else futures[:1]:
            engine.give(cut(inputs, at))
            found.append(_described(different(*_judged(record, engine.run(at, names).signals)), name))
    return pl.concat(found)


def _of(signals: pl.DataFrame, asked: Sequence[tuple[datetime, Sequence[str]]]) -> pl.DataFrame:
    pairs = pl.DataFrame(
        [(moment, name) for moment, names in asked for name in names],
        schema={"ts": pl.Datetime("us", "UTC"), "scanner_name": pl.String},
        orient="row",
    )
    return signals.join(pairs, on=["ts", "scanner_name"], how="semi")


def _judged(recorded: pl.DataFrame, again: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both without the signals that were issued before an input of theirs was restated: these stay as they were issued."""
    both = recorded.select("signal_id", issued="known_at").join(again.select("signal_id", "known_at"), on="signal_id")
    restated = both.filter(pl.col("issued") < pl.col("known_at")).select("signal_id")
    return tuple(rows.join(restated, on="signal_id", how="anti", maintain_order="left") for rows in (recorded, again))  # type: ignore[return-value]


def _described(rows: pl.DataFrame, inputs: str) -> pl.DataFrame:
    return rows.select(pl.lit(inputs).alias("inputs"), *list(DIFFERENCES)[1:])
