"""What a person or a sensor gives to the ingest job: paths of files and how to read them, or an order that is there already.

Lives here: the run's config, its validation, and the order that follows from it.
Does not live here: finding and storing files (`ingest/arrivals.py`), what becomes of the order (`assets/ingest.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
from pydantic import Field

from pipelines.ingest.arrivals import NoFilesError, Reading, collect
from pipelines.ingest.requests import IngestRequest, load_request, replay_request
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.sources.names import SourceOptionError, UnknownSourceError, check_source
from pipelines.sources.protocol import SourceError
from pipelines.sources.registry import SourcePluginError
from pipelines.sources.registry import source as find_source

_ABOUT = (
    "To ingest files: paths, below a folder of MARKETLAKE_DELIVERIES (by default <home>/deliveries), and the source to read them; "
    "without paths the chosen session is staged again from the raw files on record."
)


class DeliveryConfig(dg.Config):
    """What to stage. With everything left empty the run's own sessions are staged again from the raw files on record."""

    about: str = Field(default=_ABOUT, description="Explains the other fields in the launchpad; not read.")
    paths: list[str] = Field(
        default=[],  # the launchpad shows defaults, and not what a factory makes
        description="Vendor files or folders to ingest, below a folder of MARKETLAKE_DELIVERIES; relative ones are taken from the "
        "first of these. Empty: stage the run's sessions again from the raw files on record.",
    )
    source: str = Field(default="", description="Source that reads the paths, such as csv or nse_bhavcopy; `marketlake sources`.")
    exchange: str = Field(default="", description="The job's own exchange, or empty. Another one is refused: it has its own job.")
    options: dict[str, str] = Field(default={}, description="Reading options of the source, such as interval: 1d.")
    symbol: str = Field(default="", description="Symbol of a one-symbol file; empty: the file's stem.")
    timezone: str = Field(default="", description="IANA zone of times written without one; empty: the exchange's.")
    session: str = Field(default="", description="Date (YYYY-MM-DD) of files whose rows carry only times; else empty.")
    received_at: str = Field(default="", description="When the files arrived, ISO 8601 with offset; empty: now.")
    request_id: str | None = Field(default=None, description="An order that a command or a sensor has saved; for machines.")


def request_of(
    config: DeliveryConfig, mic: str, marketlake: MarketlakeResource, sessions: Sequence[date], folders: Sequence[Path]
) -> IngestRequest:
    """The order that the config means; paths lie within `folders`.

    Raises dg.Failure, in a sentence that says what to change, for a config that means none.
    """
    # Dagster itself fails, with words of its own, at the first step that reads another one's sessions.
    _refuse_if(not sessions, "choose a session (partition) for the run; the sessions that its files hold are recorded besides")
    _refuse_if(
        bool(config.exchange) and config.exchange != mic, f"exchange: this is the job of {mic}; run {config.exchange}_ingest"
    )
    _refuse_if(bool(config.request_id and config.paths), "give paths or request_id, not both")
    if config.request_id:
        return load_request(config.request_id, marketlake.state_dir)
    if not config.paths:
        named = (config.source, config.options, config.symbol, config.timezone, config.session, config.received_at)
        _refuse_if(any(named), "paths: name the files or folders that these options are about")
        return replay_request(marketlake.lake, mic, sessions)
    _refuse_if(not config.source, "source: name the source that reads the paths; `marketlake sources` lists them")
    paths = [_confined(text, folders) for text in config.paths]
    try:
        check_source(config.source, config.options)
        reading = Reading(
            timezone=config.timezone or None,
            symbol=config.symbol or None,
            session=_day(config.session) if config.session else None,
            extra=config.options,
        )
        found = collect(
            marketlake.lake, mic, paths, find_source(config.source), received_at=_arrival(config.received_at), **reading
        )
    except (UnknownSourceError, SourceOptionError, SourcePluginError, SourceError, NoFilesError, OSError, ValueError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    refused = [f"{f.name}: {f.reason}" for f in found.left_out if f.refused]
    _refuse_if(not found.order.deliveries, "; ".join(refused) or "there is no file to ingest")
    return found.order


def _confined(text: str, folders: Sequence[Path]) -> Path:
    """The path that was meant, once it is known to lie within one of the folders, links followed."""
    path = (folders[0] / text).resolve()
    _refuse_if(
        not any(path.is_relative_to(folder.resolve()) for folder in folders),
        f"paths: {text} lies outside {', '.join(map(str, folders))}; move the files there, or add their folder to "
        "MARKETLAKE_DELIVERIES",
    )
    _refuse_if(not path.exists(), f"paths: {path} does not exist")
    return path


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"session: {text!r} is no date; write it as YYYY-MM-DD") from error


def _arrival(text: str) -> datetime:
    now = datetime.now(UTC)
    if not text:
        return now
    try:
        arrived = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"received_at: {text!r} is no moment; write it as 2024-01-31T18:30:00+05:30") from error
    _refuse_if(arrived.tzinfo is None, f"received_at: {text} has no offset; write it as 2024-01-31T18:30:00+05:30")
    _refuse_if(arrived > now, f"received_at: {text} lies in the future; give the moment the files arrived")
    return arrived


def _refuse_if(wrong: bool, why: str) -> None:
    if wrong:
        raise dg.Failure(why, allow_retries=False)
