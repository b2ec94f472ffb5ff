"""`myi quota`: what was asked of Spotify, and what may still be."""

from __future__ import annotations

from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, open_session, warehouse


def quota_command(as_json: JsonOption = False) -> None:
    """Show the calls of every client id: of this minute, of the last 24 hours, and what Spotify has blocked."""
    from myi_pipeline.services.govern_quota import quota_limits
    from myi_pipeline.services.show_quota import show_quota
    from myi_pipeline.spotify.transport import utc_now
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        uses = show_quota(connection, limits=quota_limits(session.settings), now=utc_now())

    def render(console: Console) -> None:
        if not uses:
            console.print("Nothing was asked of Spotify yet.")
            return
        rows = (
            (
                use.client_id,
                use.bucket,
                f"{number(use.calls_of_minute)} of {number(use.limit_of_minute)}",
                number(use.calls_of_day) + (f" of {number(use.limit_of_day)}" if use.limit_of_day is not None else ""),
                moment(use.blocked_until) or "no",
            )
            for use in uses
        )
        columns = ("client id", "bucket", ">last minute", ">last 24 hours", "blocked until (UTC)")
        console.print(table(None, columns, rows))

    session.output.result({"buckets": uses}, render)
