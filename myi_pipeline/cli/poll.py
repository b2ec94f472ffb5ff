"""`myi poll`: ask Spotify now what was played last."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse

if TYPE_CHECKING:
    from myi_pipeline.services.poll_users import PollResult

ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Also before the turn and within the cool-down; never over a blocked quota or an open circuit."
    ),
]


def poll_command(user: UserFilter = None, force: ForceOption = False, as_json: JsonOption = False) -> None:
    """Poll the users whose turn it is, or one of them. The marts follow with the next refresh."""
    from myi_pipeline.services.manage_users import get_user, list_users
    from myi_pipeline.services.poll_users import poll_users
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        with opened.connect(Role.INGEST, autocommit=True) as connection:
            users = (get_user(connection, user_key=user),) if user is not None else list_users(connection)
        results = poll_users(
            session.settings,
            opened,
            user_ids=[each.user_id for each in users],
            force=force,
            within=timedelta(0),
            correlation_id=session.settings.correlation_id,
        )
    session.output.result({"polls": results}, lambda console: _render(console, results))
    # Somebody who was asked for by name and could not be polled is a refusal; of many, only failures are.
    is_refused = any(each.outcome == "failed" for each in results) or (
        user is not None and any(each.outcome == "skipped" and each.retry_at is None for each in results)
    )
    if is_refused:
        raise typer.Exit(1)


def _render(console: Console, results: tuple[PollResult, ...]) -> None:
    if not results:
        console.print("No users yet. Add one with: myi user login KEY --create")
        return
    rows = (
        (
            each.user_key,
            each.outcome,
            number(each.new_plays) if each.polled else "",
            number(each.known_plays) if each.polled else "",
            moment(each.newest_played_at),
            f"{moment(each.gap_start)} to {moment(each.gap_end)}" if each.gap_start is not None else "",
            moment(each.retry_at),
            each.reason,
        )
        for each in results
    )
    columns = ("user", "outcome", ">new", ">known", "last play (UTC)", "gap (UTC)", "next turn (UTC)", "")
    console.print(table(None, columns, rows))
    if any(each.new_plays for each in results):
        console.print("`myi refresh` brings new plays into the marts.")
