"""Signing in at TIDAL and YouTube Music from a page: begun and finished by the same browser.

An answer is accepted once, within ten minutes, while the browser that began is still signed in. The code verifier is
sealed meanwhile, like a login.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from myi_pipeline.errors import BadInput
from myi_pipeline.people.account_links import MadeLink, PendingLink, begin_link, finish_link
from myi_pipeline.people.manage_access import hashed
from myi_pipeline.people.sign_in import NotExpected
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.envelope import Place
from myi_pipeline.providers.open_playlist_services import PlaylistServices
from myi_pipeline.providers.pkce import Challenge

# Services at which a person signs in on the service's page; for Spotify, see `sign_in`.
SIGN_INS = (Provider.TIDAL, Provider.YOUTUBE_MUSIC)


def begin(
    services: PlaylistServices,
    connection: Connection,
    *,
    provider: Provider,
    user_id: int,
    session_id: int,
    redirect_uri: str,
    now: datetime,
) -> PendingLink:
    """The page for this browser to open. Raises BadInput if the service is not set up here."""
    pending = begin_link(services, provider=provider, redirect_uri=redirect_uri)
    values = {
        "session_id": session_id,
        "provider": provider.value,
        "user_id": user_id,
        "state_hash": hashed(pending.challenge.state),
        "verifier": services.keys.seal(pending.challenge.verifier, place=_place(user_id, provider)),
        "redirect_uri": redirect_uri,
        "now": now,
    }
    with as_user(connection, user_id):
        connection.execute(load_sql("people/access/begin_provider_sign_in"), values)
    return pending


def finish(
    services: PlaylistServices,
    connection: Connection,
    *,
    user_id: int,
    session_id: int,
    redirected: str,
    now: datetime,
    address: str | None = None,
) -> MadeLink:
    """`redirected`: the address that the service sent the browser to, or its query.

    Raises NotExpected if this browser does not expect such an answer, LoginDenied, ProviderAccountTaken, and the
    service's errors.
    """
    state = _state(redirected)
    with as_user(connection, user_id):
        found = connection.execute(
            "delete from app.provider_sign_ins where session_id = %s and state_hash = %s and expires_at > %s"
            " returning provider, verifier, redirect_uri",
            (session_id, hashed(state), now),
        ).fetchone()
    if found is None:
        raise NotExpected("this sign-in was not started in this browser, or has expired; start again", place="sign-in")
    provider = Provider(found[0])
    verifier = services.keys.open(bytes(found[1]), place=_place(user_id, provider))
    pending = PendingLink(provider, found[2], "", Challenge(state, verifier))
    return finish_link(
        services, connection, pending, user_id=user_id, redirected=redirected, now=now, address=address
    )  # fmt: skip


def _state(redirected: str) -> str:
    text = redirected.strip()
    try:
        values = parse_qs(urlsplit(text).query if "?" in text else text, max_num_fields=20).get("state", [])
    except ValueError:
        values = []
    if len(values) != 1:
        raise BadInput(
            "this is not the whole address of the page that opened after you agreed, which contains a code and a state",
            place="redirected address",
            rule="?code=...&state=...",
        )
    return values[0]


def _place(user_id: int, provider: Provider) -> Place:
    return Place("app.provider_sign_ins", "verifier", user_id, provider.value)
