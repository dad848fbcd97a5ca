"""The command `marketlake indicators`: lists them, tells about one.

Lives here: parsing and printing.
Does not live here: what is said of an indicator (`indicator_pages.py`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.console import USAGE, fail, say, say_json, table
from pipelines.cli.options import Json, read_settings
from pipelines.cli.plugin_warnings import warn_of_faulty_plugins

indicators = typer.Typer(rich_markup_mode=None)


@indicators.callback(invoke_without_command=True)
def list_indicators(context: typer.Context, as_json: Json = False) -> None:
    """List the indicators of this installation: built-in, plugged in, chosen in the file MARKETLAKE_INDICATORS names.

    With columns, parameters, warm-up and range; `describe NAME` tells about one.

    Example: marketlake indicators --json
    """
    if context.invoked_subcommand is not None:
        return
    from pipelines.cli.indicator_pages import COLUMNS, indicator_rows
    from pipelines.indicators.registry import home_registry

    settings = read_settings()
    rows = indicator_rows(home_registry(settings.indicators))
    warn_of_faulty_plugins(settings)
    if as_json:
        say_json(rows)
        return
    shown = [
        [
            row["name"],
            " ".join(row["columns"]),
            " ".join(f"{name}={value:g}" for name, value in row["parameters"].items()),
            row["warm_up"],
            row["range"],
        ]
        for row in rows
    ]
    table(COLUMNS, shown)


@indicators.command("describe")
def describe_indicator(
    name: Annotated[str, typer.Argument(help="Indicator or column, for example rsi or bb_upper_20.")], as_json: Json = False
) -> None:
    """Tell formula, source, convention, inputs, units and carried state of one indicator.

    Example: marketlake indicators describe rsi
    """
    from pipelines.cli.indicator_pages import UnknownIndicatorError, describe
    from pipelines.indicators.registry import home_registry

    try:
        content = describe(name, home_registry(read_settings().indicators))
    except UnknownIndicatorError as error:
        fail(str(error), USAGE)
    if as_json:
        say_json(content)
        return
    columns = content.pop("columns", {})
    for what, text in content.items():
        say(f"{what + ':':<12} {text}")
    for column, text in columns.items():
        say(f"  {column}: {text}")
