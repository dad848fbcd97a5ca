"""`marketlake sql` and `describe` on a small released home: what they print, what they refuse, and where the home may lie."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.cli.describe import published_relations
from pipelines.market.tables import TABLES
from pipelines.settings import Settings
from pipelines.storage.catalogue import publish_catalogue
from pipelines.storage.delta import empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.query import open_catalogue
from pipelines.storage.releases import record_release, releases
from pipelines.storage.upsert import publish
from tests.support.indicator_tables import INDICATOR_TABLES

SCHEMAS = {name: schema for name, schema in {**TABLES, **INDICATOR_TABLES}.items() if name != "releases"}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture(params=["plain", "50% Börse  daten", "it's #1+2,~(ü)"])
def home(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one released bar, in folders that people really have."""
    folder = tmp_path / request.param
    folder.mkdir()
    monkeypatch.setenv("MARKETLAKE_HOME", str(folder))
    settings = Settings()
    lake = Lake.from_settings(settings)
    version = publish(lake, "XNYS", TABLES["bars_daily"], _one_bar(), priorities={}, batches=["b"]).version
    assert version is not None
    shown, _ = record_release(lake, "XNYS", {"bars_daily": version}, code_version="1", config={}, sessions=[])
    publish_catalogue(lake, shown, SCHEMAS, releases(lake), settings.state_dir, settings.catalogue_link)
    return folder


@pytest.fixture
def marketlake(home: Path, marketlake: Callable[..., tuple[int, str, str]]) -> Command:
    def run(*arguments: str) -> Ended:
        return Ended(*marketlake(*arguments))

    return run


def _one_bar() -> pl.DataFrame:
    known = datetime(2024, 1, 2, 21, tzinfo=UTC)
    bar = {"exchange": "XNYS", "instrument_id": "XNYS:AAPL", "session_date": known.date(), "symbol": "AAPL", "session_year": 2024}
    prices = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 100}
    origin = {"source": "csv", "known_at": known, "batch_id": "b", "row_number": 2}
    frame = pl.DataFrame([{**bar, **prices, **origin}], schema=dict(empty_frame(TABLES["bars_daily"]).schema))
    return frame.with_columns(received_at=pl.lit(known))


plain = pytest.mark.parametrize("home", ["plain"], indirect=True)


def test_a_home_in_any_folder_is_read_back(marketlake: Command) -> None:
    assert marketlake("sql", "select close from bars_daily", "--format", "csv").out == "close\n10.5\n"


@plain
def test_a_wide_table_drops_columns_and_folds_no_value(marketlake: Command) -> None:
    out = marketlake("sql", "select * from bars_daily, releases").out
    assert max(map(len, out.splitlines())) <= 140
    assert re.search(r"│ exchange +│ instrument_id +│", out)
    assert re.search(r"\d+ columns \(\d+ shown\)", out)


@plain
def test_vertical_prints_every_column_with_control_characters_escaped(marketlake: Command) -> None:
    out = marketlake("sql", "select 1 as one, null as none, chr(27) || '[31m' as colour", "--vertical").out
    assert out == "── row 1 ──\n   one  1\n  none  NULL\ncolour  \\x1b[31m\n"


@plain
def test_a_table_shows_every_character_that_a_terminal_would_obey_as_its_escape(marketlake: Command) -> None:
    """DuckDB writes out some of them; marks of direction and the one-byte commands of old terminals it prints."""
    query = "select chr(27) || '[31m' as red, chr(8238) || 'ltr' as turned, chr(155) || '2J' as wiped"
    out = marketlake("sql", query).out
    assert all(c.isprintable() or c == "\n" for c in out)
    assert "\\u202eltr" in out
    assert "\\x9b2J" in out


@plain
@pytest.mark.parametrize("output", ["csv", "json"])
def test_nested_values_and_intervals_are_written_as_text(marketlake: Command, output: str) -> None:
    query = (
        "select [1.5::double, 2.5] as list, map {1: 2} as pairs, interval 1 day as span, sum(9223372036854775807) - 1 most, 1 most"
    )
    ended = marketlake("sql", query, "--format", output)
    assert (ended.code, ended.err) == (0, "")
    if output == "csv":
        assert ended.out == 'list,pairs,span,most,most_1\n"[1.5, 2.5]",{1=2},1 day,9223372036854775806,1\n'
    else:
        assert json.loads(ended.out) == [
            {"list": [1.5, 2.5], "pairs": "{1=2}", "span": "1 day", "most": 9223372036854775806, "most_1": 1}
        ]


@plain
@pytest.mark.parametrize(
    "query",
    [
        "from duckdb_settings()",
        "select current_setting ('allowed_paths')",
        "select \"current_setting\" /* here */ ('threads')",
        "from duckdb_secrets()",
    ],
)
def test_settings_of_the_connection_are_closed(marketlake: Command, query: str) -> None:
    ended = marketlake("sql", query)
    assert (ended.code, ended.out) == (1, "")
    assert re.fullmatch(r"error: (duckdb_settings|current_setting|duckdb_secrets) is closed here[^\n]+\n", ended.err)


@plain
@pytest.mark.parametrize("inside", ["raw/secret.csv", "XNYS/bars_daily/_delta_log/00000000000000000000.json"])
def test_files_of_the_lake_that_no_view_names_are_closed(marketlake: Command, home: Path, inside: str) -> None:
    path = home / "lake" / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text("key\nvalue\n", encoding="utf-8")
    for query in (f"from read_text('{path}')", f"from '{path}'", f"from glob('{home}/lake/**')"):
        ended = marketlake("sql", query)
        assert (ended.code, ended.out) == (1, "")
        assert re.fullmatch(r"error: [^\n]+\n", ended.err)


@plain
def test_a_release_is_found_by_how_its_id_begins(marketlake: Command) -> None:
    assert marketlake("sql", "select 1 as a", "--release", "r00001", "--format", "csv").out == "a\n1\n"
    unknown = marketlake("sql", "select 1", "--release", "r9")
    assert (unknown.code, unknown.err.startswith("error: no release 'r9'")) == (1, True)


@plain
def test_every_relation_of_the_catalogue_is_described_with_every_column(home: Path) -> None:
    settings = Settings()
    with open_catalogue(settings.catalogue_link, Lake.from_settings(settings)) as connection:
        columns = connection.sql(
            "select table_name, column_name, comment from duckdb_columns() where not internal and schema_name = 'main'"
        ).pl()
        relations = connection.sql(
            "select view_name as name, comment from duckdb_views() where not internal "
            "union all select table_name, comment from duckdb_tables()"
        ).pl()
    assert relations.filter(pl.col("comment").fill_null("") == "").get_column("name").to_list() == []
    assert columns.filter(pl.col("comment").fill_null("") == "").is_empty()
    described = {name: set(schema.names) for name, schema in published_relations({**TABLES, **INDICATOR_TABLES}).items()}
    assert {name: set(rows["column_name"]) for (name,), rows in columns.group_by("table_name")} == described
    assert set(relations.get_column("name")) == set(described)


@plain
def test_describe_prints_type_unit_and_meaning_and_suggests_the_nearest_name(marketlake: Command) -> None:
    out = marketlake("describe", "bars_daily").out
    assert re.search(r"^close +DOUBLE +price +Last \(or official closing\) price", out, re.MULTILINE)
    columns = {c["name"]: c for c in json.loads(marketlake("describe", "indicators_daily", "--json").out)["columns"]}
    assert columns["rsi_14"]["unit"]
    assert columns["rsi_14"]["source"]
    wrong = marketlake("describe", "bar_daily")
    assert (wrong.code, wrong.err) == (
        2,
        "error: no table 'bar_daily'; did you mean bars_daily? `marketlake sql \"show tables\"` lists them\n",
    )


@plain
def test_the_exchange_that_has_bars_is_the_default_when_only_one_has(marketlake: Command) -> None:
    assert "XNYS" in marketlake("quarantine", "list").out
    ended = marketlake("explain", "bars_daily", "AAPL", "2024-01-03")
    assert ended.code == 2
    assert "XNYS" in ended.err


@plain
def test_the_version_is_printed(marketlake: Command) -> None:
    assert re.fullmatch(r"marketlake \d+\.\d+\.\d+\n", marketlake("--version").out)


@plain
@pytest.mark.parametrize("folder", ["a[1]", "a*", "50%20off", "a=b", "back\\slash"])
def test_a_home_whose_tables_could_not_be_found_again_is_refused_in_one_line(
    marketlake: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str
) -> None:
    monkeypatch.setenv("MARKETLAKE_HOME", str(tmp_path / folder))
    ended = marketlake("releases")
    assert (ended.code, ended.out) == (2, "")
    assert re.fullmatch(r"error: settings: MARKETLAKE_HOME: [^\n]+rename the folder\n", ended.err)
