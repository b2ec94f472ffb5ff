"""`myi user`: who listens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.dagster_processes import partition_keys
from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, Session, WrongUsage, open_session, warehouse
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
        help="Whether this user may use Dagster's pages, which can start and delete everything.",
    ),
]
NameOption = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Name to show.")]


@app.command("add")
def add(key: Key, time_zone: ZoneOption = None, name: NameOption = None, as_json: JsonOption = False) -> None:
    """Add a user. Without --time-zone: MYI_TIME_ZONE, else this machine's zone."""
    from myi_pipeline.people import manage_users
    from myi_pipeline.people.uploads_folder import make_uploads_folder
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    zone = time_zone or session.settings.new_user_time_zone
    with warehouse(session) as opened:
        free_key(session, opened, key)
        with opened.connect(Role.INGEST, autocommit=True) as connection:
            user = manage_users.add_user(connection, user_key=key, time_zone=zone, display_name=name)
    make_uploads_folder(session.settings, user.user_key)
    session.output.result(
        user, lambda console: console.print(f"User {user.user_key} added; days are counted in {user.time_zone}.")
    )


def free_key(session: Session, opened: Warehouse, key: str) -> None:
    """Finish the removal of a user who had this key. Raises BadInput with what is left and what helps."""
    left = finish_removal(session, opened, key)
    if left:
        remains = "; ".join(text for each in left for text in each.what_is_left)
        raise BadInput(
            f"the key {key!r} is not free yet: its previous user still has {remains}. `myi refresh` takes"
            " the rows out of the marts; the rest goes while `myi up` runs, or with this command again",
            place="user key",
        )


def finish_removal(session: Session, opened: Warehouse, key: str) -> list[Removal]:
    """Finish removals as far as that can be done now; those of this key that are not finished then."""
    from myi_pipeline.operations.remove_users import finish_removals, list_removals
    from myi_pipeline.postgres.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        if not list_removals(connection, user_key=key):
            return []
    # Without a folder of Dagster's there is no partition.
    partitions = partition_keys(session, opened) if session.settings.dagster_home.exists() else None
    removals = finish_removals(opened, session.settings, partition_keys=partitions)
    return [each for each in removals if each.user_key == key and each.holds_key]


@app.command("set")
def change(
    key: Key,
    time_zone: ZoneOption = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d"], help="The zone holds from this day on; what was before stays."),
    ] = None,
    name: NameOption = None,
    operator: OperatorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a user's time zone, name or rights. A new zone moves plays between days with the next refresh."""
    from myi_pipeline.people import manage_users, user_time_zones
    from myi_pipeline.postgres.connections import Role

    if since is not None and time_zone is None:
        raise WrongUsage("--since says since when a zone holds: give --time-zone too")
    if time_zone is None and name is None and operator is None:
        raise WrongUsage("nothing to change: give --time-zone, --name, --operator or --no-operator")
    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        if since is not None and time_zone is not None:
            user_time_zones.begin_time_zone(
                connection, user_key=key, time_zone=time_zone, since=since.date(), now=datetime.now(UTC)
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


@app.command("remove")
def remove(
    key: Key,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a user with every play, import, quarantined row and uploaded archive. The marts follow with the next
    refresh. For a user who is removed already: finish that, and say what is left."""
    from myi_pipeline.operations.remove_users import list_removals
    from myi_pipeline.people import manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        with opened.connect(Role.INGEST, autocommit=True) as connection:
            is_there = bool(manage_users.list_users(connection, user_key=key))
            user = None
            if is_there or not list_removals(connection, user_key=key):
                user = manage_users.get_user(connection, user_key=key)
                if not yes:
                    if as_json:
                        raise WrongUsage("--json cannot prompt; add --yes")
                    question = (
                        f"Remove {user.user_key}, all {number(user.rows_loaded)} loaded plays and the archives in"
                        f" {session.settings.uploads_folder / user.user_key} for good?"
                    )
                    typer.confirm(question, abort=True, err=True)
                manage_users.remove_user(connection, user_key=key)
        left = finish_removal(session, opened, key)
    remains = [text for each in left for text in each.what_is_left]
    errors = [each.last_error for each in left if each.last_error]

    def render(console: Console) -> None:
        console.print(f"User {key} removed. `myi refresh` takes the plays out of the marts.")
        if remains:
            console.print(f"Still to be removed: {'; '.join(remains)}. The key stays reserved until then.")
        for error in errors:
            console.print(error)

    session.output.result({"removed": user, "left": remains, "errors": errors}, render)
    if errors:
        raise typer.Exit(1)
