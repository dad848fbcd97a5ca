"""The reports beside Dagster's UI: they open, nothing else does, and a taken port is no reason not to start."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipelines.cli.report_server import serve_reports


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "XNYS_risk.html").write_text("<h1>risk</h1>")
    (tmp_path / "secret.txt").write_text("no report")
    return folder


def get(address: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(address, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_a_report_opens_and_is_not_kept_by_the_browser(reports: Path) -> None:
    with serve_reports(reports, "127.0.0.1", 0) as address:
        assert get(f"{address}/XNYS_risk.html") == (200, "<h1>risk</h1>")
        (reports / "XNYS_risk.html").write_text("<h1>next night</h1>")
        with urllib.request.urlopen(f"{address}/XNYS_risk.html", timeout=10) as answer:
            assert (answer.read(), answer.headers["Cache-Control"]) == (b"<h1>next night</h1>", "no-store")


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/absent.html"])
def test_nothing_but_the_folder_is_shown(reports: Path, path: str) -> None:
    with serve_reports(reports, "127.0.0.1", 0) as address:
        assert get(address + path)[0] == 404


def test_nothing_is_written(reports: Path) -> None:
    with serve_reports(reports, "127.0.0.1", 0) as address:
        assert get(f"{address}/XNYS_risk.html", "DELETE")[0] == 501
    assert (reports / "XNYS_risk.html").exists()


def test_where_its_port_is_taken_it_listens_on_another_and_afterwards_on_none(reports: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serve_reports(reports, "127.0.0.1", port) as address:
            assert not address.endswith(f":{port}")
            assert get(f"{address}/XNYS_risk.html")[0] == 200
    with pytest.raises(urllib.error.URLError):
        get(f"{address}/XNYS_risk.html")
