"""`myi service`: a user's accounts at Last.fm and ListenBrainz, which are polled automatically.

No token is shown, logged or given on a command line, where other programs could see it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, Session, UserFilter, WrongUsage, open_session, warehouse
from myi_pipeline.cli.users import Key
from myi_pipeline.errors import BadInput

# typer reads the options' types on import; this module imports only the standard library.
from myi_pipeline.providers.scrobbles import Service

if TYPE_CHECKING:
    from myi_pipeline.people.links import LinkedService
    from myi_pipeline.polling.poll_one_link import LinkResult

app = typer.Typer(
    help="Link, list and poll accounts at Last.fm and ListenBrainz, and send plays on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NAMES = " or ".join(Service)
ServiceArgument = Annotated[Service, typer.Argument(metavar="SERVICE", help=f"{_NAMES}.")]
ServiceFilter = Annotated[
    Service | None, typer.Option("--service", metavar="SERVICE", help=f"Only this service: {_NAMES}.")
]


@app.command("link")
def link_command(
    key: Key,
    service: ServiceArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user name there.")],
    token: Annotated[
        bool,
        typer.Option("--token", help="Also ask for ListenBrainz' user token, or read it from standard input."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Link a user's account at a service. Its whole history is read by the next polls."""
    from myi_pipeline.people.links import link_account
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.open_services import open_services
    from myi_pipeline.providers.transport import utc_now

    if token and not service.traits.has_tokens:
        raise WrongUsage("--token is only for ListenBrainz; for Last.fm, allow MYI on a page of theirs")
    session = open_session(as_json=as_json)
    with (
        warehouse(session) as opened,
        opened.connect(Role.INGEST, autocommit=True) as connection,
        open_services(session.settings, opened) as services,
    ):
        user_id = get_user(connection, user_key=key).user_id
        account = link_account(
            services,
            connection,
            user_id=user_id,
            service=service,
            account=name,
            token=_read_token(session) if token else None,
            now=utc_now(),
        )
    _say(
        session,
        {"user_key": key, "service": service.value, "account": account},
        f"{service.label} account {account} is linked to {key}. `myi up` reads its history automatically; or run: myi"
        f" service poll --user {key}",
    )


@app.command("unlink")
def unlink_command(key: Key, service: ServiceArgument, as_json: JsonOption = False) -> None:
    """Delete the link and its token at once. Everything that was collected stays."""
    from myi_pipeline.people.links import unlink_account
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        found = unlink_account(connection, user_id=get_user(connection, user_key=key).user_id, service=service)
    text = f"{service.label} is no longer linked to {key}." if found else f"{service.label} was not linked to {key}."
    _say(session, {"user_key": key, "service": service.value, "was_linked": found}, text)


@app.command("pause")
def pause_command(key: Key, service: ServiceArgument, as_json: JsonOption = False) -> None:
    """Stop polling the service for a user until `myi service resume`. Nothing is lost."""
    _pause(key, service, is_paused=True, as_json=as_json)


@app.command("resume")
def resume_command(key: Key, service: ServiceArgument, as_json: JsonOption = False) -> None:
    """Resume polling after `myi service pause`."""
    _pause(key, service, is_paused=False, as_json=as_json)


def _pause(key: str, service: Service, *, is_paused: bool, as_json: bool) -> None:
    from myi_pipeline.people.links import pause_account
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        pause_account(connection, user_id=user_id, service=service, now=utc_now() if is_paused else None)
    text = f"{service.label} is {'no longer polled' if is_paused else 'polled again'} for {key}."
    _say(session, {"user_key": key, "service": service.value, "paused": is_paused}, text)


@app.command("list")
def list_command(user: UserFilter = None, as_json: JsonOption = False) -> None:
    """List linked accounts, when each was polled, and how far back it has been read."""
    from myi_pipeline.people.links import services_of
    from myi_pipeline.people.manage_users import get_user, list_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        users = list_users(connection) if user is None else (get_user(connection, user_key=user),)
        found = [(each.user_key, link) for each in users for link in services_of(connection, user_id=each.user_id)]

    def render(console: Console) -> None:
        if not found:
            console.print("No account is linked. Link one with: myi service link KEY SERVICE NAME")
            return
        rows = (
            (
                user_key,
                link.service.label,
                link.account,
                _state(link),
                moment(link.polled_at),
                moment(link.due_at),
                moment(link.newest_at),
                link.last_error or "",
            )
            for user_key, link in found
        )
        columns = ("user", "service", "account", "state", "polled (UTC)", "next (UTC)", "last scrobble (UTC)", "")
        console.print(table(None, columns, rows))

    session.output.result({"links": [{"user_key": user_key, "link": link} for user_key, link in found]}, render)


def _state(link: LinkedService) -> str:
    if link.paused_at is not None:
        return "paused"
    if link.failures:
        return "failing"
    if link.reading_from is not None:
        return f"read back to {link.reading_from:%Y-%m-%d}"
    return "followed" if link.read_whole_at is not None else "not read yet"


@app.command("poll")
def poll_command(
    user: UserFilter = None,
    service: ServiceFilter = None,
    force: Annotated[
        bool, typer.Option("--force", help="Poll even if just polled; never overrides a limit that a service set.")
    ] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Read the whole history again, from now backwards.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Poll the linked accounts of all users, or of one user. The marts follow with the next refresh."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.polling.poll_links import not_linked, poll_links
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        if user is not None:
            with opened.connect(Role.INGEST, autocommit=True) as connection:
                get_user(connection, user_key=user)
        results = poll_links(
            session.settings,
            opened,
            user_keys=None if user is None else [user],
            service=service,
            force=force,
            is_whole=whole,
            correlation_id=session.settings.correlation_id,
        )

    def render(console: Console) -> None:
        if results:
            _render_polls(console, results)
        elif user is not None:
            for each in (service,) if service is not None else tuple(Service):
                console.print(not_linked(user, each))
        else:
            console.print("No account is linked. Link one with: myi service link KEY SERVICE NAME")

    session.output.result({"polls": results}, render)
    if any(each.outcome == "failed" for each in results) or (user is not None and not results):
        raise typer.Exit(1)


def _render_polls(console: Console, results: tuple[LinkResult, ...]) -> None:
    rows = (
        (
            each.user_key,
            each.service.label,
            each.outcome,
            number(each.new_plays) if each.pages else "",
            number(each.known_plays) if each.pages else "",
            moment(each.newest_played_at),
            moment(each.retry_at),
            each.reason,
        )
        for each in results
    )
    columns = ("user", "service", "outcome", ">new", ">known", "last scrobble (UTC)", "next turn (UTC)", "")
    console.print(table(None, columns, rows))
    if any(each.new_plays for each in results):
        console.print("`myi refresh` brings new plays into the marts.")


@app.command("allow")
def allow_command(key: Key, as_json: JsonOption = False) -> None:
    """Have a person allow MYI, on a page of Last.fm, to send plays to their account."""
    from myi_pipeline.people.links import begin_allowing, finish_allowing
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.open_services import open_services
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    settings = session.settings
    with (
        warehouse(session) as opened,
        opened.connect(Role.INGEST, autocommit=True) as connection,
        open_services(settings, opened) as services,
    ):
        user_id = get_user(connection, user_key=key).user_id
        api_key = settings.lastfm_api_key.get_secret_value() if settings.lastfm_api_key is not None else ""
        token, page = begin_allowing(services, site_url=settings.lastfm_site_url, api_key=api_key)
        session.output.note("Open this page, sign in to Last.fm and allow MYI; then press Enter here:", page)
        if not sys.stdin.readline():
            raise WrongUsage("no Enter on standard input")
        account = finish_allowing(services, connection, user_id=user_id, token=token, now=utc_now())
    text = f"MYI may send plays to {account} at Last.fm. To begin: myi service send {key} lastfm"
    _say(session, {"user_key": key, "service": "lastfm", "account": account}, text)


@app.command("send")
def send_command(
    key: Key,
    service: ServiceArgument,
    past: Annotated[
        bool, typer.Option("--past", help="Also earlier plays; Last.fm accepts those of the last two weeks.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop sending; plays already sent stay there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send a user's plays on to a linked account from now on, once each."""
    from myi_pipeline.onward.journal import end_wish, wish_for
    from myi_pipeline.onward.send import no_secret
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers import service_vault
    from myi_pipeline.providers.transport import utc_now

    if past and stop:
        raise WrongUsage("--past and --stop cannot be combined")
    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        if stop:
            was_on = end_wish(connection, user_id=user_id, service=service)
            text = f"Plays of {key} are no longer sent to {service.label}." if was_on else "Nothing was being sent."
        else:
            link = service_vault.find_link(connection, user_id=user_id, service=service)
            if link is not None and not link.has_good_secret:
                raise BadInput(no_secret(service, key), place="service")
            wish_for(connection, user_id=user_id, service=service, with_past=past, now=utc_now())
            text = (
                f"Plays of {key} are sent to {service.label} from now on{', and earlier ones as well' if past else ''}."
            )
    _say(session, {"user_key": key, "service": service.value, "is_on": not stop, "with_past": past}, text)


@app.command("send-now")
def send_now_command(user: UserFilter = None, service: ServiceFilter = None, as_json: JsonOption = False) -> None:
    """Send waiting plays. `myi up` does this every ten minutes."""
    from myi_pipeline.onward.send import send_onward
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        if user is not None:
            with opened.connect(Role.INGEST, autocommit=True) as connection:
                get_user(connection, user_key=user)
        results = send_onward(session.settings, opened, user_keys=None if user is None else [user], service=service)

    def render(console: Console) -> None:
        if not results:
            console.print("No plays are to be sent on. To begin: myi service send KEY SERVICE")
            return
        rows = (
            (
                each.user_key,
                each.service.label,
                each.outcome,
                number(each.planned),
                number(each.sent),
                number(each.confirmed),
                number(each.refused),
                each.reason,
            )
            for each in results
        )
        columns = ("user", "service", "outcome", ">planned", ">sent", ">confirmed", ">refused", "")
        console.print(table(None, columns, rows))

    session.output.result({"sent": results}, render)
    if any(each.outcome == "failed" for each in results):
        raise typer.Exit(1)


def _read_token(session: Session) -> str:
    """Typed without echo at a terminal, or else a line of standard input."""
    if sys.stdin.isatty() and not session.output.as_json:
        token = str(typer.prompt("ListenBrainz user token", hide_input=True, err=True))
    else:
        token = sys.stdin.readline()
    if not token.strip():
        raise WrongUsage("no token on standard input")
    return token.strip()


def _say(session: Session, document: dict[str, object], text: str) -> None:
    session.output.result(document, lambda console: console.print(text, soft_wrap=True))
