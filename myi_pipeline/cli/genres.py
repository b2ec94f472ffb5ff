"""`myi genres`: what MusicBrainz was asked about tracks and artists, and what is still to be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, WrongUsage, open_session, warehouse

app = typer.Typer(
    help="Ask MusicBrainz about played music: genres, first releases, recordings.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("status")
def status(as_json: JsonOption = False) -> None:
    """Show what MusicBrainz has answered, what is still to be asked, and what is delaying it."""
    from myi_pipeline.catalogue.musicbrainz_enrichment import genres_status
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        found = genres_status(session.settings, opened, now=utc_now())

    def render(console: Console) -> None:
        if found.off:
            console.print(found.off + ".")
        if found.idle.until is not None:
            console.print(f"Waiting until {moment(found.idle.until)} UTC: {found.idle.reason}.")
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


@app.command("load")
def load(
    dump: Annotated[
        Path | None, typer.Option("--dump", metavar="FOLDER", help="Folder with the dump; MYI_MUSICBRAINZ_DUMP.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look up all waiting tracks in a dump of MusicBrainz' database, without asking any service."""
    from myi_pipeline.catalogue.musicbrainz_dump.load import load_dump

    session = open_session(as_json=as_json)
    folder = dump or session.settings.musicbrainz_dump
    if folder is None:
        raise WrongUsage("name the folder with the dump: --dump FOLDER, or MYI_MUSICBRAINZ_DUMP")
    with warehouse(session) as opened:
        result = load_dump(
            session.settings,
            opened,
            folder.absolute(),
            on_table=lambda table: session.output.note(f"Reading {table} ..."),
        )

    def render(console: Console) -> None:
        row = (number(result.tracks), number(result.found), number(result.artists), number(result.bad_rows))
        console.print(table(None, (">tracks looked for", ">found", ">artists found", ">lines not read"), [row]))
        for each in result.tables:
            for line in each.bad_lines:
                console.print(f"{each.table}, {line}")

    session.output.result({"bad_rows": result.bad_rows, "result": result}, render)


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
