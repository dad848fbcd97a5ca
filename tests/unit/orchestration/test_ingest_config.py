"""The ingest job's config: files within the folders of the settings become an order, everything else one clear sentence."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from pipelines.ingest.requests import IngestRequest
from pipelines.orchestration.ingest_config import DeliveryConfig, request_of
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.settings import Settings

GOOD = "symbol,date,open,high,low,close,volume\nAAPL,2024-01-02,10,11,9,10,100\n"


@pytest.fixture
def inbound(home: Settings) -> Path:
    """The folder that the settings name by default, with one file."""
    (folder,) = home.delivery_folders
    assert folder == home.home / "deliveries"
    folder.mkdir()
    (folder / "good.csv").write_text(GOOD)
    return folder


def order(home: Settings, sessions: tuple[date, ...] = (date(2024, 1, 2),), **config: object) -> IngestRequest:
    chosen = DeliveryConfig(**config)  # type: ignore[arg-type]
    return request_of(chosen, "XNYS", MarketlakeResource.from_settings(home), sessions, home.delivery_folders)


def test_a_relative_path_is_taken_from_the_folder_and_read_as_the_config_says(home: Settings, inbound: Path) -> None:
    made = order(
        home, paths=["good.csv"], source="csv", options={"interval": "1d"}, symbol="AAPL", received_at="2024-02-01T00:00:00Z"
    )
    (delivery,) = made.deliveries
    assert (delivery.source, Path(delivery.name).name) == ("csv", "good.csv")
    assert '"interval": "1d"' in delivery.options
    assert delivery.received_at.isoformat() == "2024-02-01T00:00:00+00:00"
    assert order(home, paths=[str(inbound)], source="csv").deliveries[0].content_hash == delivery.content_hash


@pytest.mark.parametrize("text", ["/etc/passwd", "../.env", "good.csv/../../lake"])
def test_a_path_outside_the_folders_is_refused_before_it_is_looked_at(home: Settings, inbound: Path, text: str) -> None:
    with pytest.raises(dg.Failure, match=rf"{re.escape(text)} lies outside {re.escape(str(inbound))}.*MARKETLAKE_DELIVERIES"):
        order(home, paths=[text], source="csv")


def test_a_link_that_leads_outside_is_refused(home: Settings, inbound: Path) -> None:
    (home.home / "secret.csv").write_text(GOOD)
    (inbound / "link.csv").symlink_to(home.home / "secret.csv")
    with pytest.raises(dg.Failure, match="lies outside"):
        order(home, paths=["link.csv"], source="csv")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"paths": ["gone.csv"], "source": "csv"}, "gone.csv does not exist"),
        ({"paths": ["good.csv"]}, "source: name the source"),
        ({"paths": ["good.csv"], "source": "scv"}, "did you mean csv"),
        ({"paths": ["good.csv"], "source": "csv", "options": {"intervall": "1d"}}, "did you mean interval"),
        ({"paths": ["good.csv"], "source": "csv", "exchange": "XNSE"}, "this is the job of XNYS; run XNSE_ingest"),
        ({"paths": ["good.csv"], "source": "csv", "timezone": "Mars/Olympus"}, "time zone 'Mars/Olympus' is not known"),
        ({"paths": ["good.csv"], "source": "csv", "session": "2024-13-01"}, "session: '2024-13-01' is no date"),
        ({"paths": ["good.csv"], "source": "csv", "received_at": "soon"}, "received_at: 'soon' is no moment"),
        ({"paths": ["good.csv"], "source": "csv", "received_at": "2999-01-01T00:00:00Z"}, "lies in the future"),
        ({"paths": ["good.csv"], "source": "csv", "received_at": "2024-01-01T00:00:00"}, "has no offset"),
        ({"paths": ["good.csv"], "source": "csv", "request_id": "x"}, "not both"),
        ({"source": "csv"}, "paths: name the files"),
        ({"symbol": "AAPL"}, "paths: name the files"),
        ({"received_at": "2024-01-31T18:30:00+05:30"}, "paths: name the files"),
    ],
)
def test_a_config_that_means_nothing_says_what_to_change(
    home: Settings, inbound: Path, config: dict[str, object], told: str
) -> None:
    with pytest.raises(dg.Failure, match=told):
        order(home, **config)


def test_a_run_without_a_session_says_to_choose_one(home: Settings, inbound: Path) -> None:
    with pytest.raises(dg.Failure, match="choose a session"):
        order(home, (), paths=["good.csv"], source="csv")


def test_an_empty_config_stages_the_sessions_on_record(home: Settings) -> None:
    assert order(home) == IngestRequest("XNYS", (), (date(2024, 1, 2),))


def test_the_launchpad_shows_every_field_of_a_delivery_with_its_default() -> None:
    """Dagster shows the defaults of a schema; a field without one would be missing from the launchpad."""
    shown = {name for name, field in DeliveryConfig.to_fields_dict().items() if field.default_provided}
    assert {"about", "paths", "source", "exchange", "options", "symbol", "timezone", "session", "received_at"} <= shown


def test_other_folders_can_be_named(home: Settings) -> None:
    named = Settings(deliveries="vendor, /srv/files")  # type: ignore[arg-type]
    assert named.delivery_folders == (home.home / "vendor", Path("/srv/files"))
