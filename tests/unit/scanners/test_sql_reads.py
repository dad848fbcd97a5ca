"""Whatever way SQL takes out of schema `scan`, or to a result that depends on the run, is told by parsing it."""

import pytest

from pipelines.scanners.extensions.sql_reads import sql_faults, template_faults

READS = {"bars_prior", "day_so_far"}


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select * from lake.bars_daily", "lake.bars_daily"),
        ('select * from "LAKE"."bars_daily"', "LAKE.bars_daily"),
        ("from lake.bars_daily", "lake.bars_daily"),
        ("select (select max(close) from lake.bars_daily) from scan.day_so_far", "lake.bars_daily"),
        ("select * from scan.day_so_far where exists (from staging.stg_bars_daily)", "staging.stg_bars_daily"),
        ("select * from scan.day_so_far anti join lake.bars_1m using (instrument_id)", "lake.bars_1m"),
        ("with scan as (select * from scan.day_so_far) select * from (with x as (from lake.a) from x)", "lake.a"),
        ("select * from memory.scan.day_so_far", "memory.scan.day_so_far"),
        ("select * from information_schema.tables", "information_schema.tables"),
        ("select * from bars_daily", "bars_daily"),
        ("select * from (with inner_only as (select 1) from inner_only), inner_only", "inner_only"),
        ("select * from 'bars.parquet'", "bars.parquet"),
        ("select * from read_parquet('bars.parquet')", "read_parquet"),
        ("select * from read_csv_auto('bars.csv')", "read_csv_auto"),
        ("select * from glob('*')", "glob"),
        ("select * from duckdb_tables()", "duckdb_tables"),
        ("select * from query('from lake.bars_daily')", "query"),
        ("select * from scan.moments", "scan('moments')"),
        ("select now() as at from scan.day_so_far", "CURRENT_TIMESTAMP|NOW"),
        ("select current_date from scan.day_so_far", "CURRENT_DATE"),
        ("select random() from scan.day_so_far", "RANDOM|RAND"),
        ("select uuid() from scan.day_so_far", "UUID"),
        ("select getenv('HOME') from scan.day_so_far", "GETENV|getenv"),
        ("select * from scan.day_so_far using sample 10", "samples"),
        ("select 1; select 2", "one SELECT"),
        ("copy (select 1) to 'x'", "one SELECT"),
        ("select from from from", "cannot be parsed"),
    ],
)
def test_what_a_scanner_may_not_read_or_call_is_named(sql: str, named: str) -> None:
    faults = sql_faults(sql, READS)

    assert any(word in fault for fault in faults for word in named.split("|")), faults


@pytest.mark.parametrize(
    "sql",
    [
        "select * from scan.day_so_far",
        'with lake as (select * from "scan"."bars_prior"), bars_daily as (from lake) select * from bars_daily',
        "select * from scan.day_so_far, unnest([1, 2]) as t(i), generate_series(1, 3)",
        "select json_object('a', close = 100, 'b', x[1:2]) from scan.bars_prior semi join scan.day_so_far using (instrument_id)",
        "select list_transform([1], lambda x: x + 1), * exclude (symbol) from scan.day_so_far group by all",
    ],
)
def test_what_stays_in_schema_scan_passes(sql: str) -> None:
    assert sql_faults(sql, READS) == []


@pytest.mark.parametrize(
    ("known_at", "passes"),
    [
        ("known_at", True),
        ("greatest(bars.known_at, coalesce(bars.known_at, as_of_ts))", True),
        ("max(known_at) filter (where sessions_ago < 3)", True),
        ("timestamptz '2000-01-01 00:00:00+00'", False),
        ("as_of_ts", False),
        ("known_at - interval 400 days", False),
        ("min(known_at)", False),
        ("least(known_at, as_of_ts)", False),
    ],
)
def test_a_known_at_that_is_not_carried_on_from_the_rows_read_is_named(known_at: str, passes: bool) -> None:
    faults = sql_faults(
        f"with read as (select {known_at} as known from scan.bars_prior as bars) select known as known_at from read", READS
    )

    assert (faults == []) is passes


def test_a_text_may_call_the_macros_of_scanners_and_no_others() -> None:
    assert template_faults("{% set days = 5 %}select * from {{ scan('bars_prior', where='sessions_ago <= ' ~ days) }}") == []
    for name in ("ref", "source", "var", "env_var", "run_query", "adapter", "graph", "as_of"):
        (fault,) = template_faults(f"select * from {{{{ {name}('lake') }}}}")
        assert fault.startswith(f"uses {name}()")
    assert template_faults("select {{ ") != []


def test_every_scanner_of_the_project_passes(compiled_scanners: dict[str, tuple[str, str, set[str]]]) -> None:
    assert len(compiled_scanners) >= 19
    for name, (raw, sql, asked) in compiled_scanners.items():
        assert (template_faults(raw), sql_faults(sql, asked)) == ([], []), name


@pytest.fixture(scope="module")
def compiled_scanners(dbt_manifest) -> dict[str, tuple[str, str, set[str]]]:
    import json

    nodes = json.loads((dbt_manifest / "manifest.json").read_text(encoding="utf-8"))["nodes"].values()
    return {
        node["name"]: (
            node["raw_code"],
            node["compiled_code"],
            {key.rpartition(".")[2] for key in node["depends_on"]["nodes"]},
        )
        for node in nodes
        if node["resource_type"] == "model" and node["fqn"][1] == "scanners"
    }
