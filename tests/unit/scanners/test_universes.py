"""Files of universes and watchlists: what they say, and the line in which they are wrong."""

from datetime import date
from pathlib import Path

import pytest

from pipelines.scanners.universe_names import check_names
from pipelines.scanners.universes import UniverseError, read_universes, read_watchlist

INDEX = """universe,symbol,valid_from,valid_to
nifty50,RELIANCE,2000-01-01,
nifty50,YESBANK,2015-03-27,2020-03-18
bank,HDFCBANK,,
"""


def test_members_belong_between_two_days_and_an_empty_day_is_open(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(INDEX)
    universes = read_universes(tmp_path / "index.csv", 5.0)

    assert universes.names == ["all", "liquid", "bank", "nifty50"]
    rows = {row["symbol"]: row for row in universes.members.to_dicts()}
    assert (rows["YESBANK"]["valid_from"], rows["YESBANK"]["valid_to"]) == (date(2015, 3, 27), date(2020, 3, 18))
    assert (rows["HDFCBANK"]["valid_from"], rows["HDFCBANK"]["valid_to"]) == (date.min, date.max)
    assert universes.rules.rows() == [("liquid", 5.0)]


def test_a_folder_holds_universes_and_watchlists_named_like_their_files(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(INDEX)
    (tmp_path / "Mine.csv").write_text("# What I hold\nINFY\n\nTCS  # since May\n")
    (tmp_path / "broker.csv").write_text("Symbol,Quantity\nSBIN,10\n")
    universes = read_universes(tmp_path, 5.0)

    assert universes.names == ["all", "liquid", "bank", "broker", "mine", "nifty50"]
    assert universes.members.filter(universe_name="mine")["symbol"].to_list() == ["INFY", "TCS"]


def test_a_watchlist_is_a_plain_list_or_a_column(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("\ufeffINFY\nTCS\nINFY\n", encoding="utf-8")
    (tmp_path / "list.csv").write_text('rank,symbol\n1,"M&M"\n2,XNSE:TCS\n')

    assert list(read_watchlist(tmp_path / "plain.txt")) == ["INFY", "TCS"]
    assert list(read_watchlist(tmp_path / "list.csv")) == ["M&M", "XNSE:TCS"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("universe,symbol,valid_from\nnifty50,INFY,01.01.2020\n", r"index\.csv:2: valid_from '01\.01\.2020' is no date"),
        ("universe,symbol,valid_from,valid_to\nx,INFY,2020-01-02,2020-01-01\n", r"index\.csv:2: valid_from 2020-01-02 lies after"),
        ("universe,symbol\n\nall,INFY\n", r"index\.csv:3: a universe cannot be called 'all'"),
        ("universe,symbol\nNifty 50,INFY\n", r"index\.csv:2: a universe cannot be called 'Nifty 50'"),
        ("universe,ticker\nnifty50,INFY\n", r"index\.csv:1: no column symbol"),
        ("universe,symbol,valid_from\nnifty50,INFY,2024-99-99\n", r"index\.csv:2: valid_from '2024-99-99' is no date"),
        ("universe,symbol,symbol\nnifty50,INFY,TCS\n", r"index\.csv:1: the column 'symbol' is there twice"),
        ("universe,symbol\nnifty50,INFY,2020-01-01\n", r"index\.csv:2: 3 fields where the heading has 2"),
        ('universe,symbol\nnifty50,"INFY\n', r"index\.csv:2: .* is no line of a CSV"),
        ("universe,symbol\nnifty50," + "A" * 200_000 + "\n", r"index\.csv:2: .* is no line of a CSV"),
        ("universe,symbol\nnifty50,IN\x1b[31mFY\n", r"index\.csv:2: holds the control character U\+001B"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(UniverseError, match=told):
        read_universes(tmp_path / "index.csv", 5.0)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UniverseError, match=r"MARKETLAKE_UNIVERSES: .*gone does not exist"):
        read_universes(tmp_path / "gone", 5.0)
    (tmp_path / "empty.csv").write_text("symbol\n")
    with pytest.raises(UniverseError, match="/dev/zero is no regular file"):
        read_universes(Path("/dev/zero"), 5.0)
    with pytest.raises(UniverseError, match="holds no symbol"):
        read_watchlist(tmp_path / "empty.csv")
    (tmp_path / "index.csv").write_text(INDEX)
    universes = read_universes(tmp_path / "index.csv", 5.0)
    with pytest.raises(UniverseError, match=r"unknown universe 'bnk'; did you mean bank\?"):
        universes.check("bnk")


def test_a_fingerprint_changes_with_the_lists_that_are_asked_for_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    path.write_text(INDEX)
    first = read_universes(path, 5.0)
    path.write_text(INDEX + "bank,SBIN,,\n")
    second = read_universes(path, 6.0)

    assert first.fingerprint({"nifty50"}) == second.fingerprint({"nifty50"})
    assert first.fingerprint({"bank"}) != second.fingerprint({"bank"})
    assert first.fingerprint({"liquid"}) != second.fingerprint({"liquid"})


@pytest.fixture
def renamed(pipeline, bars_csv):
    """A lake that knows a share as OLD and, since, as NEW."""
    rows = [("OLD", "2024-01-02", 10, 11, 9, 10, 100), ("NEW", "2024-01-03", 10, 11, 9, 10, 100)]
    actions = "symbol,ex_date,action,successor\nOLD,2024-01-03,rename,NEW\n"
    pipeline.ingest(pipeline.deliver("actions.csv", actions, source="actions"), pipeline.deliver("bars.csv", bars_csv(rows)))
    assert set(pipeline.rows("bars_daily")["instrument_id"]) == {"XNYS:OLD"}
    return pipeline.lake


@pytest.mark.parametrize("name", ["OLD", "NEW", "new", "XNYS:OLD"])
def test_every_name_that_an_instrument_has_or_had_is_one(tmp_path: Path, renamed, name: str) -> None:
    universes = read_universes(written(tmp_path, f"universe,symbol\nmine,{name}\n"), 5.0)
    check_names(renamed, ["XNSE", "XNYS"], "XNYS", universes, ["mine"])


def test_a_name_that_resolves_to_nothing_is_told_with_file_and_line(tmp_path: Path, renamed) -> None:
    universes = read_universes(written(tmp_path, "universe,symbol\nmine,OLD\n\nmine,TYPO\nmine,LINE\nother,GONE\n"), 5.0)
    message = r"index\.csv:4: no instrument of XNYS has or ever had the name 'TYPO': .*; the same of .*index\.csv:5 \(LINE\)$"
    with pytest.raises(UniverseError, match=message):
        check_names(renamed, ["XNSE", "XNYS"], "XNYS", universes, ["mine", "all"])
    # A universe that nobody looks at stops nobody.
    check_names(renamed, ["XNSE", "XNYS"], "XNYS", universes, ["all", "liquid"])


def test_names_of_a_watchlist_are_held_against_the_lake_as_well(tmp_path: Path, renamed) -> None:
    path = written(tmp_path, "# held\nOLD\nXNYS:OLD\nOLDE\nOLD\nZZZ\n")
    named = read_watchlist(path)
    assert named == {"OLD": 2, "XNYS:OLD": 3, "OLDE": 4, "ZZZ": 6}
    universes = read_universes(None, 5.0).with_watchlist(named, path)
    message = r":4: no instrument of XNYS has or ever had the name 'OLDE': did you mean OLD\? .*; the same of .*:6 \(ZZZ\)$"
    with pytest.raises(UniverseError, match=message):
        check_names(renamed, ["XNYS"], "XNYS", universes, ["watchlist"])
    check_names(renamed, ["XNYS"], "XNYS", read_universes(None, 5.0).with_watchlist({"OLD": 1, "NEW": 2}, path), ["watchlist"])


def test_names_of_another_exchange_are_left_to_it(tmp_path: Path, renamed) -> None:
    universes = read_universes(written(tmp_path, "universe,symbol,exchange\nmine,INFY,XNSE\nmine,OLD,\n"), 5.0)
    check_names(renamed, ["XNSE", "XNYS"], "XNYS", universes, ["mine"])
    with pytest.raises(UniverseError, match=r"index\.csv:2: no instrument of XNYS"):
        check_names(renamed, ["XNSE", "XNYS"], "XNSE", universes, ["mine"])


def test_moving_a_line_within_a_file_leaves_the_universe_what_it_is(tmp_path: Path) -> None:
    one = read_universes(written(tmp_path, "universe,symbol\nmine,A\n"), 5.0).fingerprint(["mine"])
    assert read_universes(written(tmp_path, "universe,symbol\n\nmine,a\n"), 5.0).fingerprint(["mine"]) == one


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "index.csv"
    path.write_text(text, encoding="utf-8")
    return path
