"""Fetch the chart library of the reports again: `python -m tests.support.chart_library`, or `make charts`.

Lives here: the npm package at the version and with the integrity hash that `pipelines/reports/static/lightweight-charts.json`
names, and the two files of it that ship. Does not live here: their use (`pipelines/reports/pages.py`).

Only who changes the version needs it, and npm: the files are committed, so that a machine without npm builds and runs everything.
For another version change `version`, `integrity` (`npm view lightweight-charts@VERSION dist.integrity`) and `notice` first.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

STATIC = Path(__file__).resolve().parents[2] / "pipelines" / "reports" / "static"
_DESCRIPTION = STATIC / "lightweight-charts.json"


def main() -> None:
    said = json.loads(_DESCRIPTION.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        pinned = f"{said['package']}@{said['version']}"
        subprocess.run(["npm", "pack", "--silent", pinned], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(folder).glob("*.tgz")
        check_package(package, said["integrity"])
        script, licence = (_member(package, name) for name in (said["file"], "LICENSE"))
    (STATIC / "lightweight-charts.js").write_bytes(script)
    (STATIC / "lightweight-charts.LICENSE.txt").write_bytes(licence)
    said["sha256"] = hashlib.sha256(script).hexdigest()
    _DESCRIPTION.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{pinned}: {len(script):,} bytes, sha256 {said['sha256']}")


def check_package(package: Path, integrity: str) -> None:
    """Raise ValueError unless the file has the hash that npm calls its integrity."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != integrity:
        raise ValueError(f"{package.name} has the integrity {found}, not the pinned {integrity}: it is another package")


def _member(package: Path, name: str) -> bytes:
    with tarfile.open(package) as archive:
        stream = archive.extractfile(f"package/{name}")
        if stream is None:
            raise ValueError(f"{package.name} has no file {name}")
        return stream.read()


if __name__ == "__main__":
    main()
