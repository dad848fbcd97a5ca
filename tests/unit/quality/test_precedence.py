"""Minute, second and tick files of one folder: one word on each minute."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest


def packed(rows: list[str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("rows.csv", "\n".join(rows))
    return out.getvalue()


OPEN = 34_200_000
MINUTES = packed([f"{OPEN + 60_000 * n},1000000,1010000,990000,1005000,{100 + n}" for n in range(5)])
SECONDS = packed([f"{OPEN + 1_000 * n},1000000,1020000,990000,1005000,7" for n in range(300)])
TICKS = packed([f"{OPEN + 500 * n},1000000,3,P,0,0" for n in range(600)])


def test_minutes_go_before_seconds_and_these_before_ticks_whatever_the_order(pipeline) -> None:
    files = {"tick": TICKS, "second": SECONDS, "minute": MINUTES}
    made = [pipeline.deliver(f"equity/usa/{kind}/aig/20131007_trade.zip", c, source="lean") for kind, c in files.items()]
    for order in (made, made[::-1]):
        staged = pipeline.stage(*order)
        assert staged.tables["bars_1m"]["volume"].to_list() == [100, 101, 102, 103, 104]
        assert staged.quarantine.is_empty()
        told = {outcome.delivery.name.split("/")[2]: outcome for outcome in staged.files}
        assert {kind: outcome.rows_read for kind, outcome in told.items()} == {"tick": 0, "second": 0, "minute": 5}
        assert "minute/aig/20131007_trade.zip of the same delivery" in str(told["tick"].reason)
    seconds_alone = pipeline.stage(made[0], made[1])
    assert seconds_alone.tables["bars_1m"]["volume"].to_list() == [420] * 5


def test_another_day_or_share_is_read_at_the_resolution_it_has(pipeline) -> None:
    minute = pipeline.deliver("equity/usa/minute/aig/20131007_trade.zip", MINUTES, source="lean")
    other_day = pipeline.deliver("equity/usa/second/aig/20131008_trade.zip", SECONDS + b"", source="lean")
    staged = pipeline.stage(minute, other_day)
    assert staged.tables["bars_1m"].height == 10


@pytest.mark.slow
def test_a_real_folder_of_all_three_keeps_every_minute(pipeline, shared: Path) -> None:
    folder = shared / "data" / "lean" / "equity" / "usa"
    names = [f"{kind}/ibm/20131007_trade.zip" for kind in ("minute", "second", "tick")]
    made = [pipeline.deliver(f"equity/usa/{name}", (folder / name).read_bytes(), source="lean") for name in names]
    figures = pipeline.ingest(*made)
    assert figures["bars_1m"]["accepted"] == 390
    assert figures["bars_1m"]["quarantined"] == 0
