"""The command `marketlake backtest`: a file becomes a stored run, and runs are listed, shown and compared."""

import json
from pathlib import Path

import pytest

from pipelines.settings import Settings

FILE = "strategy: quiet\nscanners: [breakout_20d]\n"


@pytest.fixture
def strategy(released: Settings):
    folder = released.home / "strategies"
    folder.mkdir()
    path = folder / "quiet.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.measured
def test_a_file_becomes_a_stored_run_and_its_row_is_the_json(marketlake, strategy) -> None:
    code, out, _ = marketlake("backtest", str(strategy), "--json")
    row = json.loads(out)
    assert (code, row["algorithm_name"], row["scanner_used"], row["trades"]) == (0, "quiet", "breakout_20d", 0)
    assert json.loads(marketlake("backtest", "list", "--json")[1]) == [row]
    assert json.loads(marketlake("backtest", "show", row["run_id"][:6], "--json")[1])["run_id"] == row["run_id"]
    # The same run again is the same row; by its name in the folder of strategies too.
    assert json.loads(marketlake("backtest", "quiet", "--json")[1])["run_id"] == row["run_id"]
    assert len(json.loads(marketlake("backtest", "list", "--json")[1])) == 1
    assert row["run_id"][:12] in marketlake("backtest", "list")[1]
    shown = marketlake("backtest", "show", row["run_id"])[1]
    assert ("config_snapshot" in shown, "positions:   10" in shown) == (False, True)


@pytest.mark.slow
@pytest.mark.measured
def test_a_run_has_its_report_and_says_its_verdict(marketlake, strategy, released: Settings) -> None:
    code, out, _ = marketlake("backtest", str(strategy))
    path = Path(out.strip().splitlines()[-1].removeprefix("report: "))
    assert (code, path.parent) == (0, released.reports_dir)
    assert "No signal led to a trade: there is nothing to judge." in out
    page = path.read_bytes()
    assert b'data-verdict="nothing_traded"' in page
    assert path.name.encode() in (path.parent / "index.html").read_bytes()
    # Run again, it is the same page, byte for byte.
    path.unlink()
    assert marketlake("backtest", str(strategy), "--json")[0] == 0
    assert path.read_bytes() == page


@pytest.mark.slow
@pytest.mark.measured
def test_compared_runs_differ_by_the_key_that_was_changed(marketlake, strategy) -> None:
    one = json.loads(marketlake("backtest", str(strategy), "--json")[1])["run_id"]
    other = json.loads(marketlake("backtest", str(strategy), "--param", "limits.positions=3", "--json")[1])["run_id"]
    code, out, _ = marketlake("backtest", "compare", one, other, "--json")
    content = json.loads(out)
    # Without a trade the runs differ in nothing but how many were tried.
    assert (code, content["figures"]) == (0, [["trials", 1, 2]])
    assert ["parameters.file.limits.positions", 10, 3] in content["configuration"]
    assert "parameters.file.limits.positions" in marketlake("backtest", "compare", one, other)[1]


@pytest.mark.slow
@pytest.mark.measured
def test_every_parameter_set_is_counted_once_and_judged_among_its_family(marketlake, strategy) -> None:
    def run(*arguments: str) -> dict:
        return json.loads(marketlake("backtest", *arguments, "--json")[1])

    assert run(str(strategy))["trials"] == 1
    assert run(str(strategy), "--param", "limits.positions=3")["trials"] == 2
    # The same set again, and under another name; another scanner is another family.
    assert [run(str(strategy))["trials"], run(str(strategy), "--param", "strategy=other")["trials"]] == [2, 2]
    sweep = strategy.parent / "sweep.yaml"
    sweep.write_text("limits.positions: [3, 4, 10]\n", encoding="utf-8")
    rows = json.loads(marketlake("backtest", str(strategy), "--sweep", str(sweep), "--json")[1])
    assert [row["trials"] for row in rows] == [3] * 3
    # By the nightly rules it is one more set of the family.
    assert run("--scanner", "breakout_20d")["trials"] == 4
    assert run("--scanner", "technical_rsi")["trials"] == 1


def test_a_sweep_tries_every_combination_and_stores_no_run(marketlake, strategy) -> None:
    sweep = strategy.parent / "sweep.yaml"
    sweep.write_text("limits.positions: [1, 2]\nexits.stop_loss: [0.05, null]\n", encoding="utf-8")
    code, out, _ = marketlake("backtest", str(strategy), "--sweep", str(sweep), "--json")
    rows = json.loads(out)
    assert (code, [row["case"] for row in rows], rows[0]["trials"]) == (0, [1, 2, 3, 4], 4)
    assert json.loads(rows[1]["parameters"]) == {"limits.positions": 1, "exits.stop_loss": None}
    assert json.loads(marketlake("backtest", "list", "--json")[1]) == []
    shown = marketlake("backtest", str(strategy), "--sweep", str(sweep))[1]
    assert all(words in shown for words in ("limits.positions", "exits.stop_loss", "4 cases", "the 4 parameter sets"))
    sweep.write_text("limits.position: [1]\n", encoding="utf-8")
    code, _, err = marketlake("backtest", str(strategy), "--sweep", str(sweep))
    assert (code, "no key 'limits.position'; did you mean positions?" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "no strategy file nope"),
        (["--scanner", "breakout_20"], "did you mean breakout_20d?"),
        (["quiet", "--param", "limits.positions=0"], "--param: limits.positions is 0"),
        (["quiet", "--param", "limits"], "write SECTION.KEY=VALUE"),
        (["quiet", "--from", "2024-13-01"], "--from"),
        (["quiet", "--from", "2024-02-01"], "no bar of its universe between its dates"),
        (["quiet", "--scanner", "breakout_20d"], "one of them"),
        (["show", "zz"], "begins no runs"),
    ],
)
def test_wrong_usage_ends_with_one_line(marketlake, strategy, arguments, message) -> None:
    code, _, err = marketlake("backtest", *arguments)
    assert (code, message in err) == (2, True), err
    assert "Traceback" not in err


def test_a_home_without_a_release_says_what_to_do(marketlake, home: Settings) -> None:
    code, _, err = marketlake("backtest", "--scanner", "breakout_20d")
    assert (code, "run `marketlake nightly" in err) == (1, True)
