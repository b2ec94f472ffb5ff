"""`myi top`: Spotify's own top lists of its listeners."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse
from myi_pipeline.cli.users import Key

app = typer.Typer(help="Read and show Spotify's own top lists.", no_args_is_help=True, rich_markup_mode=None)


class Term(StrEnum):
    SHORT = "short_term"
    MEDIUM = "medium_term"
    LONG = "long_term"


@app.command("refresh")
def refresh(
    user: UserFilter = None,
    force: Annotated[bool, typer.Option("--force", help="Also those that are not due yet.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read the top lists of everyone whose lists are due."""
    from myi_pipeline.services.manage_users import get_user, list_users
    from myi_pipeline.services.refresh_top_items import refresh_top_items
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        with closing(opened.connect(Role.INGEST, autocommit=True)) as connection:
            users = list_users(connection) if user is None else (get_user(connection, user_key=user),)
        results = refresh_top_items(session.settings, opened, user_ids=[each.user_id for each in users], force=force)

    def render(console: Console) -> None:
        rows = (
            (each.user_key, each.outcome, number(each.lists), number(each.items), each.reason, moment(each.retry_at))
            for each in results
        )
        columns = ("user", "outcome", ">lists", ">ranks", "reason", "again at (UTC)")
        console.print(table(None, columns, rows) if results else "There are no users yet.")

    session.output.result({"users": results}, render)
    if any(each.outcome in ("failed", "partly") for each in results):
        raise typer.Exit(1)


@app.command("show")
def show(
    key: Key,
    artists: Annotated[bool, typer.Option("--artists", help="Artists instead of tracks.")] = False,
    term: Annotated[Term, typer.Option("--term", help="About four weeks, six months or a year.")] = Term.MEDIUM,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=50, help="At most so many ranks.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the newest snapshot of one of a user's lists."""
    from myi_pipeline.services.refresh_top_items import newest_list
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    kind = "artist" if artists else "track"
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        items = newest_list(connection, user_key=key, entity_kind=kind, term=term.value, limit=limit)

    def render(console: Console) -> None:
        if not items:
            console.print(f"No such list of {key} is kept yet: myi top refresh --user {key}")
            return
        rows = ((item.rank, item.name, item.artist) for item in items)
        title = f"Top {kind}s of {key}, {term.value}, as of {items[0].taken_on}"
        console.print(table(title, (">", "artist" if artists else "track", "" if artists else "artist"), rows))

    session.output.result({"user_key": key, "entity_kind": kind, "term": term.value, "items": items}, render)
