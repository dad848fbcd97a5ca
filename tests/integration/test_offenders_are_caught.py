"""Scanners and indicators that see the future, read past the scan or state a false known_at are caught by a nightly run, by name.

The market is the bundled one of three shares: a year of days, minutes of AAPL on three of the last sessions, and one restated bar.
"""

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytestmark = pytest.mark.slow

CHECKS_PAST_SESSIONS = True

ROOT = Path(__file__).parents[2]

YML = """models:
  - name: {name}
    description: A scanner of a test.
    config:
      meta:
        scanner:
          version: 1
          family: acme
          evaluates: {evaluates}
          moments: [{moments}]
          min_coverage_pct: 0
          rule: none
          parameters: {{}}
"""
MODEL = """with

rows_read as (

{rows}

),

final as (

    select
        *,
        last_price as entry_price,
        null as target_price,
        null as stop_loss,
        0.5 as score
    from rows_read

),

signals as (

    {{{{ signal_rows('final', timeframe='1d', details={{}}) }}}}

)

select * from signals
"""
#: The next evaluation time's price stands in the same frame, when many are scanned at once.
LEAD = """    select
        *,
        case when lead(last_price) over (partition by instrument_id order by as_of_ts) > last_price then 1 else 0 end as side
    from {{ scan('day_so_far') }}"""
#: At 09:50 the day's volume is known from the row of the close.
FINAL_VOLUME = """    select
        so_far.*,
        case when so_far.volume * 2 < max(so_far.volume) over (partition by so_far.session_date, so_far.instrument_id) then 1 else 0
        end as side
    from {{ scan('day_so_far') }} as so_far"""
RAW = """    select
        so_far.*,
        case when bars.close > so_far.last_price then 1 else 0 end as side
    from {{ scan('day_so_far') }} as so_far
    inner join lake.bars_daily as bars
        on so_far.instrument_id = bars.instrument_id and bars.session_date = so_far.session_date + 1"""
#: What it stands on is known, it says, before anything was.
FALSE_KNOWN_AT = """    select
        so_far.* exclude (known_at),
        case when so_far.last_price > bars.close then 1 else 0 end as side,
        timestamptz '2000-01-01 00:00:00+00' as known_at
    from {{ scan('day_so_far') }} as so_far
    inner join {{ scan('bars_prior') }} as bars
        on so_far.as_of_ts = bars.as_of_ts and so_far.instrument_id = bars.instrument_id and bars.sessions_ago = 1"""
HONEST = """    select
        so_far.* exclude (known_at),
        case when so_far.last_price > bars.close then 1 else 0 end as side,
        greatest(so_far.known_at, bars.known_at) as known_at
    from {{ scan('day_so_far') }} as so_far
    inner join {{ scan('bars_prior', where='sessions_ago = 1') }} as bars
        on so_far.as_of_ts = bars.as_of_ts and so_far.instrument_id = bars.instrument_id"""
SCANNERS = {
    "acme_lead": (LEAD, "closed_daily", "close"),
    "acme_final_volume": (FINAL_VOLUME, "forming_daily", '"09:50", close'),
    "acme_raw": (RAW, "closed_daily", "close"),
    "acme_false_known_at": (FALSE_KNOWN_AT, "closed_daily", "close"),
    "acme_honest": (HONEST, "closed_daily", "close"),
}
#: The same as the honest one, and a known_at before anything was.
FALSE_IN_PYTHON = """
import polars as pl
from datetime import UTC, datetime
from pipelines.scanners.engine.python_scanner import PythonScanner, Reads


def decide(frames, values):
    keys = ["as_of_ts", "instrument_id"]
    both = frames["day_so_far"].join(frames["bars_prior"], on=keys)
    return both.with_columns(
        side=(pl.col("last_price") > pl.col("close")).cast(pl.Int64), entry_price="last_price", target_price=None, stop_loss=None,
        score=0.5, known_at=datetime(2000, 1, 1, tzinfo=UTC),
    )


FALSE_IN_PYTHON = PythonScanner(
    name="acme_false_in_python", version=1, family="acme", description="A scanner of a test.", rule="none",
    evaluates="closed_daily", min_coverage_pct=0, decide=decide,
    reads={"day_so_far": Reads(("last_price",)), "bars_prior": Reads(("close",), where="sessions_ago = 1")},
)


def acme_false_in_python():
    return FALSE_IN_PYTHON
"""
#: The close after the one that is computed, where the frame holds it.
PEEKING_INDICATOR = """
from pipelines.indicators.frame import CLOSE
from pipelines.indicators.jit import kernel
from pipelines.indicators.model import Indicator, Output


@kernel
def next_close(frame, span, state, marks, snapshots, out):
    for i in range(span[0], span[1]):
        out[0, i - span[0]] = frame[CLOSE, min(i + 1, span[1] - 1)] - frame[CLOSE, i]


@kernel
def last_change(frame, span, state, marks, snapshots, out):
    for i in range(span[0], span[1]):
        out[0, i - span[0]] = frame[CLOSE, i] - frame[CLOSE, i - 1] if span[2] + i - span[0] > 0 else float("nan")


def _of(name, lookback):
    return Indicator(
        name=name, kernel="acme_offenders:" + name, inputs=("close",), parameters={}, outputs=(Output(name, "price", name),),
        lookback=lookback, warm_up=1 + lookback, formula="none", source="the test",
    )


NEXT_CLOSE, LAST_CHANGE = _of("next_close", 0), _of("last_change", 1)
"""


def install(site: Path) -> None:
    """What pip would leave of a package with all offenders, each scanner an entry point of its own, and two honest plug-ins."""
    code = [PEEKING_INDICATOR, FALSE_IN_PYTHON, "from pathlib import Path"]
    for name, (rows, evaluates, moments) in SCANNERS.items():
        folder = site / "models" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.sql").write_text(MODEL.format(rows=rows))
        (folder / f"{name}.yml").write_text(YML.format(name=name, evaluates=evaluates, moments=moments))
        code.append(f"def {name}():\n    return Path(__file__).parent / 'models' / '{name}'")
    (site / "acme_offenders.py").write_text("\n\n".join(code) + "\n")
    about = site / "acme_offenders-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-offenders\nVersion: 1.0\n")
    entries = ["[marketlake.scanners]", *(f"{name} = acme_offenders:{name}" for name in [*SCANNERS, "acme_false_in_python"])]
    entries += ["[marketlake.indicators]", "next_close = acme_offenders:NEXT_CLOSE", "last_change = acme_offenders:LAST_CHANGE"]
    (about / "entry_points.txt").write_text("\n".join(entries) + "\n")


class Offended:
    """A home with the offenders installed, after a nightly run of everything and one of a further session."""

    def __init__(self, home: Any, site: Path) -> None:
        self.home = home
        self._path = {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
        self.failed: list[list[str]] = []

    def run(self, *arguments: str) -> str:
        process = self.home.start(*arguments, **self._path)
        output, _ = process.communicate(timeout=1800)
        assert process.returncode == 0, output[-3000:]
        return str(output)

    def nightly(self) -> None:
        output = self.run("nightly", "--json")
        summary = json.loads(output[output.index("{") :])
        self.failed.append(summary["checks_failed"])


@pytest.fixture(scope="module")
def offended(new_home: Any, tape: Any, market: Any, tmp_path_factory: Any) -> Offended:
    folder = tmp_path_factory.mktemp("offenders")
    install(folder)
    offended = Offended(new_home("offended"), folder)
    first = market.SESSIONS[:4]
    files = [*tape.base(folder), *(file for session in first for file in tape.delivery(folder, session))]
    # What is taken in does not depend on the plug-ins: in this process.
    assert offended.home.ingest(*files, received=market.arrival(0)).exit_code == 0
    day = market.date(2014, 5, 20)
    (line,) = tape.daily(day, day, ["IBM"])
    restated = market.write(folder / "restated.csv", [line.rsplit(",", 1)[0] + ",1234567"])
    assert offended.home.ingest(restated, received=market.arrival(1)).exit_code == 0
    offended.nightly()
    assert offended.home.ingest(*tape.delivery(folder, market.SESSIONS[4]), received=market.arrival(2)).exit_code == 0
    offended.nightly()
    return offended


@pytest.mark.parametrize("night", [0, 1], ids=["after a build of everything", "on an ordinary night"])
@pytest.mark.parametrize(
    ("asset", "check"),
    [
        ("XNYS/scanners/acme_lead", "look_ahead"),
        ("XNYS/scanners/acme_final_volume", "look_ahead"),
        ("XNYS/indicators_daily", "look_ahead"),
    ],
)
def test_an_offender_fails_its_check_by_name(offended: Offended, night: int, asset: str, check: str) -> None:
    assert [line for line in offended.failed[night] if line.startswith(f"{asset} {check}: ")], offended.failed[night]


def test_the_peeking_indicator_is_named_and_the_others_are_not(offended: Offended) -> None:
    for failed in offended.failed:
        (line,) = [line for line in failed if line.startswith("XNYS/indicators_daily look_ahead")]
        assert "next_close" in line
        assert "last_change" not in line
        assert "rsi_14" not in line


def test_nothing_else_fails(offended: Offended) -> None:
    offenders = ("XNYS/scanners/acme_lead ", "XNYS/scanners/acme_final_volume ", "XNYS/indicators_daily look_ahead")
    for failed in offended.failed:
        assert [line for line in failed if not line.startswith(offenders)] == []


def test_scanners_that_read_the_lake_or_state_a_known_at_are_refused_by_plug_in_file_and_relation(offended: Offended) -> None:
    listed = offended.run("scanners", "--json")

    assert (
        "plug-in acme_raw (acme-offenders 1.0): acme_raw.sql reads lake.bars_daily; a scanner reads relations of schema scan"
        in listed
    )
    assert "plug-in acme_false_known_at (acme-offenders 1.0): acme_false_known_at.sql sets known_at to CAST('2000-01-01" in listed
    assert '"acme_honest"' in listed
    assert '"name": "acme_raw"' not in listed
    assert '"name": "acme_false_known_at"' not in listed


def test_known_at_is_that_of_the_inputs_whatever_a_scanner_says(offended: Offended, market: Any) -> None:
    signals = offended.home.rows("scanner_signals")
    false, honest = (
        signals.filter(scanner_name=name).select("instrument_id", "ts", "signal_type", "known_at").sort("ts", "instrument_id")
        for name in ("acme_false_in_python", "acme_honest")
    )

    assert false.height > 100
    assert false.equals(honest)
    assert honest.filter(pl.col("known_at") >= market.arrival(1)).height > 0
