"""The command `marketlake docs`: dbt's documentation of this installation's models, generated and served.

Lives here: its arguments and what it says.
Does not live here: generating the page (`build/release_docs.py`), serving it (`docs_server.py`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.console import fail, progress, say, say_json
from pipelines.cli.options import Exchange, Json, configured, read_settings
from pipelines.cli.serving import require_free


def docs(
    exchange: Exchange = None,
    port: Annotated[int, typer.Option(help="Port of the web page.", min=1, max=65535)] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but the loopback shows the models to the network.")
    ] = "127.0.0.1",
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Generate the page, name its file and end.")] = False,
    as_json: Json = False,
) -> None:
    """Show dbt's documentation: models, columns, tests, SQL and lineage, of the latest release's build database.

    Generated when the release, the models or what `marketlake dbt` built changed; served until interrupted. It needs no network.

    Example: marketlake docs --port 8080
    """
    if not no_serve:
        require_free(host, port)
    from pipelines.build.release_build import NoReleaseError, prepare_release_database, prepared_database
    from pipelines.build.release_docs import docs_path, document_release
    from pipelines.cli.docs_server import serve_page
    from pipelines.dbt.run import DbtError
    from pipelines.ingest.freshness import NoBarsError
    from pipelines.package_data import code_version
    from pipelines.scanners.build_configuration import configure_build
    from pipelines.scanners.project import dbt_project_dir, project_fingerprint
    from pipelines.storage.location import Lake

    settings = read_settings()
    there = prepared_database(settings.state_dir)
    if exchange is None and there and there.exchange in settings.exchanges:
        # What somebody works on with `marketlake dbt` is documented, not thrown away for another exchange's.
        exchange = there.exchange
    mic = configured(settings, exchange)
    try:
        with progress(f"documentation of the models, on the latest release of {mic}", quiet=as_json):
            database, _ = prepare_release_database(
                Lake(settings.lake_root), mic, settings.state_dir, configure_build(settings.exchanges)
            )
            version = f"{code_version()} {project_fingerprint()}"
            is_new = document_release(database, settings.state_dir, dbt_project_dir(), version)
    except (NoReleaseError, NoBarsError, DbtError) as error:
        fail(str(error))
    page = docs_path(settings.state_dir)
    address = None if no_serve else f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def tell() -> None:
        if as_json:
            facts = {"exchange": mic, "release_id": database.release_id, "generated": is_new, "page": str(page), "url": address}
            say_json(facts)
        else:
            say(f"{page}: {database.describe()}")
            if address:
                say(f"dbt's documentation: {address}  (Ctrl-C ends it)")
        _flush()

    if no_serve:
        tell()
        return
    try:
        ended_by = serve_page(page, host, port, tell)
    except OSError as error:
        fail(f"cannot serve {page}: {error}")
    if not as_json:
        say(f"ended by {ended_by}")


def _flush() -> None:
    """Hand on what was printed: who waits for the address behind a pipe would else get it at the end."""
    import sys

    sys.stdout.flush()
