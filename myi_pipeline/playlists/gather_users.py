"""Which accounts' playlists are due, and gathering them; one account's failure does not affect the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import structlog

from myi_pipeline.errors import Busy, MyiError
from myi_pipeline.playlists.gathering import Covers, GatherResult, gather_account
from myi_pipeline.playlists.rules import GATHER_EVERY
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import accounts
from myi_pipeline.providers.accounts import Provider, ProviderAccount
from myi_pipeline.providers.login_terms import Feature, features
from myi_pipeline.providers.open_playlist_services import open_playlist_services
from myi_pipeline.providers.playlists import LIKED
from myi_pipeline.providers.retries import try_again_at
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

_COLLABORATIVE = "playlist-read-collaborative"
# Any one of these permissions allows reading something.
_TIDAL_LISTS, _TIDAL_LIKED = "playlists.read", "collection.read"
_YOUTUBE = "https://www.googleapis.com/auth/youtube"
_NEEDED = {
    Provider.TIDAL: {_TIDAL_LISTS, _TIDAL_LIKED},
    Provider.YOUTUBE_MUSIC: {_YOUTUBE, f"{_YOUTUBE}.readonly"},
}


def trouble_of(account: ProviderAccount) -> str | None:
    """Why an account's playlists cannot be read with its current login; None if they can."""
    if account.state == "reauth_required":
        return f"the login of {account.title} has ended: sign in again"
    if account.paused_at is not None:
        return f"{account.title} is paused"
    needed = _NEEDED.get(account.provider)
    if needed is not None and not needed & set(account.scopes):
        return f"the login of {account.title} does not allow playlists: link it again"
    if account.provider is Provider.SPOTIFY and not features(account.scopes) & {Feature.PLAYLISTS, Feature.LIKED_SONGS}:
        command = "user login {} --playlists" if account.is_main else "providers link {} spotify --further"
        return f"the Spotify login does not allow playlists: myi {command.format(account.user_key)}"
    return None


def due_accounts(
    connection: Connection, *, now: datetime, user_keys: Collection[str] | None = None, force: bool = False
) -> tuple[ProviderAccount, ...]:
    """Accounts whose playlists are due, the most overdue first; with `force`, all that can be read."""
    values = {"now": now, "user_keys": list(user_keys) if user_keys is not None else None, "force": force}
    wanted = [int(row[0]) for row in connection.execute(load_sql("playlists/due_accounts"), values)]
    found = {each.account_id: each for each in accounts.list_accounts(connection)} if wanted else {}
    return tuple(found[each] for each in wanted if each in found and trouble_of(found[each]) is None)


def gather_users(
    settings: Settings,
    warehouse: Warehouse,
    *,
    user_keys: Collection[str] | None = None,
    force: bool = False,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    correlation_id: str | None = None,
    workers: int = 2,
) -> tuple[GatherResult, ...]:
    """Gather the playlists that are due for these users, or for all; with `force`, all of them. One result per account.

    Raises KeyMissing if a stored login cannot be opened.
    """
    with warehouse.pool(Role.INGEST, application_name="myi playlists") as pool:
        with pool.connection() as connection:
            due = due_accounts(connection, now=clock(), user_keys=user_keys, force=force)
        if not due:
            return ()
        with open_playlist_services(settings, warehouse, clock=clock, sleep=sleep) as services:

            def gather(account: ProviderAccount) -> GatherResult:
                try:
                    reader, covers = services.reader(account), _covered(account)
                    with pool.connection() as connection:
                        return gather_account(
                            connection, reader, account, clock=clock, covers=covers, correlation_id=correlation_id
                        )
                except MyiError as error:
                    # An open circuit, a service that is no longer set up here, or another process gathering the same
                    # account: nothing was started.
                    retry_at = try_again_at(error, failures=1, now=clock())
                    if not isinstance(error, Busy):
                        with pool.connection() as connection:
                            _postpone(connection, account, retry_at=retry_at, now=clock())
                    return GatherResult(
                        user_key=account.user_key,
                        account_id=account.account_id,
                        account=account.title,
                        outcome="skipped",
                        reason=str(error),
                        retry_at=retry_at,
                    )

            with ThreadPoolExecutor(workers) as threads:
                return tuple(threads.map(gather, due))


def _postpone(connection: Connection, account: ProviderAccount, *, retry_at: datetime | None, now: datetime) -> None:
    """Move the account to the end of the queue: if it stayed the most overdue, every run's range would start there."""
    due_at = min(retry_at or now + GATHER_EVERY, now + GATHER_EVERY)
    connection.execute(load_sql("playlists/postpone"), {"account_id": account.account_id, "due_at": due_at})


def _covered(account: ProviderAccount) -> Covers:
    """Which lists the account's login can see: one that is missing only because its permission was withdrawn is not
    gone.
    """
    allowed = features(account.scopes)

    def covers(playlist_id: str, is_collaborative: bool) -> bool:
        if account.provider is Provider.TIDAL:
            return (_TIDAL_LIKED if playlist_id == LIKED else _TIDAL_LISTS) in account.scopes
        if account.provider is not Provider.SPOTIFY:
            return True
        if playlist_id == LIKED:
            return Feature.LIKED_SONGS in allowed
        return Feature.PLAYLISTS in allowed and (not is_collaborative or _COLLABORATIVE in account.scopes)

    return covers
