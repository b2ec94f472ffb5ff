"""Linking a user's accounts at TIDAL, Deezer and YouTube Music (for Spotify: `logins`), and unlinking any.

Nothing is stored before the service has identified the account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from myi_pipeline.errors import BadInput, Forbidden, Gone
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.providers.accounts import Provider, link_account, list_accounts, unlink_account
from myi_pipeline.providers.open_playlist_services import PlaylistServices
from myi_pipeline.providers.pkce import Challenge, new_challenge, read_redirect
from myi_pipeline.providers.sign_in_rules import AskedScope, TokenGrant, WhoSignedIn


@dataclass(frozen=True)
class PendingLink:
    """A sign-in whose answer is expected at `redirect_uri`."""

    provider: Provider
    redirect_uri: str
    url: str = field(repr=False)
    challenge: Challenge = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class MadeLink:
    """`denied`: permissions that were not granted. `note`: how long the login lasts, in plain words."""

    account_id: int
    provider: Provider
    name: str | None
    denied: tuple[AskedScope, ...] = ()
    note: str = ""


def begin_link(services: PlaylistServices, *, provider: Provider, redirect_uri: str) -> PendingLink:
    """The address to open. Raises BadInput if this installation has no app at the service, or it needs none."""
    challenge = new_challenge()
    url = services.sign_in(provider).authorise_url(challenge, redirect_uri=redirect_uri, ask_again=True)
    return PendingLink(provider, redirect_uri, url, challenge)


def finish_link(
    services: PlaylistServices,
    connection: Connection,
    pending: PendingLink,
    *,
    user_id: int,
    redirected: str,
    now: datetime,
    address: str | None = None,
) -> MadeLink:
    """Raises BadInput for the wrong address, LoginDenied, ProviderAccountTaken, and the service's errors."""
    sign_in = services.sign_in(pending.provider)
    code = read_redirect(redirected, pending.challenge, service=pending.provider.label)
    grant = sign_in.exchange(code, pending.challenge, redirect_uri=pending.redirect_uri)
    who = sign_in.who(grant.access)
    account_id = _store(
        services, connection, who, user_id=user_id, provider=pending.provider, client_id=sign_in.client_id,
        grant=grant, now=now, address=address,
    )  # fmt: skip
    return MadeLink(
        account_id=account_id,
        provider=pending.provider,
        name=who.name,
        denied=sign_in.terms.denied(grant.scopes),
        note=sign_in.terms.note,
    )


def link_deezer(
    services: PlaylistServices,
    connection: Connection,
    *,
    user_id: int,
    number: str,
    now: datetime,
    address: str | None = None,
) -> MadeLink:
    """Links by the number in the profile's address: its public data are read without a login."""
    try:
        who = services.deezer_reader(number).who()
    except (Gone, Forbidden) as error:
        raise BadInput(str(error), place="account") from None
    account_id = _store(
        services, connection, who, user_id=user_id, provider=Provider.DEEZER, client_id=None, grant=None, now=now,
        address=address,
    )  # fmt: skip
    return MadeLink(account_id=account_id, provider=Provider.DEEZER, name=who.name)


def unlink(connection: Connection, *, user_id: int, account_id: int, now: datetime, address: str | None = None) -> bool:
    """Deletes an account's login and ends its link at once; what was read stays. False if the user has no such link."""
    with connection.transaction():
        account = next(
            (each for each in list_accounts(connection, user_id=user_id) if each.account_id == account_id), None
        )
        if account is None or not unlink_account(connection, user_id=user_id, account_id=account_id, now=now):
            return False
        event = Event.SPOTIFY_DISCONNECTED if account.provider is Provider.SPOTIFY else Event.SERVICE_UNLINKED
        detail = {"service": account.provider.value, "account": account.provider_account}
        audit.record(connection, event, user_id=user_id, address=address, detail=detail)
    return True


def _store(
    services: PlaylistServices,
    connection: Connection,
    who: WhoSignedIn,
    *,
    user_id: int,
    provider: Provider,
    client_id: str | None,
    grant: TokenGrant | None,
    now: datetime,
    address: str | None,
) -> int:
    with connection.transaction():
        account_id = link_account(
            connection,
            services.keys,
            user_id=user_id,
            provider=provider,
            provider_account=who.account_id,
            name=who.name[:200] if who.name is not None else None,
            client_id=client_id,
            grant=grant,
            now=now,
        )
        detail = {"service": provider.value, "account": who.account_id, "with_secret": grant is not None}
        audit.record(connection, Event.SERVICE_LINKED, user_id=user_id, address=address, detail=detail)
    return account_id
