"""`myi user`: who listens."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.dagster_processes import partition_keys
from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import (
    DAY,
    JsonOption,
    Session,
    WrongUsage,
    a_day,
    checking_options,
    open_session,
    warehouse,
)
from myi_pipeline.errors import BadInput

if TYPE_CHECKING:
    from myi_pipeline.operations.remove_users import Removal
    from myi_pipeline.postgres.connections import Warehouse

app = typer.Typer(help="Add, change, list and remove users.", no_args_is_help=True, rich_markup_mode=None)

Key = Annotated[str, typer.Argument(metavar="KEY", help="The user's short key: a-z, 0-9, _ and -.")]
ZoneOption = Annotated[
    str | None,
    typer.Option("--time-zone", metavar="ZONE", help="IANA time zone of the user's days, such as Europe/Berlin."),
]
OperatorOption = Annotated[
    bool | None,
    typer.Option(
        "--operator/--no-operator",
        help="Allow this user on Dagster's pages, which can start and delete everything.",
    ),
]
NameOption = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Display name.")]


@app.command("add")
def add(key: Key, time_zone: ZoneOption = None, name: NameOption = None, as_json: JsonOption = False) -> None:
    """Add a user. --time-zone defaults to MYI_TIME_ZONE, or else to this machine's zone."""
    from myi_pipeline.people import manage_users
    from myi_pipeline.people.uploads_folder import make_uploads_folder
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    zone = time_zone or session.settings.new_user_time_zone
    with checking_options():
        manage_users.check_user_key(key)
        manage_users.check_time_zone(zone)
        manage_users.check_display_name(name)
    with warehouse(session) as opened:
        free_key(session, opened, key)
        with opened.connect(Role.INGEST, autocommit=True) as connection:
            with checking_options():
                manage_users.check_database_knows(connection, zone)
            user = manage_users.add_user(connection, user_key=key, time_zone=zone, display_name=name)
    make_uploads_folder(session.settings, user.user_key)
    session.output.result(
        user, lambda console: console.print(f"User {user.user_key} added; days are counted in {user.time_zone}.")
    )


def free_key(session: Session, opened: Warehouse, key: str) -> None:
    """Finishes the removal of a user who had this key. Raises BadInput with what is left and how to proceed."""
    left = finish_removal(session, opened, key)
    if left:
        remains = "; ".join(text for each in left for text in each.what_is_left)
        raise BadInput(
            f"the key {key!r} is not free yet: its previous user still has {remains}. `myi refresh` removes"
            " the rows from the marts; the rest is removed while `myi up` runs, or by this command again",
            place="user key",
        )


def finish_removal(session: Session, opened: Warehouse, key: str) -> list[Removal]:
    """Finishes removals as far as possible; returns those of this key that are still unfinished."""
    from myi_pipeline.operations.remove_users import finish_removals, list_removals
    from myi_pipeline.postgres.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        if not list_removals(connection, user_key=key):
            return []
    # Without Dagster's folder there are no partitions.
    partitions = partition_keys(session, opened) if session.settings.dagster_home.exists() else None
    removals = finish_removals(opened, session.settings, partition_keys=partitions)
    return [each for each in removals if each.user_key == key and each.holds_key]


@app.command("set")
def change(
    key: Key,
    time_zone: ZoneOption = None,
    since: Annotated[
        date | None,
        typer.Option(
            "--since", parser=a_day, metavar=DAY, help="The zone applies from this day on; earlier days do not change."
        ),
    ] = None,
    name: NameOption = None,
    operator: OperatorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a user's time zone, name or rights. A new zone moves plays between days with the next refresh."""
    from myi_pipeline.people import manage_users, user_time_zones
    from myi_pipeline.postgres.connections import Role

    if since is not None and time_zone is None:
        raise WrongUsage("--since needs --time-zone")
    if time_zone is None and name is None and operator is None:
        raise WrongUsage("nothing to change: give --time-zone, --name, --operator or --no-operator")
    session = open_session(as_json=as_json)
    with (
        warehouse(session) as opened,
        opened.connect(Role.INGEST, autocommit=True) as connection,
        # What is refused here is one of the options.
        checking_options(),
    ):
        if since is not None and time_zone is not None:
            user_time_zones.begin_time_zone(
                connection, user_key=key, time_zone=time_zone, since=since, now=datetime.now(UTC)
            )
        user = manage_users.set_user(
            connection,
            user_key=key,
            time_zone=time_zone if since is None else None,
            display_name=name,
            is_operator=operator,
        )

    def render(console: Console) -> None:
        console.print(f"User {user.user_key}: name {user.display_name or '-'}, days in {user.time_zone}.")
        if operator is not None:
            console.print(f"Dagster's pages are {'open' if operator else 'closed'} to {user.user_key}.")
        if time_zone is not None:
            console.print("The marts follow with the next refresh (`myi refresh`).")

    session.output.result(user, render)


@app.command("time-zones")
def time_zones(key: Key, as_json: JsonOption = False) -> None:
    """List the time zones in which a user's days were counted, in chronological order."""
    from zoneinfo import ZoneInfo

    from myi_pipeline.people import manage_users, user_time_zones
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = manage_users.get_user(connection, user_key=key)
        zones = user_time_zones.list_time_zones(connection, user_id=user.user_id)

    def render(console: Console) -> None:
        rows = (
            (each.time_zone, each.valid_from.astimezone(ZoneInfo(each.time_zone)).date() if each.valid_from else "")
            for each in zones
        )
        console.print(table(None, ("time zone", "since"), rows))

    session.output.result({"user_key": key, "time_zones": zones}, render)


@app.command("list")
def show(as_json: JsonOption = False) -> None:
    """List users in the order in which they were added."""
    from myi_pipeline.people import manage_users
    from myi_pipeline.postgres.connections import Role

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
