"""`myi poll`, `myi top`, `myi circuit` and `myi quota`: polling Spotify, and what prevents it."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse
from myi_pipeline.cli.users import Key
from myi_pipeline.errors import BadInput

if TYPE_CHECKING:
    from myi_pipeline.polling.poll_users import PollResult

ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Poll even if not due or cooling down; never overrides a blocked quota or an open circuit."
    ),
]


def poll_command(user: UserFilter = None, force: ForceOption = False, as_json: JsonOption = False) -> None:
    """Poll the users who are due, or one user. The marts follow with the next refresh."""
    from myi_pipeline.people.manage_users import get_user, list_users
    from myi_pipeline.polling.poll_users import poll_users
    from myi_pipeline.postgres.connections import Role

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
    session.output.result({"polls": results}, lambda console: _render_polls(console, results))
    # If a single named user cannot be polled, that is a refusal; among many, only failures count.
    is_refused = any(each.outcome == "failed" for each in results) or (
        user is not None and any(each.outcome == "skipped" and each.retry_at is None for each in results)
    )
    if is_refused:
        raise typer.Exit(1)


def _render_polls(console: Console, results: tuple[PollResult, ...]) -> None:
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


top_app = typer.Typer(help="Read and show Spotify's own top lists.", no_args_is_help=True, rich_markup_mode=None)


class Term(StrEnum):
    SHORT = "short_term"
    MEDIUM = "medium_term"
    LONG = "long_term"


@top_app.command("refresh")
def refresh_top(
    user: UserFilter = None,
    force: Annotated[bool, typer.Option("--force", help="Also read lists that are not due yet.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read all top lists that are due."""
    from myi_pipeline.people.manage_users import get_user, list_users
    from myi_pipeline.polling.top_items import refresh_top_items
    from myi_pipeline.postgres.connections import Role

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


@top_app.command("show")
def show_top(
    key: Key,
    artists: Annotated[bool, typer.Option("--artists", help="Show artists instead of tracks.")] = False,
    term: Annotated[Term, typer.Option("--term", help="About four weeks, six months or a year.")] = Term.MEDIUM,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=50, help="Show at most N ranks.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the newest snapshot of one of a user's lists."""
    from myi_pipeline.polling.top_items import newest_list
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    kind = "artist" if artists else "track"
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        items = newest_list(connection, user_key=key, entity_kind=kind, term=term.value, limit=limit)

    def render(console: Console) -> None:
        if not items:
            console.print(f"No top list stored for {key} yet. Run: myi top refresh --user {key}")
            return
        rows = ((item.rank, item.name, item.artist) for item in items)
        title = f"Top {kind}s of {key}, {term.value}, as of {items[0].taken_on}"
        console.print(table(title, (">", "artist" if artists else "track", "" if artists else "artist"), rows))

    session.output.result({"user_key": key, "entity_kind": kind, "term": term.value, "items": items}, render)


circuit_app = typer.Typer(
    help="List and reset circuits, which stop requests for a user after failures.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@circuit_app.command("list")
def show_circuits(
    user: UserFilter = None,
    history: Annotated[
        int, typer.Option("--history", metavar="N", min=0, max=1000, help="Also show the N latest changes.")
    ] = 10,
    as_json: JsonOption = False,
) -> None:
    """List circuits that are open or have counted failures, and the latest changes of those for polls."""
    from myi_pipeline.people.manage_users import find_user_id
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers import circuits
    from myi_pipeline.providers.accounts import Provider

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = None if user is None else find_user_id(connection, user_key=user)
        events = circuits.list_events(connection, user_id=user_id, limit=history)
        found = [circuit for circuit in circuits.list_circuits(connection) if user in (None, circuit.user_key)]

    def render(console: Console) -> None:
        if not found:
            console.print("Every circuit is closed.")
        else:
            rows = (
                (
                    circuit.user_key,
                    "polls"
                    if circuit.provider is None
                    else f"{Provider(circuit.provider).label} account {circuit.account_id}",
                    circuit.state,
                    moment(circuit.open_until),
                    ", ".join(f"{number(count)} {kind}" for kind, count in circuit.failures.items()),
                    circuit.reason,
                )
                for circuit in found
            )
            columns = ("user", "of", "state", "until (UTC)", "failures in a row", "last reason")
            console.print(table(None, columns, rows))
        if events:
            rows_of_events = (
                (moment(event.happened_at), event.user_key, f"{event.from_state} -> {event.to_state}", event.reason)
                for event in events
            )
            console.print(table("Lately", ("when (UTC)", "user", "change", "reason"), rows_of_events))

    session.output.result({"circuits": found, "history": events}, render)


@circuit_app.command("reset")
def reset_circuit_command(
    key: Key,
    account: Annotated[
        int | None,
        typer.Option("--account", metavar="ACCOUNT", help="The circuit of this account's playlists, not of polls."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Close a user's circuit, so that requests are made again at once."""
    from myi_pipeline.people.manage_users import find_user_id
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers import circuits
    from myi_pipeline.providers.accounts import list_accounts
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        holder = circuits.CircuitOwner(find_user_id(connection, user_key=key))
        if account is not None:
            if account not in [each.account_id for each in list_accounts(connection, user_id=holder.number)]:
                raise BadInput(f"{key} has no account {account}: see `myi providers list`", place="--account")
            holder = circuits.CircuitOwner(account, is_account=True)
        was_open = circuits.reset_holder(connection, holder, now=utc_now())
    whose = f"{key}'s circuit" if account is None else f"The circuit of {key}'s account {account}"
    text = f"{whose} is closed." if was_open else f"{whose} was already closed; there was nothing to reset."
    document = {"user_key": key, "account_id": account, "was_touched": was_open}
    session.output.result(document, lambda console: console.print(text))


def quota_command(as_json: JsonOption = False) -> None:
    """Show each client id's calls in the last minute and 24 hours, services' blocks, and YouTube's remaining units."""
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.governor import quota_limits, service_limits, show_quota
    from myi_pipeline.providers.transport import utc_now
    from myi_pipeline.providers.youtube_music.units import units_today

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        limits, of_services = quota_limits(session.settings), service_limits(session.settings)
        uses = show_quota(connection, limits=limits, of_services=of_services, now=utc_now())
        units = units_today(connection, session.settings, now=utc_now())

    def render(console: Console) -> None:
        if not uses and not units:
            console.print("No service has been called yet.")
            return
        rows = (
            (
                use.client_id,
                use.bucket,
                f"{number(use.calls_of_minute)} of {number(use.limit_of_minute)}",
                number(use.calls_of_day) + (f" of {number(use.limit_of_day)}" if use.limit_of_day is not None else ""),
                moment(use.blocked_until) or "no",
            )
            for use in uses
        )
        columns = ("client id", "bucket", ">last minute", ">last 24 hours", "blocked until (UTC)")
        if uses:
            console.print(table(None, columns, rows))
        if units:
            of_units = (
                (each.kind.value, f"{number(each.used)} of {number(each.limit)}", number(each.left),
                 moment(each.day_ends_at))
                for each in units
            )  # fmt: skip
            console.print(table(None, ("YouTube's", ">used today", ">left", "day ends (UTC)"), of_units))

    session.output.result({"buckets": uses, "youtube": units}, render)
