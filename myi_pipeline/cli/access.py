"""`myi token` and `myi user link`: letting programs and browsers in from the command line.

Belongs here: the commands. Not here: what a token or a link may do (services/manage_access). Invariant: the secret
is in the command's answer and nowhere else, not in a log and not in a note.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse
from myi_pipeline.cli.users import Key
from myi_pipeline.core.errors import BadInput

tokens_app = typer.Typer(help="Access tokens for programs.", no_args_is_help=True, rich_markup_mode=None)

DaysOption = Annotated[
    int | None, typer.Option("--days", metavar="N", help="Good for so many days; else until revoked.")
]


@tokens_app.command("new")
def make(
    key: Key,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is for.")] = "command line",
    days: DaysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an access token that reads a user's listening history over the API."""
    from myi_pipeline.services import manage_access, manage_users
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        user_id = manage_users.get_user(connection, user_key=key).user_id
        made = manage_access.make_token(connection, user_id=user_id, name=name, days=days)

    def render(console: Console) -> None:
        console.print(made.token, soft_wrap=True)
        session.output.note("It is shown this once. Send it as: Authorization: Bearer TOKEN")

    session.output.result(made, render)


@tokens_app.command("list")
def show(user: UserFilter = None, as_json: JsonOption = False) -> None:
    """List access tokens that are good, the newest first."""
    from myi_pipeline.services import manage_access, manage_users
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        user_id = None if user is None else manage_users.get_user(connection, user_key=user).user_id
        tokens = manage_access.list_tokens(connection, user_id=user_id)

    def render(console: Console) -> None:
        if not tokens:
            console.print("No access tokens. Make one with: myi token new KEY")
            return
        rows = (
            (each.token_id, each.user_key, each.name, moment(each.created_at), moment(each.expires_at),
             moment(each.last_used_at))
            for each in tokens
        )  # fmt: skip
        console.print(table(None, (">id", "user", "name", "made", "expires", "last used"), rows))

    session.output.result({"tokens": tokens}, render)


@tokens_app.command("revoke")
def revoke(
    token_id: Annotated[int, typer.Argument(metavar="ID", help="Its id, as `myi token list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """End an access token; the API refuses it within a second."""
    from myi_pipeline.services import manage_access
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        if not manage_access.revoke_token(connection, token_id=token_id):
            raise BadInput(f"there is no access token {token_id}", place="token id")
    session.output.result({"revoked": token_id}, lambda console: console.print(f"Token {token_id} is revoked."))


def link_command(key: Key, as_json: JsonOption = False) -> None:
    """Make a link that signs a browser in as this user: once, within 24 hours."""
    from myi_pipeline.services import manage_access, manage_users
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.APP, autocommit=True) as connection:
        user_id = manage_users.get_user(connection, user_key=key).user_id
        secret = manage_access.make_link(connection, user_id=user_id)
    url = f"{session.settings.site_origin}/link/{secret}"
    hours = int(manage_access.LINK_LIFE.total_seconds() // 3600)

    def render(console: Console) -> None:
        console.print(url, soft_wrap=True)
        session.output.note(f"It signs one browser in as {key}, within {hours} hours; a newer link ends it.")

    session.output.result({"user_key": key, "link": url, "hours": hours}, render)
