"""`marketlake instruments split` as typed: one clear line for wrong input, and the whole way of a right one."""

import json
from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

D1, D2, D3 = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
Command = Callable[..., tuple[int, str, str]]
WHY = ("--reason", "another company, said the exchange")


@pytest.fixture
def bars(bars_csv) -> str:
    return bars_csv([("TWICE", day, 10, 11, 9, 10, 100 + day.day) for day in (D1, D2, D3)])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("TWICE", "--from", "2024-01-04"), "--reason: say why"),
        (("TWICE", "--from", "2024-01-04", "--reason", "  "), "--reason: say why"),
        (("TWICE", "--from", "2024-99-04", *WHY), "--from: '2024-99-04' is no date"),
        (("NONE", "--from", "2024-01-04", *WHY), "no instrument of XNYS has the ticker NONE on 2024-01-04"),
        (("TWICE", "--from", "2024-01-02", *WHY), "no bars of TWICE before 2024-01-02"),
        (("TWICE", "--from", "2024-01-05", *WHY), "no bars of TWICE from 2024-01-05 on"),
        (("TWICE", "--from", "2024-01-04", "--name", "[red]", *WHY), "--name: '[red]' cannot name an instrument"),
        (("TWICE", "--from", "2024-01-04", "--name", "TWICE", *WHY), "XNYS:TWICE is an instrument already"),
        (("TWICE", "--from", "2024-01-04", "--decided-at", "2999-01-01T00:00:00+00:00", *WHY), "lies in the future"),
    ],
)
def test_wrong_input_is_one_line_and_ends_with_two(road, marketlake: Command, bars: str, arguments, says: str) -> None:
    road.ingest(road.deliver("d.csv", bars))
    code, out, err = marketlake("instruments", "split", *arguments)
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert set(road.rows("bars_daily")["instrument_id"]) == {"XNYS:TWICE"}


@pytest.mark.slow
def test_a_split_is_recorded_explained_done_once_and_taken_back(dagster_road, marketlake: Command, bars: str) -> None:
    road = dagster_road
    road.ingest(road.deliver("d.csv", bars))
    asked = ("instruments", "split", "twice", "--from", "2024-01-04", *WHY, "--json")
    code, out, _ = marketlake(*asked)
    done = json.loads(out)
    assert (code, done["status"], done["holder"], done["new_id"]) == (0, "split", "XNYS:TWICE", "XNYS:TWICE:2024-01-04")
    assert done["rows"] == {"bars_daily": 1}
    owners = road.rows("bars_daily").sort("session_date")["instrument_id"].to_list()
    assert owners == ["XNYS:TWICE", "XNYS:TWICE", "XNYS:TWICE:2024-01-04"]
    assert json.loads(marketlake(*asked)[1])["status"] == "split before"
    moved = road.rows("instrument_aliases").filter(pl.col("instrument_id") == "XNYS:TWICE:2024-01-04")
    assert moved["batch_id"].to_list() == [done["batch_id"]]
    code, _, _ = marketlake("withdraw", done["batch_id"], "--reason", "it was one company")
    assert code == 0
    assert set(road.rows("bars_daily")["instrument_id"]) == {"XNYS:TWICE"}
    assert json.loads(marketlake(*asked)[1])["status"] == "split"
