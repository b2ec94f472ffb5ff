"""What is playing now: reading it for open pages, and its effect on the next poll.

It is shown while a page is open and never becomes a play: only the list of recent plays and archives say whether and
when something was heard. Answers are kept for some seconds in `ops.now_playing`, which pages read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.spotify_answers import clean_text
from myi_pipeline.errors import MyiError
from myi_pipeline.polling import poll_store
from myi_pipeline.polling.pace import listening_turn
from myi_pipeline.postgres.connections import Connection, Pool
from myi_pipeline.providers.login_terms import Feature, features
from myi_pipeline.providers.spotify.models import CurrentlyPlaying, PlayingItem
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.token_vault import Credential

Kind = Literal["track", "episode", "ad", "other"]
State = Literal["playing", "paused", "nothing", "unknown"]

# A page asks every 15 s, however many are open. An hour of music takes 120 requests, an hour of silence 60.
_WHILE_PLAYING, _WHILE_SILENT = timedelta(seconds=30), timedelta(seconds=60)
# Ask again just after the end of a track: either the next one has begun, or the person has stopped listening.
_AFTER_THE_END = timedelta(seconds=2)
_AFTER_FAILURE = timedelta(seconds=60)
_LONGEST_TRACK_MS = 24 * 3_600_000


@dataclass(frozen=True, kw_only=True)
class NowPlaying:
    """`nothing`: Spotify reports nothing, as in a private session. `unknown`: it could not be asked; `reason` says why,
    and anybody may read it."""

    state: State
    kind: Kind | None = None
    title: str | None = None
    artists: tuple[str, ...] = ()
    album: str | None = None
    uri: str | None = None
    duration_ms: int | None = None
    progress_ms: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Reading:
    """`waits_since`: the time of the oldest wish that is still waiting."""

    read_at: datetime | None
    fresh_until: datetime | None
    answer: dict[str, Any] | None
    waits_since: datetime | None

    def is_fresh(self, now: datetime) -> bool:
        """A reading time in the future comes from a wrong clock."""
        return (
            self.answer is not None
            and self.read_at is not None
            and self.fresh_until is not None
            and self.read_at - timedelta(minutes=1) <= now < self.fresh_until
        )


NOW_PLAYING_OF = b"select * from ops.now_playing_of(%(user_id)s)"
WISH = b"select ops.wish(%(user_id)s, 'now_playing', %(now)s)"


def understand(found: CurrentlyPlaying | None) -> NowPlaying:
    """Spotify's answer as a NowPlaying, as far as it is readable."""
    if found is None:
        return NowPlaying(state="nothing")
    kind = _kind(found)
    item = found.item
    # A player that names a track without saying whether it plays is playing it.
    is_playing = found.is_playing if found.is_playing is not None else item is not None
    if item is None and kind != "ad":
        # A private session, or something that Spotify does not name.
        return NowPlaying(state="nothing") if not is_playing else NowPlaying(state="playing", kind=kind)
    duration_ms = _length(item.duration_ms) if item is not None else None
    progress_ms = _length(found.progress_ms)
    if duration_ms is not None and progress_ms is not None:
        progress_ms = min(progress_ms, duration_ms)
    return NowPlaying(
        state="playing" if is_playing else "paused",
        kind=kind,
        title=clean_text(item.name) if item is not None else None,
        artists=_artists(item) if item is not None else (),
        album=clean_text(item.album.name) if item is not None and item.album is not None else None,
        uri=clean_text(item.uri) if item is not None else None,
        duration_ms=duration_ms,
        progress_ms=progress_ms,
    )


def fresh_for(now_playing: NowPlaying) -> timedelta:
    """How long this answer is used before Spotify is asked again."""
    if now_playing.state == "unknown":
        return _AFTER_FAILURE
    if now_playing.state != "playing":
        return _WHILE_SILENT
    if now_playing.duration_ms is None or now_playing.progress_ms is None:
        return _WHILE_PLAYING
    left = timedelta(milliseconds=now_playing.duration_ms - now_playing.progress_ms)
    return min(_WHILE_PLAYING, left + _AFTER_THE_END)


def read_now_playing(spotify: Spotify, pool: Pool, *, user_id: int, clock: Callable[[], datetime]) -> NowPlaying:
    """Ask Spotify, keep the answer for a few seconds, and bring the next poll forward if the user is listening."""
    credential: Credential | None = None
    try:
        credential = spotify.credential(user_id)
        if Feature.NOW_PLAYING not in features(credential.scopes):
            reason = "this login does not allow it: connect Spotify again and agree to all permissions"
            found = NowPlaying(state="unknown", reason=reason)
        else:
            found = understand(spotify.call(credential, lambda client, token: client.currently_playing(token)))
    except MyiError as error:
        found = NowPlaying(state="unknown", reason=str(error))
    now = clock()
    with pool.connection() as connection, connection.transaction():
        before = _last(connection, user_id)
        _keep(connection, found, user_id=user_id, now=now)
        if credential is not None and found.state == "playing":
            means = spotify.means([credential.client_id])[credential.client_id]
            state = poll_store.read_state(connection, user_id=user_id)
            due_at = listening_turn(state, means, now=now, has_ended=before is not None and before != found.uri)
            if due_at is not None:
                poll_store.bring_forward(connection, user_id=user_id, due_at=due_at)
    return found


def now_playing_of(connection: Connection, *, user_id: int) -> Reading:
    """What pages may read."""
    with connection.cursor(row_factory=class_row(Reading)) as cursor:
        found = cursor.execute(NOW_PLAYING_OF, {"user_id": user_id}).fetchone()
    assert found is not None
    return found


def _keep(connection: Connection, found: NowPlaying, *, user_id: int, now: datetime) -> None:
    connection.execute(
        "insert into ops.now_playing (user_id, read_at, fresh_until, answer)"
        " select user_id, %s, %s, %s from app.users where user_id = %s"
        " on conflict (user_id) do update set"
        " read_at = excluded.read_at, fresh_until = excluded.fresh_until, answer = excluded.answer",
        (now, now + fresh_for(found), Jsonb(asdict(found)), user_id),
    )


def _last(connection: Connection, user_id: int) -> str | None:
    """The URI that was playing at the last reading; None if nothing was, or there was no reading."""
    row = connection.execute(
        "select answer ->> 'uri' from ops.now_playing where user_id = %s and answer ->> 'state' = 'playing'", (user_id,)
    ).fetchone()
    return row[0] if row is not None else None


def _kind(found: CurrentlyPlaying) -> Kind:
    told = found.currently_playing_type or (found.item.type if found.item is not None else None)
    if told == "track":
        return "track"
    if told == "episode":
        return "episode"
    return "ad" if told == "ad" else "other"


def _artists(item: PlayingItem) -> tuple[str, ...]:
    names = [clean_text(artist.name) for artist in item.artists]
    if not any(names) and item.show is not None:
        names = [clean_text(item.show.name)]
    return tuple(name for name in names if name)


def _length(told_ms: int | None) -> int | None:
    return told_ms if told_ms is not None and 0 <= told_ms <= _LONGEST_TRACK_MS else None
