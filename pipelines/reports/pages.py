"""Pages that need nothing but themselves: one template, one style, one script, and the chart library where there is a chart.

Lives here: rendering a template of `templates/`, and writing a page to its file.
Does not live here: what is on a page (`run_report`, `scoreboard`), what a chart is made of (`series`).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.reports import formats
from pipelines.whole_files import write_whole

_STATIC = Path(__file__).parent / "static"
_LIBRARY = "lightweight-charts"


def render_page(template: str, *, timezone: str = "UTC", with_charts: bool = False, **shown: Any) -> str:
    """The HTML of a page. The same arguments give the same bytes.

    timezone: IANA name of the zone that times are shown in. Text is escaped; the browser is forbidden to load anything.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("pipelines.reports"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "percent": formats.percent,
        "amount": formats.amount,
        "ratio": formats.ratio,
        "p_value": formats.p_value,
        "moment": lambda value: formats.moment(value, timezone),
        "as_json": as_json,
    }
    library = chart_library() if with_charts else None
    return environment.get_template(template).render(
        timezone=timezone,
        style=_static("report.css"),
        script=_static("report.js"),
        library=_static(f"{_LIBRARY}.js") if library else "",
        notice=library["notice"] if library else "",
        **shown,
    )


def write_page(path: Path, html: str) -> bool:
    """Write a page to its file, replaced whole; False where it held these very bytes already."""
    content = html.encode()
    if path.is_file() and path.read_bytes() == content:
        return False
    write_whole(path, content)
    return True


def as_json(value: Any) -> str:
    """JSON that may stand in a script element: "</" would end that."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("</", "<\\/")


def chart_library() -> dict[str, str]:
    """What is said of the chart library that ships: npm package, version and integrity, sha256 of the script, notice."""
    return dict(json.loads(_static(f"{_LIBRARY}.json")))


@cache
def _static(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
