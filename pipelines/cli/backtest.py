"""The command `marketlake backtest`: a strategy file or a scanner on the published release, and the runs that are stored.

Lives here: its arguments and how runs print.
Does not live here: what a run does from end to end (`backtest_run.py`), stored runs and what parts two (`backtest_runs.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipelines.cli.backtest_runs import differences, find_run, stored_runs
from pipelines.cli.console import USAGE, fail, progress, say, say_fields, say_json, say_record, table
from pipelines.cli.options import Exchange, Json, Wait, configured, read_settings

_RUN = "run"
#: Letters of a run's id that a table shows: enough to tell runs apart, and what other commands take.
_ID = 12
_SHOWN = (
    "run_id",
    "algorithm_name",
    "scanner_used",
    "start_date",
    "end_date",
    "trades",
    "total_return",
    "sharpe_ratio",
    "deflated_sharpe",
    "trials",
)
#: Figures of a sweep's case that a table shows.
_OF_CASE = ("trades", "total_return", "max_drawdown", "sharpe_ratio", "deflated_sharpe", "turnover", "costs")


_HELP = """Backtest a strategy file or a scanner (--scanner NAME) on the published release; list, show, compare stored runs.

Options of a run: marketlake backtest run --help

Example: marketlake backtest --scanner breakout_20d --from 2015-01-01 --json
"""


class _FileOrCommand(TyperGroup):
    """A group whose first word may be a file: `marketlake backtest FILE` is `marketlake backtest run FILE`."""

    #: The command that is meant where none is named.
    default = _RUN

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


backtest = typer.Typer(
    cls=_FileOrCommand,
    no_args_is_help=True,
    rich_markup_mode=None,
    help=_HELP,
)


@backtest.command(_RUN)
def run_command(
    file: Annotated[Path | None, typer.Argument(help="Strategy file, or the name of one in MARKETLAKE_STRATEGIES.")] = None,
    scanner: Annotated[
        str | None, typer.Option("--scanner", help="Trade this scanner by the nightly rules.", metavar="NAME")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="First session.", metavar="DATE")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last session.", metavar="DATE")] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", help="Another value of a key of the file.", metavar="SECTION.KEY=VALUE")
    ] = None,
    sweep: Annotated[
        Path | None, typer.Option("--sweep", help="Try every combination of this file's values; stores no run.", metavar="FILE")
    ] = None,
    exchange: Exchange = None,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Run a strategy on the published release and store the run; print the row of `backtest_runs`, and write its report.

    Example: marketlake backtest --scanner breakout_20d --param exits.stop_loss=0.05
    """
    from pipelines.backtest.actions import InputError
    from pipelines.backtest.charge_table import CostsError
    from pipelines.cli.backtest_run import Asked, run_and_store, try_all
    from pipelines.scanners.registry import UniverseError
    from pipelines.storage.locks import LockHeldError

    settings = read_settings(wait)
    asked = Asked.of(settings, file, scanner, param or [], first, last)
    strategy = asked.strategy({})
    mic = configured(settings, exchange or strategy.exchange)
    try:
        with progress(f"backtesting {strategy.strategy} on {mic}", quiet=as_json):
            tried = None if sweep is None else try_all(settings, mic, asked, sweep)
            done = run_and_store(settings, mic, strategy) if sweep is None else None
    except (InputError, UniverseError) as error:
        fail(str(error), USAGE)
    except (CostsError, LockHeldError) as error:
        fail(str(error))
    if tried is not None:
        _print_sweep(tried, as_json=as_json)
    if done is None:
        return
    if as_json:
        # As it is stored: no release has published it yet.
        say_json({**done.result.run, "release_id": None})
        return
    say_record(done.result.run)
    say()
    counts = [[name, value] for name, value in done.result.counts.items()]
    table(["signals that led to nothing, and limits that bound", "count"], counts)
    say()
    say(done.verdict)
    say(f"report: {done.report}")


@backtest.command("list")
def list_runs(exchange: Exchange = None, as_json: Json = False) -> None:
    """List the stored runs, those of nightly jobs too.

    Example: marketlake backtest list
    """
    rows = stored_runs(exchange)
    if as_json:
        say_json(rows)
    elif rows:
        table(_SHOWN, [[row["run_id"][:_ID], *(row[name] for name in _SHOWN[1:])] for row in rows])
    else:
        say("no run is stored; `marketlake backtest FILE` and `marketlake nightly` make one")


@backtest.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="Run, or how its id begins.")], exchange: Exchange = None, as_json: Json = False
) -> None:
    """Show everything that is stored of a run, its configuration too.

    Example: marketlake backtest show 8e9c2235
    """
    row = find_run(stored_runs(exchange), run)
    if as_json:
        say_json(row)
        return
    say_record({name: value for name, value in row.items() if name != "config_snapshot"})
    say()
    say_fields(json.loads(row["config_snapshot"]))


@backtest.command("compare")
def compare_runs(
    one: Annotated[str, typer.Argument(help="Run, or how its id begins.")],
    other: Annotated[str, typer.Argument(help="Another run.")],
    exchange: Exchange = None,
    as_json: Json = False,
) -> None:
    """Compare two runs: the figures and the keys of their configurations that differ.

    Example: marketlake backtest compare 8e9c2235 17aa90c4
    """
    stored = stored_runs(exchange)
    left, right = find_run(stored, one), find_run(stored, other)
    figures, settings = differences(left, right)
    if as_json:
        say_json({"runs": [left["run_id"], right["run_id"]], "figures": figures, "configuration": settings})
        return
    columns = ["", left["run_id"][:_ID], right["run_id"][:_ID]]
    table(["figure", *columns[1:]], [[str(cell) if cell is not None else None for cell in row] for row in figures])
    say()
    table(["configuration", *columns[1:]], [[None if cell is None else str(cell) for cell in row] for row in settings])


def _print_sweep(tried: list[dict[str, Any]], *, as_json: bool) -> None:
    """The cases as they were given for machines; for people the best Sharpe ratio first, each changed key in its column."""
    if as_json:
        say_json(tried)
        return
    best = sorted(tried, key=lambda row: -(row["sharpe_ratio"] or 0.0))
    keys, chance = list(json.loads(best[0]["parameters"])), best[0]["overfitting_probability"]
    rows = [[*json.loads(row["parameters"]).values(), *(row[name] for name in _OF_CASE)] for row in best]
    table([*keys, *_OF_CASE], rows)
    say()
    say(f"{len(tried):,} cases; each ratio is deflated by the {best[0]['trials']:,} parameter sets ever tried of this family")
    if chance is not None:
        say(f"probability of overfitting: {chance:.0%} (how often the best set in half of the months is a poor one in the others)")
