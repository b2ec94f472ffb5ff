"""`myi user erase`, which is `myi user remove` as well, `myi user receipt` and `myi user scrub`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.refreshing import dbt_at_hand, refresh
from myi_pipeline.cli.session import JsonOption, Session, WrongUsage, open_session, warehouse
from myi_pipeline.cli.users import Key, finish_removal
from myi_pipeline.errors import BadInput

if TYPE_CHECKING:
    from myi_pipeline.operations.remove_users import Removal
    from myi_pipeline.people.erasures import Receipt
    from myi_pipeline.people.manage_users import User

_OUTCOMES = {
    "ended": "the login was ended there",
    "not_offered": "deleted here; only the person can end it, in their account settings there",
    "failed": "deleted here; the service could not be notified",
}


def erase_command(
    key: Key,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    no_refresh: Annotated[
        bool,
        typer.Option("--no-refresh", help="Leave the marts to the next refresh; the key stays reserved."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase a user.

    This deletes every play, archive, playlist, login, token and file, names that nobody else plays, and traces in
    Dagster and logs. For a user who is being erased already, it finishes that and shows what is left.
    """
    from myi_pipeline.operations import erase_users
    from myi_pipeline.operations.remove_users import list_removals
    from myi_pipeline.people import manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        with opened.connect(Role.INGEST, autocommit=True) as connection:
            is_there = bool(manage_users.list_users(connection, user_key=key))
            removals = () if is_there else list_removals(connection, user_key=key)
            user = None if removals else manage_users.get_user(connection, user_key=key)
            counts = (
                {}
                if user is None
                else erase_users.count_all(connection, session.settings, user_id=user.user_id, user_key=key)
            )
        if dry_run:
            session.output.result({"would_go": counts}, lambda console: _render_counts(console, key, counts))
            return
        receipt_id = removals[0].receipt_id if removals else None
        if user is not None:
            _confirm(session, user, counts, yes=yes, as_json=as_json)
            receipt_id = erase_users.erase_user(opened, session.settings, user_id=user.user_id, now=datetime.now(UTC))
        left = finish_removal(session, opened, key)
        if any(each.is_in_marts for each in left) and not no_refresh:
            with dbt_at_hand(session, is_sure=True) as dbt:
                refresh(session, opened, dbt=dbt, run_tests=False)
            left = finish_removal(session, opened, key)
        receipt = erase_users.receipt_of(opened, receipt_id) if receipt_id is not None else None
    _report(session, key, user, receipt, left)


def receipt_command(
    receipt_id: Annotated[str, typer.Argument(metavar="NUMBER", help="The id of the receipt.")],
    as_json: JsonOption = False,
) -> None:
    """Show the receipt of an erasure: what was deleted, when, and the outcome for logins at the services."""
    from myi_pipeline.operations import erase_users

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        receipt = erase_users.receipt_of(opened, receipt_id)
    if receipt is None:
        raise BadInput("there is no receipt with that id", place="receipt")
    session.output.result({"receipt": receipt}, lambda console: _render_receipt(console, receipt))


def scrub_command(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: JsonOption = False
) -> None:
    """Rewrite the database's files, so that none still contains deleted data. Blocks everything else meanwhile."""
    from myi_pipeline.operations.scrub import scrub

    session = open_session(as_json=as_json)
    if not yes:
        if as_json:
            raise WrongUsage("--json cannot prompt; add --yes")
        typer.confirm(
            "Rewrite all database files? This needs as much free disk space as the largest table, takes about a minute"
            " per gigabyte, and blocks everything else.",
            abort=True,
            err=True,
        )
    with warehouse(session) as opened:
        done = scrub(opened, session.settings, on_step=lambda step: session.output.note(step))

    def render(console: Console) -> None:
        console.print(f"{number(done.tables)} tables rewritten, {number(done.segments)} old log segments removed.")
        for remark in done.remarks:
            console.print(remark)

    session.output.result(done, render)


def _confirm(session: Session, user: User, counts: dict[str, int], *, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json:
        raise WrongUsage("--json cannot prompt; add --yes")
    _render_counts(Console(stderr=True), user.user_key, counts)
    typed = typer.prompt(f"This cannot be undone. Type {user.user_key} to erase it for good", err=True)
    if typed.strip() != user.user_key:
        raise BadInput(f"nothing was erased: {user.user_key} was not typed", place="confirmation")


def _render_counts(console: Console, key: str, counts: dict[str, int]) -> None:
    if not counts:
        console.print(f"Nothing is stored for {key} except the user record.")
        return
    console.print(
        table(f"What would be deleted for {key}", ("what", ">how many"), ((w, number(n)) for w, n in counts.items()))
    )


def _report(session: Session, key: str, user: User | None, receipt: Receipt | None, left: list[Removal]) -> None:
    remains = [text for each in left for text in each.what_is_left]
    errors = [each.last_error for each in left if each.last_error]

    def render(console: Console) -> None:
        console.print(f"User {key} removed.")
        if receipt is not None:
            _render_receipt(console, receipt)
        if remains:
            console.print(f"Still to be removed: {'; '.join(remains)}. The key stays reserved until then.")
        else:
            console.print(
                "Deleted rows stay on disk until Postgres reuses the space; to remove them now: myi user scrub"
            )
        for error in errors:
            console.print(error)

    session.output.result({"removed": user, "receipt": receipt, "left": remains, "errors": errors}, render)
    if errors:
        raise typer.Exit(1)


def _render_receipt(console: Console, receipt: Receipt) -> None:
    console.print(f"Receipt {receipt.receipt_id}")
    if receipt.erased_at is None:
        console.print(
            f"Requested {moment(receipt.requested_at)}, due {moment(receipt.due_at)}; nothing has been deleted yet."
        )
        return
    ended = receipt.finished_at
    rest = f"the last trace was removed {moment(ended)}" if ended else "traces are being removed"
    console.print(f"Erased {moment(receipt.erased_at)}; {rest}.")
    if receipt.counts:
        console.print(table(None, ("what", ">removed"), ((what, number(n)) for what, n in receipt.counts.items())))
    for login in receipt.logins:
        said = f" ({login.said})" if login.said else ""
        console.print(f"{login.service}: {_OUTCOMES.get(login.outcome, login.outcome)}{said}.")
