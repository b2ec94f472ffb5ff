"""`myi genres`: what MusicBrainz was asked about tracks and artists, and what it still is to be."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, open_session, warehouse

app = typer.Typer(
    help="Ask MusicBrainz about what was played: genres, first releases, recordings.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("status")
def status(as_json: JsonOption = False) -> None:
    """Show what MusicBrainz has answered, what is still to be asked, and what holds it up."""
    from myi_pipeline.catalogue.musicbrainz_enrichment import genres_status
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        found = genres_status(session.settings, opened, now=utc_now())

    def render(console: Console) -> None:
        if found.off:
            console.print(found.off + ".")
        if found.idle.until is not None:
            console.print(f"Waits until {moment(found.idle.until)} UTC: {found.idle.reason}.")
        if not found.queue:
            console.print("Nothing is waiting. `myi genres run` queues what is played most.")
            return
        rows = (
            (
                each.entity_kind,
                number(each.waiting),
                number(each.failing),
                number(each.found),
                number(each.not_found),
                moment(each.next_at),
            )
            for each in found.queue
        )
        columns = ("kind", ">waiting", ">failed before", ">found", ">not found", "next at (UTC)")
        console.print(table(None, columns, rows))

    session.output.result(found, render)


@app.command("run")
def run(
    entries: Annotated[
        int | None, typer.Option("--entries", metavar="N", min=1, help="Ask about at most N tracks and artists.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask MusicBrainz now, most played first, one request a second."""
    from myi_pipeline.catalogue.musicbrainz_enrichment import enrich_genres

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        result = enrich_genres(session.settings, opened, most=entries)

    def render(console: Console) -> None:
        row = (
            number(result.found),
            number(result.not_found),
            number(result.failed),
            result.reason,
            moment(result.retry_at),
        )
        console.print(table(None, (">found", ">not found", ">failed", "ended because", "again at (UTC)"), [row]))

    session.output.result({"asked": result.asked, "result": result}, render)
    if result.failed:
        raise typer.Exit(1)
