"""Reading users' top lists: three terms, tracks and artists.

Belongs here: which lists are asked for, and what becomes of answers and failures. Not here: when (core/top_policy),
requests. Invariants: one user's failure is that user's alone; lists that were read are kept though others fail; a
login without the permission makes no request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import product
from typing import Final, Literal

import structlog

from myi_pipeline.core.errors import MyiError
from myi_pipeline.core.login_terms import Feature, features
from myi_pipeline.core.retries import FailureKind, failure_kind, try_again_at
from myi_pipeline.core.top_policy import is_due
from myi_pipeline.services.connection_pool import Connection, ConnectionPool
from myi_pipeline.services.manage_users import get_user
from myi_pipeline.services.open_spotify import Spotify, open_spotify
from myi_pipeline.settings import Settings
from myi_pipeline.spotify.catalogue import named_artist, polled_track
from myi_pipeline.spotify.client import SpotifyClient, TopTerm
from myi_pipeline.spotify.models import TopPage
from myi_pipeline.spotify.oauth import AccessToken
from myi_pipeline.spotify.transport import utc_now
from myi_pipeline.warehouse import catalogue_store, top_items_store
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.top_items_store import RankedItem, TopList, TopUser

log = structlog.get_logger(__name__)

_Kind = Literal["tracks", "artists"]
_LISTS: Final[tuple[tuple[_Kind, TopTerm], ...]] = tuple(product(("tracks", "artists"), TopTerm))
NOT_ALLOWED: Final = "did not allow user-top-read, so that Spotify's top lists are not kept; sign in again to allow it"


@dataclass(frozen=True, kw_only=True)
class TopResult:
    """One user's lists. `outcome`: refreshed; partly (some lists are new, `reason` says why not all); skipped; failed.

    `lists` and `items` count what was stored; `retry_at` says when it is worth another try.
    """

    user_id: int
    user_key: str
    outcome: Literal["refreshed", "partly", "skipped", "failed"]
    lists: int = 0
    items: int = 0
    reason: str | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True)
class _Read:
    pages: tuple[tuple[_Kind, TopTerm, TopPage], ...]
    error: MyiError | None


def due_top_users(warehouse: Warehouse, *, now: datetime) -> tuple[TopUser, ...]:
    """Users whose lists are due, in their order; those who did not allow it are not named."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi top")) as connection:
        users = top_items_store.list_top_users(connection, now=now)
    return tuple(
        user
        for user in users
        if Feature.TOP_LISTS in features(user.scopes)
        and is_due(seen_at=user.seen_at, refreshed_at=user.refreshed_at, retry_at=user.retry_at, now=now)
    )


def refresh_due(
    settings: Settings,
    warehouse: Warehouse,
    *,
    user_keys: Collection[str],
    force: bool = False,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[TopResult, ...]:
    """Read the lists of those of `user_keys` that are due, or, with `force`, of all that are signed in."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi top")) as connection:
        users = top_items_store.list_top_users(connection, now=clock()) if force else ()
    wanted = set(user_keys)
    user_ids = [user.user_id for user in users or due_top_users(warehouse, now=clock()) if user.user_key in wanted]
    if not user_ids:
        return ()
    return refresh_top_items(settings, warehouse, user_ids=user_ids, force=force, clock=clock, sleep=sleep)


def refresh_top_items(
    settings: Settings,
    warehouse: Warehouse,
    *,
    user_ids: Sequence[int],
    force: bool = False,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    workers: int = 4,
) -> tuple[TopResult, ...]:
    """Read the lists of those users of `user_ids` that are due, or, with `force`, of all; one result each, in order.

    Raises KeyMissing when a stored login cannot be opened.
    """
    with (
        open_spotify(settings, warehouse, clock=clock, sleep=sleep) as spotify,
        ConnectionPool(warehouse, role=Role.INGEST, application_name="myi top") as pool,
    ):
        with pool.take() as connection:
            signed_in = {
                user.user_id: user
                for user in top_items_store.list_top_users(connection, now=clock(), user_ids=user_ids)
            }
            keys = top_items_store.user_keys(connection, user_ids=user_ids)

        def refresh(user_id: int) -> TopResult:
            user = signed_in.get(user_id)
            if user is None:
                why = "is not signed in to Spotify, or paused"
                return TopResult(user_id=user_id, user_key=keys[user_id], outcome="skipped", reason=why)
            if (skipped := _skipped(user, force=force, now=clock())) is not None:
                return skipped
            try:
                with pool.take() as connection:
                    return _refresh_one(spotify, connection, user, clock)
            except Exception as error:
                # What is no error of ours may say anything: its text is shown to nobody.
                why = str(error) if isinstance(error, MyiError) else f"unexpected: {type(error).__name__}"
                log.error("top_lists_failed", user=user.user_key, reason=why)
                return TopResult(user_id=user_id, user_key=user.user_key, outcome="failed", reason=why)

        with ThreadPoolExecutor(workers) as threads:
            return tuple(threads.map(refresh, [user_id for user_id in user_ids if user_id in keys]))


def newest_list(
    connection: Connection, *, user_key: str, entity_kind: str, term: str, limit: int
) -> tuple[RankedItem, ...]:
    """The newest snapshot of one list, as raw has it. Raises UnknownUser."""
    user = get_user(connection, user_key=user_key)
    return top_items_store.latest_list(
        connection, user_id=user.user_id, entity_kind=entity_kind, term=term, limit=limit
    )


def _skipped(user: TopUser, *, force: bool, now: datetime) -> TopResult | None:
    reason = None
    if Feature.TOP_LISTS not in features(user.scopes):
        reason = NOT_ALLOWED
    elif not force and not is_due(
        seen_at=user.seen_at, refreshed_at=user.refreshed_at, retry_at=user.retry_at, now=now
    ):
        reason = "is not due"
    if reason is None:
        return None
    return TopResult(
        user_id=user.user_id, user_key=user.user_key, outcome="skipped", reason=reason, retry_at=user.retry_at
    )


def _refresh_one(
    spotify: Spotify, connection: Connection, user: TopUser, clock: Callable[[], datetime]
) -> TopResult:  # fmt: skip
    read = _read(spotify, user)
    now = clock()
    lists = _intern(connection, read, now)
    error, retry_at = None, None
    if read.error is not None:
        error = str(read.error)
        retry_at = try_again_at(read.error, failures=user.failures + 1, now=now)
    top_items_store.replace_lists(
        connection, user_id=user.user_id, lists=lists, now=now, error=error, retry_at=retry_at
    )
    return TopResult(
        user_id=user.user_id,
        user_key=user.user_key,
        outcome="refreshed" if error is None else "partly" if lists else "failed",
        lists=len(lists),
        items=sum(len(each.entities) for each in lists),
        reason=error,
        retry_at=retry_at,
    )


def _read(spotify: Spotify, user: TopUser) -> _Read:
    """All lists, or those before a failure that the rest would only repeat."""
    pages: list[tuple[_Kind, TopTerm, TopPage]] = []
    failed: MyiError | None = None
    for kind, term in _LISTS:
        try:
            page = spotify.call(user.user_id, partial(_ask, kind=kind, term=term))
        except MyiError as error:
            failed = error
            if failure_kind(error) in (FailureKind.PUT_OFF, FailureKind.AUTHORISATION):
                break
        else:
            if page.bad:
                log.warning("top_items_not_understood", user=user.user_key, kind=kind, term=term, items=len(page.bad))
            pages.append((kind, term, page))
    return _Read(tuple(pages), failed)


def _ask(client: SpotifyClient, token: AccessToken, *, kind: _Kind, term: TopTerm) -> TopPage:
    return client.top_items(token, kind, term)


def _intern(connection: Connection, read: _Read, now: datetime) -> list[TopList]:
    named = [(term, rank, polled_track(track, now)) for _, term, page in read.pages for rank, track in page.tracks]
    tracks = [(term, rank, track) for term, rank, track in named if track is not None]
    artists = [
        (term, rank, artist)
        for _, term, page in read.pages
        for rank, item in page.artists
        if (artist := named_artist(item)) is not None
    ]
    content_ids = {}
    if tracks:
        batch_id = catalogue_store.next_batch_id(connection)
        content_ids = catalogue_store.intern_tracks(connection, [track for _, _, track in tracks], batch_id=batch_id)
    artist_ids = catalogue_store.intern_artists(connection, [artist for _, _, artist in artists])
    return [
        TopList(
            "track" if kind == "tracks" else "artist",
            wanted.value,
            tuple((rank, content_ids[track.content.key]) for term, rank, track in tracks if term is wanted)
            if kind == "tracks"
            else tuple((rank, artist_ids[artist.uri]) for term, rank, artist in artists if term is wanted),
        )
        for kind, wanted, _ in read.pages
    ]
