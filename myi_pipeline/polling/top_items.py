"""Spotify's top lists of each user: when they are read again, reading them, and keeping one snapshot a day.

Spotify computes its lists about once a day, so asking more often yields nothing new, and one reading costs six
requests. Users who were away are read less often, and users who were not seen for a week only on demand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import product
from typing import Final, Literal

import structlog
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue import catalogue_store
from myi_pipeline.catalogue.spotify_answers import named_artist, polled_track
from myi_pipeline.errors import MyiError
from myi_pipeline.people.manage_users import get_user
from myi_pipeline.polling.obstacles import LOGIN_OBSTACLES, first_obstacle, obstacle_sentence, read_obstacles
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.providers.login_terms import Feature, features
from myi_pipeline.providers.retries import FailureKind, failure_kind, try_again_at
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.client import SpotifyClient, TopTerm
from myi_pipeline.providers.spotify.models import TopPage
from myi_pipeline.providers.spotify.open_spotify import Spotify, open_spotify
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

# Users seen within the first span are refreshed after the second.
TIERS = (
    (timedelta(hours=48), timedelta(hours=24)),
    (timedelta(days=7), timedelta(hours=72)),
)
LONGEST_ABSENCE = TIERS[-1][0]


def refresh_due_at(*, seen_at: datetime, refreshed_at: datetime | None, now: datetime) -> datetime | None:
    """When the lists of a user last seen at `seen_at` are due; None: only on demand.

    `refreshed_at` None: never read, so due at once. For a user who was away and is seen again, today's tier applies.
    """
    for absence, interval in TIERS:
        if now - seen_at <= absence:
            return refreshed_at + interval if refreshed_at is not None else seen_at
    return None


def is_due(*, seen_at: datetime, refreshed_at: datetime | None, retry_at: datetime | None, now: datetime) -> bool:
    """Whether the lists are to be read now; a failure's `retry_at` postpones them."""
    due_at = refresh_due_at(seen_at=seen_at, refreshed_at=refreshed_at, now=now)
    # Hourly runs drift by minutes: without this allowance, a daily refresh would move by an hour every day.
    allowance = timedelta(minutes=30) if refreshed_at is not None else timedelta(0)
    return due_at is not None and due_at - allowance <= now and (retry_at is None or retry_at <= now)


_LONGEST_ERROR = 300


@dataclass(frozen=True)
class TopList:
    """One list: `entity_kind` is track or artist; `entities` are (rank from 1, content_id or artist_id)."""

    entity_kind: str
    term: str
    entities: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class TopUser:
    """A user with a usable login, and the state of their lists. `seen_at`: the last play or sign-in."""

    user_id: int
    user_key: str
    scopes: Sequence[str]
    seen_at: datetime
    refreshed_at: datetime | None
    failures: int
    retry_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, kw_only=True)
class RankedItem:
    rank: int
    taken_on: date
    name: str | None
    artist: str | None
    uri: str | None


def list_top_users(
    connection: Connection, *, now: datetime, user_ids: Sequence[int] | None = None
) -> tuple[TopUser, ...]:
    """Everyone with a usable login, or those of `user_ids` that have one; ordered by user."""
    with connection.cursor(row_factory=class_row(TopUser)) as cursor:
        parameters = {
            "now": now,
            "since": now - LONGEST_ABSENCE,
            "user_ids": None if user_ids is None else list(user_ids),
            "obstacles": list(LOGIN_OBSTACLES),
        }
        return tuple(cursor.execute(load_sql("polling/top_items/list_users"), parameters).fetchall())


def user_keys(connection: Connection, *, user_ids: Sequence[int]) -> dict[int, str]:
    """The keys of those that exist, with or without a login."""
    query = "select user_id, user_key from app.users where user_id = any(%s)"
    return dict(connection.execute(query, (list(user_ids),)).fetchall())


def replace_lists(
    connection: Connection,
    *,
    user_id: int,
    lists: Sequence[TopList],
    now: datetime,
    error: str | None = None,
    retry_at: datetime | None = None,
) -> None:
    """Replace today's (UTC) lists with these, in one transaction with the state of the user's refreshes.

    `error` and `retry_at` if other lists could not be read: the refresh counts as failed, and these lists are kept.
    """
    named = [{"entity_kind": each.entity_kind, "term": each.term} for each in lists]
    items = [
        {"entity_kind": each.entity_kind, "term": each.term, "rank": rank, "entity_id": entity_id}
        for each in lists
        for rank, entity_id in each.entities
    ]
    kept = error[:_LONGEST_ERROR] if error is not None else None
    with connection.transaction():
        # The state comes first: its row serialises two refreshes of one user.
        connection.execute(
            load_sql("polling/top_items/note_refreshed"),
            {"user_id": user_id, "now": now, "error": kept, "retry_at": retry_at},
        )
        if lists:
            connection.execute(
                load_sql("polling/top_items/delete_lists"), {"user_id": user_id, "now": now, "lists": Jsonb(named)}
            )
        if items:
            connection.execute(
                load_sql("polling/top_items/insert_items"), {"user_id": user_id, "now": now, "items": Jsonb(items)}
            )


def latest_list(
    connection: Connection, *, user_id: int, entity_kind: str, term: str, limit: int
) -> tuple[RankedItem, ...]:
    """The newest snapshot of one list, first rank first."""
    with connection.cursor(row_factory=class_row(RankedItem)) as cursor:
        parameters = {"user_id": user_id, "entity_kind": entity_kind, "term": term, "limit": limit}
        return tuple(cursor.execute(load_sql("polling/top_items/list_ranks"), parameters).fetchall())


log = structlog.get_logger(__name__)

_Kind = Literal["tracks", "artists"]
_LISTS: Final[tuple[tuple[_Kind, TopTerm], ...]] = tuple(product(("tracks", "artists"), TopTerm))
NOT_ALLOWED: Final = "did not allow user-top-read, so Spotify's top lists are not recorded; sign in again to allow it"


@dataclass(frozen=True, kw_only=True)
class TopResult:
    """The result for one user. `outcome`: refreshed; partly (some lists are new, `reason` says why not all); skipped;
    failed.

    `lists` and `items` count what was stored; `retry_at` says when another try is worthwhile.
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
    """Users whose lists are due, in order, without those whose login does not allow it."""
    warehouse = warehouse.for_polls()
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi top")) as connection:
        users = list_top_users(connection, now=now)
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
    warehouse = warehouse.for_polls()
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi top")) as connection:
        users = list_top_users(connection, now=clock()) if force else ()
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

    Raises KeyMissing if a stored login cannot be opened.
    """
    warehouse = warehouse.for_polls()
    with (
        open_spotify(settings, warehouse, clock=clock, sleep=sleep) as spotify,
        warehouse.pool(Role.INGEST, application_name="myi top") as pool,
    ):
        with pool.connection() as connection:
            signed_in = {user.user_id: user for user in list_top_users(connection, now=clock(), user_ids=user_ids)}
            keys = user_keys(connection, user_ids=user_ids)

        def refresh(user_id: int) -> TopResult:
            user = signed_in.get(user_id)
            if user is None:
                with pool.connection() as connection:
                    obstacles = read_obstacles(connection, user_id=user_id)
                found = first_obstacle(obstacles, LOGIN_OBSTACLES, now=clock())
                why = obstacle_sentence(found.obstacle, user_key=keys[user_id]) if found is not None else "is not due"
                return TopResult(user_id=user_id, user_key=keys[user_id], outcome="skipped", reason=why)
            if (skipped := _skipped(user, force=force, now=clock())) is not None:
                return skipped
            try:
                with pool.connection() as connection:
                    return _refresh_one(spotify, connection, user, clock)
            except Exception as error:
                # The text of a foreign error may contain anything, so it is not shown.
                why = str(error) if isinstance(error, MyiError) else f"unexpected: {type(error).__name__}"
                log.error("top_lists_failed", user=user.user_key, reason=why)
                return TopResult(user_id=user_id, user_key=user.user_key, outcome="failed", reason=why)

        with ThreadPoolExecutor(workers) as threads:
            return tuple(threads.map(refresh, [user_id for user_id in user_ids if user_id in keys]))


def refresh_when_seen(
    spotify: Spotify, connection: Connection, *, user_id: int, clock: Callable[[], datetime]
) -> TopResult | None:
    """Read the lists of a user who is looking at a page; None if they cannot be read, or were read within a day."""
    now = clock()
    for user in list_top_users(connection, now=now, user_ids=[user_id]):
        if _skipped(replace(user, seen_at=now), force=False, now=now) is None:
            result = _refresh_one(spotify, connection, user, clock)
            if result.lists:
                wake(connection, Wake.CHANGES)
            return result
    return None


def newest_list(
    connection: Connection, *, user_key: str, entity_kind: str, term: str, limit: int
) -> tuple[RankedItem, ...]:
    """The newest snapshot of one list, as raw has it. Raises UnknownUser."""
    user = get_user(connection, user_key=user_key)
    return latest_list(connection, user_id=user.user_id, entity_kind=entity_kind, term=term, limit=limit)


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
    replace_lists(connection, user_id=user.user_id, lists=lists, now=now, error=error, retry_at=retry_at)
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
    """All lists, or those before a failure that the remaining ones would only repeat."""
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
