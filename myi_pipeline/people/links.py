"""Linking a user's accounts at Last.fm and ListenBrainz.

Nothing is stored before the service has confirmed that the account exists and can be read. The role that serves people
can link and unlink; only the polling role can use a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from psycopg.rows import class_row

from myi_pipeline.errors import BadInput, Forbidden, Gone
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.providers import service_vault
from myi_pipeline.providers.open_services import Services
from myi_pipeline.providers.scrobbles import Service

LONGEST_ACCOUNT = 128


@dataclass(frozen=True, kw_only=True)
class LinkedService:
    """One linked account as its user sees it.

    `reading_from`: how far back reading its history has come; None if that is not in progress.
    """

    service: Service
    account: str
    has_secret: bool
    linked_at: datetime
    paused_at: datetime | None
    secret_ended_at: datetime | None
    polled_at: datetime | None
    due_at: datetime | None
    newest_at: datetime | None
    read_whole_at: datetime | None
    reading_from: datetime | None
    failures: int
    last_error: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", Service(self.service))


def services_of(connection: Connection, *, user_id: int) -> tuple[LinkedService, ...]:
    """A user's linked accounts, by service."""
    with connection.cursor(row_factory=class_row(LinkedService)) as cursor:
        return tuple(cursor.execute("select * from ops.services_of(%s)", (user_id,)).fetchall())


def link_account(
    services: Services,
    connection: Connection,
    *,
    user_id: int,
    service: Service,
    account: str,
    token: str | None,
    now: datetime,
    address: str | None = None,
) -> str:
    """Links an account by its name; returns the name as the service writes it.

    `token` is ListenBrainz' and must belong to this account. Raises BadInput with what is wrong, RateLimited,
    Transient.
    """
    wanted = account.strip()
    if not wanted or len(wanted) > LONGEST_ACCOUNT or not wanted.isprintable():
        raise BadInput(
            f"{service.label}: this is not a user name", place="user name", rule="the name as its pages show it"
        )
    if token is not None and not service.traits.has_tokens:
        raise BadInput("only ListenBrainz has tokens; for Last.fm, allow MYI on a page of theirs", place="token")
    try:
        name = services.read(lambda: services.reader(service).check_account(wanted))
    except (Gone, Forbidden) as error:
        raise BadInput(str(error), place="user name") from None
    if token is not None:
        given = token.strip()
        whose = services.read(lambda: services.listenbrainz().check_token(given))
        if whose.casefold() != name.casefold():
            raise BadInput(f"this token belongs to {whose}, not {name}", place="token")
        token = given
    store_account(
        services, connection, user_id=user_id, service=service, account=name, secret=token, now=now, address=address
    )
    return name


def store_account(
    services: Services,
    connection: Connection,
    *,
    user_id: int,
    service: Service,
    account: str,
    secret: str | None,
    now: datetime,
    address: str | None = None,
) -> None:
    """Stores what the service has confirmed, with an entry in the audit log. Raises ServiceAccountTaken."""
    with connection.transaction():
        service_vault.store_link(
            connection, services.keys, user_id=user_id, service=service, account=account, secret=secret, now=now
        )
        detail = {"service": service.value, "account": account, "with_secret": secret is not None}
        audit.record(connection, Event.SERVICE_LINKED, user_id=user_id, address=address, detail=detail)


def unlink_account(connection: Connection, *, user_id: int, service: Service, address: str | None = None) -> bool:
    """Deletes the link and its secret at once; collected plays stay. False if there was none."""
    with connection.transaction():
        found = service_vault.delete_link(connection, user_id=user_id, service=service)
        if found:
            audit.record(
                connection,
                Event.SERVICE_UNLINKED,
                user_id=user_id,
                address=address,
                detail={"service": service.value},
            )
    return found


def pause_account(connection: Connection, *, user_id: int, service: Service, now: datetime | None) -> None:
    """Stops polling the service for this user, or resumes if None. Raises BadInput without a link."""
    if not service_vault.pause_link(connection, user_id=user_id, service=service, now=now):
        raise BadInput(f"{service.label} is not linked", place="service")


def begin_allowing(services: Services, *, site_url: str, api_key: str) -> tuple[str, str]:
    """Last.fm's desktop flow: a token, and the page on which the person allows MYI to send plays.

    https://www.last.fm/api/desktopauth. Raises BadInput without an API key, Permanent without its secret.
    """
    token = services.read(lambda: services.lastfm().request_token())
    return token, f"{site_url}/api/auth/?{urlencode({'api_key': api_key, 'token': token})}"


def finish_allowing(
    services: Services,
    connection: Connection,
    *,
    user_id: int,
    token: str,
    now: datetime,
    address: str | None = None,
) -> str:
    """The person has agreed: stores the session key and links the account; returns its name.

    Raises NotAllowedYet, BadInput if another account is linked, ServiceAccountTaken.
    """
    linked = next((each for each in services_of(connection, user_id=user_id) if each.service is Service.LASTFM), None)
    # Never retried: Last.fm accepts the token only once.
    name, key = services.lastfm().session(token)
    if linked is not None and linked.account.casefold() != name.casefold():
        raise BadInput(
            f"{name} allowed it, and {linked.account} is linked: sign in there as {linked.account}, or unlink it first",
            place="Last.fm account",
        )
    store_account(
        services,
        connection,
        user_id=user_id,
        service=Service.LASTFM,
        account=name,
        secret=key,
        now=now,
        address=address,
    )
    return name
