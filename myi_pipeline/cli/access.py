"""`myi token`, `myi user link`, `myi user sign-out` and `myi dagster-link`: letting programs and browsers in.

A secret appears only in the command's answer: not in a log, not in a note.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, table
from myi_pipeline.cli.session import (
    JsonOption,
    Session,
    UserFilter,
    WrongUsage,
    checking_options,
    open_session,
    warehouse,
)
from myi_pipeline.cli.users import Key
from myi_pipeline.errors import BadInput

if TYPE_CHECKING:
    from myi_pipeline.postgres.connections import Warehouse

tokens_app = typer.Typer(help="Access tokens for programs.", no_args_is_help=True, rich_markup_mode=None)

DaysOption = Annotated[
    int | None, typer.Option("--days", metavar="N", help="Valid for N days; without it, for a year.")
]


@tokens_app.command("new")
def make(
    key: Key,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is for.")] = "command line",
    days: DaysOption = None,
    operate: Annotated[
        bool, typer.Option("--operate", help="Also valid for Dagster's pages, with all rights of an operator.")
    ] = False,
    submit_listens: Annotated[
        bool,
        typer.Option("--submit-listens", help="For a scrobbler: can submit listens and read nothing else."),
    ] = False,
    move_playlists: Annotated[
        bool, typer.Option("--move-playlists", help="Can also move playlists to other services.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an access token to read a user's listening history over the API, submit listens, or move playlists."""
    from myi_pipeline.people import manage_access, manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    if operate + submit_listens + move_playlists > 1:
        raise WrongUsage("choose only one of --operate, --submit-listens and --move-playlists")
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        user = manage_users.get_user(connection, user_key=key)
        if operate and not user.is_operator:
            raise BadInput(f"{key} is not an operator: myi user set {key} --operator", place="--operate")
        scope = manage_access.TokenScope.READ
        if operate:
            scope = manage_access.TokenScope.OPERATE
        elif submit_listens:
            scope = manage_access.TokenScope.SUBMIT_LISTENS
        elif move_playlists:
            scope = manage_access.TokenScope.MOVE_PLAYLISTS
        with checking_options():
            made = manage_access.make_token(connection, user_id=user.user_id, name=name, days=days, scope=scope)

    def render(console: Console) -> None:
        console.print(made.token, soft_wrap=True)
        if submit_listens:
            session.output.note(f"It is shown only once. The scrobbler's address: {session.settings.site_url}")
        else:
            session.output.note("It is shown only once. Send it as: Authorization: Bearer TOKEN")

    session.output.result(made, render)


@tokens_app.command("list")
def show(user: UserFilter = None, as_json: JsonOption = False) -> None:
    """List valid access tokens, newest first."""
    from myi_pipeline.people import manage_access, manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        user_id = None if user is None else manage_users.get_user(connection, user_key=user).user_id
        tokens = manage_access.list_tokens(connection, user_id=user_id)

    def render(console: Console) -> None:
        if not tokens:
            console.print("No access tokens. Make one with: myi token new KEY")
            return
        rows = (
            (each.token_id, each.user_key, each.name, each.scope, moment(each.created_at), moment(each.expires_at),
             moment(each.last_used_at))
            for each in tokens
        )  # fmt: skip
        console.print(table(None, (">id", "user", "name", "for", "made", "expires", "last used"), rows))

    session.output.result({"tokens": tokens}, render)


@tokens_app.command("revoke")
def revoke(
    token_id: Annotated[int, typer.Argument(metavar="ID", help="Its id, as `myi token list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Revoke an access token; the API refuses it within a second."""
    from myi_pipeline.people import manage_access
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        if not manage_access.revoke_token(connection, token_id=token_id):
            raise BadInput(f"there is no access token {token_id}", place="token id")
    session.output.result({"revoked": token_id}, lambda console: console.print(f"Token {token_id} is revoked."))


def print_way_in(console: Console, way: Sequence[str]) -> None:
    """One line each, however narrow the terminal: a cut or wrapped link does not work."""
    for line in way:
        console.print(line, soft_wrap=True)


def way_in(session: Session, opened: Warehouse, *, user_key: str) -> Sequence[str]:
    """The dashboard's address and, at a terminal, a sign-in link for a user who has never signed in with a browser.

    A link is a secret, so it is never written to a file or a pipe. A user who has signed in gets none, because it would
    replace one that was made for somebody.
    """
    from myi_pipeline.people import manage_access, manage_users
    from myi_pipeline.postgres.connections import Role

    site = session.settings.site_url
    address = f"The dashboard: {site} (while `myi up` runs)"
    # Not the console's own property, which FORCE_COLOR changes for pipes.
    if session.output.as_json or not sys.stdout.isatty():
        return address, f"Sign in: myi user link {user_key} makes a link for a browser, once"
    with opened.connect(Role.APP, autocommit=True) as connection:
        user_id = manage_users.get_user(connection, user_key=user_key).user_id
        query = "select 1 from app.sessions where user_id = %s limit 1"
        if connection.execute(query, (user_id,)).fetchone() is not None:
            return address, f"Sign in from another browser: myi user link {user_key} makes a link for it, once"
        secret = manage_access.make_link(connection, user_id=user_id)
    hours = int(manage_access.LINK_LIFE.total_seconds() // 3600)
    return address, f"Sign in as {user_key}, once, within {hours} hours: {site}/link#{secret}"


def link_command(key: Key, as_json: JsonOption = False) -> None:
    """Make a link that signs a browser in as this user: once, within 24 hours."""
    from myi_pipeline.people import manage_access, manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        user_id = manage_users.get_user(connection, user_key=key).user_id
        secret = manage_access.make_link(connection, user_id=user_id)
    url = f"{session.settings.site_url}/link#{secret}"
    hours = int(manage_access.LINK_LIFE.total_seconds() // 3600)

    def render(console: Console) -> None:
        console.print(url, soft_wrap=True)
        session.output.note(f"It signs in one browser as {key}, once, within {hours} hours. A newer link replaces it.")

    session.output.result({"user_key": key, "link": url, "hours": hours}, render)


def sign_out_command(key: Key, as_json: JsonOption = False) -> None:
    """End every sign-in, access token and link of a user; Spotify stays connected."""
    from myi_pipeline.people import manage_access, manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        user_id = manage_users.get_user(connection, user_key=key).user_id
        ended = manage_access.end_all(connection, user_id=user_id)
    session.output.result(
        {"user_key": key, "ended": ended},
        lambda console: console.print(
            f"Ended for {key}: sign-ins {ended.sign_ins}, tokens {ended.tokens}, links {ended.links}.", soft_wrap=True
        ),
    )


def dagster_link_command(
    end_all: Annotated[
        bool, typer.Option("--end-all", help="First end every session that was started with such a link.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a link that lets a browser into Dagster's pages: once, within 24 hours."""
    from myi_pipeline.people import dagster_access
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    ended = 0
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        if end_all:
            ended = dagster_access.end_dagster_sessions(connection)
        url = dagster_access.make_dagster_link(connection, session.settings)
    hours = int(dagster_access.LINK_LIFE.total_seconds() // 3600)

    def render(console: Console) -> None:
        console.print(url, soft_wrap=True)
        session.output.note(f"It lets in one browser, once, within {hours} hours. A newer link replaces it.")

    session.output.result({"link": url, "hours": hours, "ended": ended}, render)
