"""The ledger of parameter sets: what was ever tried, by family, and what that says of the next Sharpe ratio.

Lives here: `Trial`, `record_trials`, and `Ledger`, which counts and judges.
Does not live here: the tables' columns (`market/tables/research.py`), the formulas (`statistics`, `overfitting`), who runs a trial.

A family is what trades the signals of the same scanners: a new name for a strategy begins no new count. A parameter set is counted
once, however often it was run and between whatever dates; its newest run stands for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from pipelines.backtest import statistics
from pipelines.backtest.overfitting import BLOCKS, cut_into_blocks, overfitting_probability
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.upsert import replace_rows

LEDGER = ("backtest_trials", "backtest_trial_months")
_SUMS = ("sessions", "return_sum", "return_squares")


def family_of(scanners: Iterable[str]) -> str:
    """The family of what trades these scanners' signals."""
    return ",".join(sorted(set(scanners)))


def trial_id_of(exchange: str, family: str, parameters: Mapping[str, Any]) -> str:
    """Identity of a parameter set: 32 hex digits. `parameters` are JSON values that say nothing of name and dates."""
    return hashlib.sha256(_canonical({"exchange": exchange, "family": family, "parameters": parameters}).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Trial:
    """A parameter set and its run: strategy is the name it was run under, returns (session_date, ret) those of every session."""

    exchange: str
    family: str
    strategy: str
    parameters: Mapping[str, Any]
    returns: pl.DataFrame

    @property
    def trial_id(self) -> str:
        """The parameter set's identity."""
        return trial_id_of(self.exchange, self.family, self.parameters)

    def as_row(self) -> dict[str, Any]:
        """The row of `backtest_trials`."""
        dates = self.returns.get_column("session_date")
        return {
            "trial_id": self.trial_id,
            "exchange": self.exchange,
            "family": self.family,
            "strategy": self.strategy,
            "parameters": _canonical(self.parameters),
            "start_date": dates[0],
            "end_date": dates[-1],
            "sessions": self.returns.height,
            "sharpe_per_session": statistics.sharpe_per_session(self.returns.get_column("ret").to_numpy()),
        }

    def months(self) -> pl.DataFrame:
        """The rows of `backtest_trial_months`."""
        month = self.returns.get_column("session_date").dt.truncate("1mo")
        starts = np.flatnonzero(np.append(True, month[1:] != month[:-1]))
        returns = self.returns.get_column("ret").to_numpy()
        return pl.DataFrame(
            {
                "trial_id": self.trial_id,
                "month": month[starts],
                "sessions": np.diff(np.append(starts, returns.size)),
                "return_sum": np.add.reduceat(returns, starts),
                "return_squares": np.add.reduceat(np.square(returns), starts),
            }
        )


@dataclass(frozen=True)
class Judgement:
    """How many trials a Sharpe ratio was chosen among, and what is left of it; columns of `backtest_runs` by name."""

    trials: int
    deflated_sharpe: float | None
    min_track_record: float | None
    overfitting_probability: float | None


@dataclass(frozen=True)
class Ledger:
    """The trials of one family: rows of `backtest_trials` and of `backtest_trial_months`.

    besides: trials that nobody recorded and that are known all the same, such as the scanners that nightly runs evaluate.
    """

    rows: pl.DataFrame
    months: pl.DataFrame
    besides: int = 0

    @classmethod
    def read(cls, lake: Lake, exchange: str, family: str, versions: Mapping[str, int] | None = None) -> Ledger:
        """A family's trials, at pinned versions where given: a table that is absent there has no rows."""

        def rows_of(name: str, where: pl.Expr) -> pl.DataFrame:
            schema = TABLES[name]
            if versions is not None and name not in versions:
                return empty_frame(schema)
            table = LakeTable(lake.table_uri(exchange, name), schema)
            return table.read(None if versions is None else versions[name], where=where)

        rows = rows_of(LEDGER[0], pl.col("family") == family)
        ids = rows.get_column("trial_id").to_list()
        return cls(rows, rows_of(LEDGER[1], pl.col("trial_id").is_in(ids)))

    @property
    def trials(self) -> int:
        """N: parameter sets tried."""
        return self.rows.height + self.besides

    def with_besides(self, count: int, own: str) -> Ledger:
        """The ledger beside trials that are not on it, among them the set `own`, which is counted once though it be on both."""
        return replace(self, rows=self.rows.filter(pl.col("trial_id") != own), besides=count)

    def variance(self, sessions: int) -> float | None:
        """Variance between the trials' Sharpe ratios per session, for a run of so many; None where chance alone has to do.

        Trials beside the ledger differ by chance at least: a few neighbouring sets on it must not make them look alike.
        """
        ratios = self.rows.get_column("sharpe_per_session").drop_nulls().to_numpy()
        if ratios.size < 2:
            return None
        found = float(ratios.var(ddof=1))
        return max(found, 1.0 / (sessions - 1)) if self.besides and sessions > 1 else found

    def overfitting(self, returns: pl.DataFrame) -> float | None:
        """Probability that the best of the trials over the months of a run is none of the better half elsewhere.

        Of the trials that were run over all these months. None for fewer than two of them, or than 16 months.
        """
        span = returns.get_column("session_date").dt.truncate("1mo").unique().sort()
        within = self.months.filter(pl.col("month").is_in(span.to_list())).sort("trial_id", "month")
        whole = within.group_by("trial_id").len().filter(pl.col("len") == span.len())
        if span.len() < BLOCKS or whole.height < 2:
            return None
        kept = within.join(whole, on="trial_id", how="semi", maintain_order="left")
        sums = (kept.get_column(name).cast(pl.Float64).to_numpy().reshape(whole.height, span.len()) for name in _SUMS)
        return overfitting_probability(*(cut_into_blocks(of_months) for of_months in sums))

    def judge(self, returns: pl.DataFrame, overfitting: float | None = None) -> Judgement:
        """What a run's Sharpe ratio is worth. overfitting: where it is known already, as within a sweep."""
        values = returns.get_column("ret").to_numpy()
        variance = self.variance(values.size)
        return Judgement(
            trials=self.trials,
            deflated_sharpe=statistics.deflated_sharpe(values, self.trials, variance),
            min_track_record=statistics.min_track_record(values, self.trials, variance),
            overfitting_probability=self.overfitting(returns) if overfitting is None else overfitting,
        )


def record_trials(lake: Lake, exchange: str, trials: Sequence[Trial]) -> None:
    """Put parameter sets on the ledger, each in place of an earlier run of the same. The writer's lock is the caller's."""
    newest = {trial.trial_id: trial for trial in trials}
    if not newest:
        return
    months = pl.concat([trial.months() for trial in newest.values()])
    rows = pl.DataFrame([trial.as_row() for trial in newest.values()], schema=dict(empty_frame(TABLES[LEDGER[0]]).schema))
    # The months first: a set that is counted has them.
    for name, frame in ((LEDGER[1], months), (LEDGER[0], rows)):
        replace_rows(
            lake,
            exchange,
            TABLES[name],
            frame,
            lambda stored: stored.get_column("trial_id").is_in(list(newest)),
            None,
            {"trials": str(len(newest))},
        )


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
