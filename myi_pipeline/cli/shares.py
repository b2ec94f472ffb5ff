"""`myi share`: share links of users. An operator can list and revoke reports, but not see their content."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse
from myi_pipeline.errors import BadInput

app = typer.Typer(help="Share links: list and revoke.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def show(user: UserFilter = None, as_json: JsonOption = False) -> None:
    """List share reports, newest first, without their content."""
    from myi_pipeline.people import manage_users
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.sharing import shares

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = None if user is None else manage_users.get_user(connection, user_key=user).user_id
        found = shares.list_shares(connection, user_id=user_id, now=datetime.now(UTC))

    def render(console: Console) -> None:
        if not found:
            console.print("Nothing is shared.")
            return
        rows = (
            (each.share_id, each.user_key, each.kind, each.title, each.state, moment(each.made_at),
             "never" if each.expires_at is None else moment(each.expires_at), each.views)
            for each in found
        )  # fmt: skip
        console.print(table(None, ("id", "user", "kind", "title", "state", "made", "ends", ">seen"), rows))

    session.output.result({"shares": found}, render)


@app.command("revoke")
def revoke(
    share_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, the last part of its link.")],
    as_json: JsonOption = False,
) -> None:
    """Revoke a share report at once: its link stops working, and its content is deleted."""
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.sharing import shares

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        if not shares.revoke_share(connection, user_id=None, share_id=share_id, now=datetime.now(UTC)):
            raise BadInput(f"no report with the id {share_id} is shared", place="share id", rule="see myi share list")
    session.output.result(
        {"revoked": share_id}, lambda console: console.print(f"{share_id} is no longer shared.")
    )  # fmt: skip
