"""`myi catalogue`: what Spotify was asked about tracks, artists and albums, and what is still to be asked."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, open_session, warehouse

app = typer.Typer(
    help="Ask Spotify for details that archives lack: lengths, recording codes, pictures.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("status")
def status(as_json: JsonOption = False) -> None:
    """Show what is known about the played tracks, artists and albums, and what is still to be asked."""
    from myi_pipeline.catalogue.spotify_enrichment import catalogue_status

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        counts = catalogue_status(opened)

    def render(console: Console) -> None:
        if not counts:
            console.print("Nothing is waiting. `myi catalogue run` queues what is played most.")
            return
        rows = (
            (
                each.entity_kind,
                number(each.waiting),
                number(each.failing),
                number(each.answered),
                number(each.relinked),
                number(each.gone),
                moment(each.next_at),
            )
            for each in counts
        )
        columns = ("kind", ">waiting", ">failed before", ">answered", ">another id", ">gone", "next at (UTC)")
        console.print(table(None, columns, rows))

    session.output.result({"queue": counts}, render)


@app.command("run")
def run(
    calls: Annotated[int | None, typer.Option("--calls", metavar="N", min=1, help="Ask about at most N ids.")] = None,
    pictures: Annotated[
        int | None, typer.Option("--pictures", metavar="N", min=0, help="Fetch at most N covers (200).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask Spotify now, most played first, within the day's budget; then fetch missing covers."""
    from myi_pipeline.catalogue.pictures import MOST_A_RUN, keep_pictures
    from myi_pipeline.catalogue.spotify_enrichment import enrich_catalogue

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        result = enrich_catalogue(session.settings, opened, most_calls=calls)
        covers = keep_pictures(session.settings, opened, most=MOST_A_RUN if pictures is None else pictures)

    def render(console: Console) -> None:
        row = (
            number(result.answered),
            number(result.relinked),
            number(result.gone),
            number(result.failed),
            result.reason,
            moment(result.retry_at),
        )
        columns = (">answered", ">another id", ">gone", ">failed", "ended because", "again at (UTC)")
        console.print(table(None, columns, [row]))
        fetched = (number(covers.kept), number(covers.gone), number(covers.unfit), number(covers.failed), covers.reason)
        console.print(table(None, (">covers", ">gone", ">unfit", ">failed", "ended because"), [fetched]))

    session.output.result({"asked": result.asked, "result": result, "pictures": covers}, render)
    if result.failed:
        raise typer.Exit(1)
