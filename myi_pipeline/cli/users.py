"""`myi user`: who listens."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, WrongUsage, open_session, warehouse

app = typer.Typer(help="Add, change, list and remove users.", no_args_is_help=True, rich_markup_mode=None)

Key = Annotated[str, typer.Argument(metavar="KEY", help="The user's short key: a-z, 0-9, _ and -.")]
ZoneOption = Annotated[
    str | None,
    typer.Option("--time-zone", metavar="ZONE", help="IANA time zone of the user's days, such as Europe/Berlin."),
]
NameOption = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Name to show.")]


@app.command("add")
def add(key: Key, time_zone: ZoneOption = None, name: NameOption = None, as_json: JsonOption = False) -> None:
    """Add a user. Without --time-zone: MYI_TIME_ZONE, else this machine's zone."""
    from myi_pipeline.services import manage_users
    from myi_pipeline.services.uploads_folder import make_uploads_folder
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    zone = time_zone or session.settings.new_user_time_zone
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = manage_users.add_user(connection, user_key=key, time_zone=zone, display_name=name)
    make_uploads_folder(session.settings, user.user_key)
    session.output.result(
        user, lambda console: console.print(f"User {user.user_key} added; days are counted in {user.time_zone}.")
    )


@app.command("set")
def change(key: Key, time_zone: ZoneOption = None, name: NameOption = None, as_json: JsonOption = False) -> None:
    """Change a user's time zone or name. A new zone moves plays between days with the next refresh."""
    from myi_pipeline.services import manage_users
    from myi_pipeline.warehouse.connections import Role

    if time_zone is None and name is None:
        raise WrongUsage("nothing to change: give --time-zone, --name or both")
    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = manage_users.set_user(connection, user_key=key, time_zone=time_zone, display_name=name)

    def render(console: Console) -> None:
        console.print(f"User {user.user_key}: name {user.display_name or '-'}, days in {user.time_zone}.")
        if time_zone is not None:
            console.print("The marts follow with the next refresh (`myi refresh`).")

    session.output.result(user, render)


@app.command("list")
def show(as_json: JsonOption = False) -> None:
    """List users in the order in which they were added."""
    from myi_pipeline.services import manage_users
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        users = manage_users.list_users(connection)

    def render(console: Console) -> None:
        if not users:
            console.print("No users yet. Add one with: myi user add KEY")
            return
        rows = (
            (
                u.user_key,
                u.display_name,
                u.time_zone,
                number(u.imports),
                number(u.rows_loaded),
                moment(u.last_import_at),
            )
            for u in users
        )
        console.print(table(None, ("user", "name", "time zone", ">imports", ">plays loaded", "last import"), rows))

    session.output.result({"users": users}, render)


@app.command("remove")
def remove(
    key: Key,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a user with every play, import and quarantined row. The marts follow with the next refresh."""
    from myi_pipeline.services import manage_users
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = manage_users.get_user(connection, user_key=key)
        if not yes:
            if as_json:
                raise WrongUsage("--json cannot ask: give --yes as well")
            question = f"Remove {user.user_key} and all {number(user.rows_loaded)} loaded plays for good?"
            typer.confirm(question, abort=True, err=True)
        manage_users.remove_user(connection, user_key=key)

    def render(console: Console) -> None:
        console.print(f"User {user.user_key} removed. `myi refresh` takes the plays out of the marts.")
        console.print(f"Archives in {session.settings.uploads_folder / user.user_key} were left where they are.")

    session.output.result({"removed": user}, render)
