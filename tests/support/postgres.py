"""A PostgreSQL server of one test, from the programs that Debian's package `postgresql` installs.

Lives here: `running_postgres`, a cluster in a folder of its own behind a Unix socket, gone with the block.
Does not live here: what is kept in it (the tests).
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Looked for in files and output, where it must not be.
PASSWORD = "s3cret-of-the-test"
_USER = "marketlake"
_PACKAGED = Path("/usr/lib/postgresql")


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[str]:
    """URL of an empty database of a new server; the test is skipped where PostgreSQL is not installed.

    `durable`: commits wait for the disk, as in production; a test needs no such thing.
    """
    programs = _programs()
    # Not below pytest's folders, which nobody but their owner enters; and the path of a socket may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    # The server refuses to run as root; Debian's package brings a user for it.
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if account:
        shutil.chown(folder, "postgres", "postgres")
    data, password = folder / "data", folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    log = (folder / "log").open("w")
    try:
        made = f"initdb -D {data} -U {_USER} --pwfile={password} -A scram-sha-256 -E UTF8 --locale=C --no-sync".split()
        subprocess.run([programs / made[0], *made[1:]], check=True, stdout=log, stderr=log, cwd=folder, **account)
        options = [] if durable else ["-F"]
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", *options],
            stdout=log,
            stderr=log,
            cwd=folder,
            **account,
        )
        try:
            _wait_for(folder, server, programs)
            yield f"postgresql://{_USER}:{PASSWORD}@/postgres?host={folder}"
        finally:
            # At once, without a last checkpoint: the folder goes too. The server ends its children.
            server.send_signal(signal.SIGQUIT)
            server.wait(timeout=30)
    finally:
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Folder of the newest installed version's programs, which Debian keeps out of PATH."""
    folders = sorted(_PACKAGED.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not folders:
        pytest.skip(f"no PostgreSQL below {_PACKAGED}: install the package postgresql")
    return folders[-1].parent


def _wait_for(folder: Path, server: "subprocess.Popen[bytes]", programs: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        if subprocess.run([programs / "pg_isready", "-q", "-h", folder], check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")
