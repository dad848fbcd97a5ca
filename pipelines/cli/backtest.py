"""The command `marketlake backtest`: a strategy file or a scanner on the published release, and the runs that are stored.

Lives here: its arguments and how runs print.
Does not live here: what may stand in a file (`backtest/strategies`), the run (`backtest/portfolio.py`), storing it (`update.py`),
finding stored runs and what parts two (`backtest_runs.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pipelines.cli.backtest_runs import differences, find_run, stored_runs
from pipelines.cli.console import USAGE, fail, progress, say, say_json, say_record, table
from pipelines.cli.options import Exchange, Json, Wait, configured, day, read_settings

if TYPE_CHECKING:
    from pipelines.backtest.portfolio import BacktestResult
    from pipelines.backtest.strategies.file import StrategyFile
    from pipelines.settings import Settings

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
    "max_drawdown",
    "sharpe_ratio",
)


_HELP = """Backtest a strategy file or a scanner (--scanner NAME) on the published release; list, show, compare stored runs.

Options of a run: marketlake backtest run --help

Example: marketlake backtest strategies/sma_cross.yaml --from 2015-01-01 --json
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
    exchange: Exchange = None,
    wait: Wait = None,
    as_json: Json = False,
) -> None:
    """Run a strategy on the published release and store the run; print the row of `backtest_runs`.

    Example: marketlake backtest strategies/sma_cross.yaml --from 2015-01-01 --param exits.stop_loss=0.05
    """
    from pipelines.backtest.actions import InputError
    from pipelines.backtest.charge_table import CostsError
    from pipelines.scanners.registry import UniverseError
    from pipelines.storage.locks import LockHeldError

    settings = read_settings(wait)
    strategy = _strategy(settings, file, scanner, _changes(param or [], first, last))
    mic = configured(settings, exchange or strategy.exchange)
    try:
        with progress(f"backtesting {strategy.strategy} on {mic}", quiet=as_json):
            result = _run_and_store(settings, mic, strategy)
    except (InputError, UniverseError) as error:
        fail(str(error), USAGE)
    except (CostsError, LockHeldError) as error:
        fail(str(error))
    if as_json:
        # As it is stored: no release has published it yet.
        say_json({**result.run, "release_id": None})
        return
    say_record(result.run)
    say()
    table(["signals that led to nothing, and limits that bound", "count"], [[name, value] for name, value in result.counts.items()])


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
    else:
        say_record(row)


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


def _strategy(settings: Settings, file: Path | None, scanner: str | None, changes: dict[str, Any]) -> StrategyFile:
    from pipelines.backtest.strategies.reading import read_strategy, strategy_of_scanner

    if (file is None) == (scanner is None):
        fail("give a strategy file or --scanner NAME, one of them", USAGE)
    if file is None:
        return strategy_of_scanner(str(scanner), settings.backtest_cash, settings.backtest_volume_share, changes)
    if not file.exists():
        named = [settings.strategies_dir / f"{file}{ending}" for ending in ("", ".yaml", ".yml")]
        found = [path for path in named if path.is_file()]
        if not found:
            fail(f"no strategy file {file}, neither here nor in {settings.strategies_dir}", USAGE)
        file = found[0]
    return read_strategy(file, changes)


def _changes(params: list[str], first: str | None, last: str | None) -> dict[str, Any]:
    """Values by dotted key; one that is none ends the command."""
    import yaml

    changes: dict[str, Any] = {}
    for param in params:
        key, sign, value = param.partition("=")
        if not sign or not key:
            fail(f"--param {param}: write SECTION.KEY=VALUE, for example exits.stop_loss=0.05", USAGE)
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            fail(f"--param {param}: {value!r} is no value", USAGE)
    for key, text, option in (("dates.from", first, "--from"), ("dates.to", last, "--to")):
        if text is not None:
            changes[key] = day(text, option)
    return changes


def _run_and_store(settings: Settings, mic: str, strategy: StrategyFile) -> BacktestResult:
    from pipelines.backtest.exchange_costs import CostSettings
    from pipelines.backtest.rules import FillRules
    from pipelines.backtest.strategies.run import run_strategy
    from pipelines.backtest.update import add_result, read_inputs
    from pipelines.scanners.universes import read_universes
    from pipelines.storage.location import Lake
    from pipelines.storage.locks import home_lock
    from pipelines.storage.releases import latest_release

    lake = Lake.from_settings(settings)
    release = latest_release(lake)
    if release is None or not release.versions(mic):
        fail(f"{mic} has no release; run `marketlake nightly --exchange {mic}` or `marketlake demo`")
    inputs = read_inputs(lake, mic, release.versions(mic), *strategy.scanners)
    _check_scanners(settings, strategy, {name for name, _ in inputs.recorded})
    result = run_strategy(
        mic,
        strategy,
        inputs,
        read_universes(settings.universes, settings.liquid_value),
        costs=CostSettings(
            bps=settings.backtest_cost_bps,
            depository_charge=settings.backtest_depository_charge,
            state_stamp_bps=settings.backtest_state_stamp_bps,
            before_table=settings.backtest_before_cost_table,
        ),
        fills=FillRules(locked_move=settings.locked_move, delisting_haircut=settings.delisting_haircut),
    )
    if result is None:
        fail(f"{strategy.strategy}: no bar of its universe between its dates in release {release.release_id}", USAGE)
    with home_lock(settings.state_dir, "backtest", settings.lock_wait):
        add_result(lake, mic, result)
    return result


def _check_scanners(settings: Settings, strategy: StrategyFile, recorded: set[str]) -> None:
    """End the command where a scanner neither has signals on record nor is one of this home."""
    from difflib import get_close_matches

    from pipelines.scanners.project import HomeProject

    unknown = [name for name in strategy.scanners if name not in recorded]
    if not unknown:
        return
    declared = HomeProject.from_settings(settings).declared_scanners()
    for name in unknown:
        if name not in declared:
            near = get_close_matches(name, [*declared, *recorded], 1, 0.5)
            fail(f"no scanner {name!r}{f'; did you mean {near[0]}?' if near else ''} (`marketlake scanners` lists them)", USAGE)
