"""Which bars a moment asks for, and which of them are not known: so that a scan can say what to fetch.

Lives here: `missing_bars`, `how_to_add`.
Does not live here: reading what is known (`as_of.py`), printing (`cli/scan.py`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from pipelines.market.exchanges import exchange as venue_of
from pipelines.market.session import Session
from pipelines.scanners.engine.inputs import ScanInputs

_MINUTE = timedelta(minutes=1)


def missing_bars(exchange: str, moment: datetime, opened: Session, closed: Session, inputs: ScanInputs) -> list[str]:
    """The bars to look from `moment` (aware) that `inputs` lack, each as "daily bars of D" or "one-minute bars of D from … to …".

    opened, closed: the sessions that had opened and closed last. A scan within a session asks for its minutes up to the moment
    and for the day before; after a close for that day.
    """
    found = []
    if not inputs.bars_daily.get_column("session_date").is_in([closed.session_date]).any():
        found.append(f"daily bars of {closed.session_date}")
    if opened != closed:
        known = inputs.bars_1m.select(pl.col("ts").max()).item() if inputs.bars_1m.height else None
        since = known + _MINUTE if known else opened.opens_at
        until = opened.opens_at + (moment - opened.opens_at) // _MINUTE * _MINUTE
        if since < until:
            zone = venue_of(exchange).zone
            first, last = (f"{at.astimezone(zone):%H:%M}" for at in (since, until))
            found.append(f"one-minute bars of {opened.session_date} from {first} to {last}")
    return found


def how_to_add(exchange: str, bars: list[str]) -> str:
    """What to do about missing bars, as a sentence without its full stop."""
    return (
        f"needed are {' and '.join(bars)}: ingest files that hold them (`marketlake ingest FILE --source NAME --exchange "
        f"{exchange}`; `marketlake sources` lists the formats) and run `marketlake nightly`"
    )
