"""`myi api`: the API and its pages, without Dagster."""

from __future__ import annotations

from myi_pipeline.cli.session import open_session, warehouse
from myi_pipeline.settings import LogLevel


def api_command() -> None:
    """Serve the API and its pages until Ctrl-C; `myi up` does that too."""
    from myi_pipeline.api.server import run_api

    session = open_session(log_level=LogLevel.INFO)
    with warehouse(session) as opened:
        session.output.note(f"MYI: {session.settings.site_origin} (stop with Ctrl-C)")
        run_api(session.settings, opened)
