"""`myi notices`: current notices, where they are sent, and the operator's addresses and webhooks."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, table
from myi_pipeline.cli.session import JsonOption, UserFilter, WrongUsage, checking_options, open_session, warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from myi_pipeline.notices.journal import Delivery
    from myi_pipeline.postgres.connections import Connection

_LONGEST_TRY_S = 40.0

app = typer.Typer(
    help="Show current notices, and manage where the operator's are sent.", no_args_is_help=True, rich_markup_mode=None
)
_Target = Annotated[str, typer.Argument(metavar="ID", help="Its id in `myi notices targets`.", show_default=False)]


@app.command("list")
def list_command(
    past: Annotated[bool, typer.Option("--past", help="Also past ones, of the last 90 days.")] = False,
    user: UserFilter = None,
    as_json: JsonOption = False,
) -> None:
    """List open notices of all users and of the installation."""
    from myi_pipeline.notices.store import list_notices
    from myi_pipeline.people.manage_users import find_user_id
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, closing(opened.connect(Role.INGEST, autocommit=True)) as connection:
        user_id = None if user is None else find_user_id(connection, user_key=user)
        found = list_notices(connection, user_id=user_id, with_past=past)

    def render(console: Console) -> None:
        if not found:
            console.print("Nothing is open.")
            return
        rows = ((each.user_key, each.words.title, moment(each.began_at), moment(each.ended_at)) for each in found)
        console.print(table(None, ("user", "notice", "since (UTC)", "ended (UTC)"), rows))

    session.output.result({"notices": [{**vars(each), "title": each.words.title} for each in found]}, render)


@app.command("targets")
def targets_command(as_json: JsonOption = False) -> None:
    """List the addresses that notices are sent to, of the operator and of users, without their secret parts."""
    from myi_pipeline.notices.targets import list_targets, settings_addresses
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    of_settings = [url.partition("://")[0] for url in settings_addresses(session.settings).values()]
    with warehouse(session) as opened, closing(opened.connect(Role.INGEST, autocommit=True)) as connection:
        found = list_targets(connection, user_id=None)

    def render(console: Console) -> None:
        rows = [
            ("", "operator", scheme, f"{scheme}://…", "from settings", "") for scheme in of_settings
        ] + [
            (str(each.target_id), each.user_key or "operator", each.channel.value, each.shown, each.name,
             "gone" if each.stopped_at else ", ".join(each.kinds or ()))
            for each in found
        ]  # fmt: skip
        if not rows:
            console.print("Notices are not sent anywhere. Add an address with MYI_NOTICES_URLS or `myi notices add`.")
            return
        console.print(table(None, ("id", "whose", "way", "address", "name", "only"), rows))

    session.output.result({"of_settings": of_settings, "targets": found}, render)


@app.command("add")
def add_command(
    webhook: Annotated[bool, typer.Option("--webhook", help="It is a webhook; its secret is shown once.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="Its name in lists.", show_default=False)] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind; can be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send the operator's notices to an address that is read from standard input: an Apprise URL or a webhook."""
    import sys

    from myi_pipeline.notices.kinds import check_kinds
    from myi_pipeline.notices.targets import Channel, add_target
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.encryption_keys import require_keys
    from myi_pipeline.providers.transport import utc_now

    with checking_options():
        check_kinds(tuple(kinds or ()), operator=True)
    session = open_session(as_json=as_json)
    if sys.stdin.isatty():
        session.output.note("The address, then Enter:")
    url = sys.stdin.readline().strip()
    if not url:
        raise WrongUsage("there is no address on standard input")
    with warehouse(session) as opened, closing(opened.connect(Role.INGEST, autocommit=True)) as connection:
        made = add_target(
            connection, require_keys(session.settings, opened), user_id=None,
            channel=Channel.WEBHOOK if webhook else Channel.APPRISE, url=url, name=name,
            kinds=tuple(kinds) if kinds else None, allow_private=session.settings.webhooks_allow_private,
            now=utc_now(),
        )  # fmt: skip

    def render(console: Console) -> None:
        console.print(f"Added {made.target_id}. `myi notices test` shows whether it works.")
        if made.secret is not None:
            console.print(f"Its secret, which is not shown again: {made.secret}", soft_wrap=True)

    session.output.result({"target_id": made.target_id, "secret": made.secret}, render)


@app.command("rotate")
def rotate_command(target: _Target, as_json: JsonOption = False) -> None:
    """Give one of the operator's webhooks a new secret; the former one stays valid for a day."""
    from myi_pipeline.notices.targets import rotate_secret
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.encryption_keys import require_keys

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, closing(opened.connect(Role.INGEST, autocommit=True)) as connection:
        keys = require_keys(session.settings, opened)
        secret = rotate_secret(connection, keys, user_id=None, target_id=_id(target))
    if secret is None:
        raise WrongUsage("the operator has no webhook with this id; `myi notices targets` lists them")
    session.output.result(
        {"secret": secret},
        lambda console: console.print(f"The new secret, which is not shown again: {secret}", soft_wrap=True),
    )


@app.command("remove")
def remove_command(target: _Target, as_json: JsonOption = False) -> None:
    """Stop sending to an address, no matter whose it is."""
    from myi_pipeline.notices.targets import remove_target
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, closing(opened.connect(Role.INGEST, autocommit=True)) as connection:
        if not remove_target(connection, user_id=None, target_id=_id(target)):
            raise WrongUsage("there is no address with this id; `myi notices targets` lists them")
    session.output.result({"removed": target}, lambda console: console.print("Removed."))


@app.command("deliveries")
def deliveries_command(
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="Show at most N.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what was sent and the results, newest first."""
    from myi_pipeline.notices.journal import list_deliveries
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, closing(opened.connect(Role.INGEST, autocommit=True)) as connection:
        found = list_deliveries(connection, user_id=None, limit=limit)

    def render(console: Console) -> None:
        if not found:
            console.print("Nothing has been sent yet.")
            return
        rows = (
            (moment(each.created_at), each.kind, each.target_id or "settings", each.state, each.attempts, each.error)
            for each in found
        )
        console.print(table(None, ("when (UTC)", "kind", "target", "state", ">tries", "error"), rows))

    shown = [
        {**{name: value for name, value in vars(each).items() if name != "payload"}, "state": each.state}
        for each in found
    ]
    session.output.result({"deliveries": shown}, render)


@app.command("test")
def send_tests_command(as_json: JsonOption = False) -> None:
    """Send a test to each of the operator's addresses at once, and show the results."""
    from myi_pipeline.notices import journal
    from myi_pipeline.notices.sending import NoticeSender
    from myi_pipeline.notices.targets import list_targets, settings_addresses
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    addresses = settings_addresses(session.settings)
    with warehouse(session) as opened, closing(opened.connect(Role.INGEST, autocommit=True)) as connection:
        site_url, names = session.settings.site_url, {}
        for key, url in addresses.items():
            made = journal.journal_settings_test(connection, settings_key=key, site_url=site_url, now=utc_now())
            names[made] = f"{url.partition('://')[0]}:// from settings"
        for target in list_targets(connection, user_id=None):
            if target.user_id is not None:
                continue
            found = journal.journal_test(
                connection, user_id=None, target_id=target.target_id, site_url=site_url, now=utc_now()
            )
            if found is not None:
                names[found] = target.name
        if not names:
            raise WrongUsage("the operator has no address: set MYI_NOTICES_URLS, or add one with `myi notices add`")
        NoticeSender(session.settings, connection, clock=utc_now).send_due(only=list(names))
        # A running `myi up` may have sent some of them already.
        done = _settled(connection, list(names))

    failed = [each for each in done if each.state != "delivered"]

    def render(console: Console) -> None:
        rows = ((names[each.delivery_id], each.state, each.error) for each in done)
        console.print(table(None, ("address", "state", "error"), rows))

    results = [{"address": names[each.delivery_id], "state": each.state, "error": each.error} for each in done]
    session.output.result({"tests": results}, render)
    if failed:
        raise typer.Exit(1)


def _settled(connection: Connection, wanted: Sequence[UUID]) -> tuple[Delivery, ...]:
    """The deliveries once each was attempted; another process may have taken some, and needs at most half a minute."""
    import time

    from myi_pipeline.notices.journal import find_deliveries

    deadline = time.monotonic() + _LONGEST_TRY_S
    while True:
        found = find_deliveries(connection, wanted)
        if all(each.state != "waiting" or each.error is not None for each in found) or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def _id(text: str) -> UUID:
    from uuid import UUID

    try:
        return UUID(text)
    except ValueError:
        raise WrongUsage(f"{text[:60]!r} is not an id; `myi notices targets` lists them") from None
