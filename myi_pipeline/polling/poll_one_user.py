"""One user's poll: asking Spotify for the last plays, parsing the page, and storing it.

The reason in a result is a sentence that anybody may see: it contains no secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog

from myi_pipeline.catalogue import catalogue_store
from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.catalogue.plays import PlayRecord, QuarantinedRow
from myi_pipeline.catalogue.records import PolledTrack
from myi_pipeline.catalogue.row_rules import IN_THE_FUTURE
from myi_pipeline.catalogue.spotify_answers import play_records, polled_track, track_content
from myi_pipeline.errors import AuthRevoked, CircuitOpen, MyiError, Paused, RateLimited, Transient, UnexpectedAnswer
from myi_pipeline.polling import poll_store
from myi_pipeline.polling.due_plays import postpone_plays
from myi_pipeline.polling.obstacles import (
    ALWAYS_BLOCKING,
    BLOCKING_A_DUE_POLL,
    BLOCKING_A_REQUESTED_POLL,
    StandingObstacle,
    first_obstacle,
    obstacle_sentence,
    read_obstacles,
)
from myi_pipeline.polling.pace import after_failure, after_poll
from myi_pipeline.polling.poll_store import PolledUser, PollEntry
from myi_pipeline.polling.windows import (
    Comparison,
    GapReason,
    Page,
    PolledPlay,
    PollState,
    compare,
    is_among,
    names_of,
    span_start,
)
from myi_pipeline.postgres.connections import Connection, Pool, retry_conflicts
from myi_pipeline.providers.quota_rules import Means
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.client import SpotifyClient
from myi_pipeline.providers.spotify.models import PlayItem, RecentlyPlayedPage, Track
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.token_vault import Credential

log = structlog.get_logger(__name__)

# Spotify's times are more reliable than this machine's clock: a play that is ahead of it by a day is still a play.
CLOCK_MAY_BE_BEHIND = timedelta(days=7)
_OVERFLOWS = (GapReason.WINDOW_OVERFLOW, GapReason.OUTAGE)

Outcome = Literal["new", "known", "gap", "none", "empty", "ahead", "skipped", "failed"]
POLLED = ("new", "known", "gap", "none", "empty", "ahead")


@dataclass(frozen=True, kw_only=True)
class PollResult:
    """One user's poll. `gap_start` and `gap_end` span all gaps that this poll found; `retry_at` is the next turn.

    `none`: there are no plays yet. `empty`: Spotify shows none although some were known. `ahead`: everything it shows
    is dated ahead of now, so there is nothing to load yet. `unread_fields`: unreadable fields that were left out, with
    the number of items for each.
    """

    user_id: int
    user_key: str
    outcome: Outcome
    items: int = 0
    new_plays: int = 0
    known_plays: int = 0
    late_plays: int = 0
    refused_items: int = 0
    unread_fields: Mapping[str, int] = field(default_factory=dict)
    oldest_played_at: datetime | None = None
    newest_played_at: datetime | None = None
    gap_start: datetime | None = None
    gap_end: datetime | None = None
    reason: str = ""
    retry_at: datetime | None = None

    @property
    def polled(self) -> bool:
        """Whether Spotify was asked and has answered."""
        return self.outcome in POLLED

    @classmethod
    def skipped(cls, user_id: int, user_key: str, reason: str, *, retry_at: datetime | None = None) -> PollResult:
        return cls(user_id=user_id, user_key=user_key, outcome="skipped", reason=reason, retry_at=retry_at)

    @classmethod
    def failed(cls, user_id: int, user_key: str, reason: str, *, retry_at: datetime | None = None) -> PollResult:
        return cls(user_id=user_id, user_key=user_key, outcome="failed", reason=reason, retry_at=retry_at)


@dataclass(frozen=True)
class ReadPage:
    """A parsed page. `new` are those that were not in raw when it was read."""

    items: int
    is_full: bool
    records: list[PlayRecord]
    refused: list[QuarantinedRow]
    new: list[PlayRecord]
    tracks: list[PolledTrack]
    unread: tuple[tuple[str, int], ...]
    # The refused items that are dated in the future: they may be plays once their time has come.
    ahead: tuple[PlayItem, ...] = ()

    @property
    def around_refused(self) -> list[tuple[datetime | None, datetime | None]]:
        """For each refused item, the times of the good ones after it (older) and before it (newer) on the page.

        Excludes items dated in the future: they are readable, and kept until their time has come.
        """
        times = {record.row_index: record.played_at for record in self.records}
        return [
            (
                next((times[index] for index in range(row.row_index, self.items) if index in times), None),
                next((times[index] for index in range(row.row_index, -1, -1) if index in times), None),
            )
            for row in self.refused
            if row.reason != IN_THE_FUTURE
        ]


@dataclass(frozen=True)
class Answer:
    """A page, its items as records, and when it arrived."""

    page: RecentlyPlayedPage
    results: list[PlayRecord | QuarantinedRow]
    polled_at: datetime


def require_plays(results: list[PlayRecord | QuarantinedRow]) -> None:
    """Raises UnexpectedAnswer if a page has items but none of them is readable.

    An item dated ahead of now is readable: it is kept until its time has come.
    """
    refused = [result for result in results if isinstance(result, QuarantinedRow) and result.reason != IN_THE_FUTURE]
    if refused and len(refused) == len(results):
        raise UnexpectedAnswer(
            f"none of the page's {len(results)} plays could be understood; the first: {refused[0].detail}"
        )


def read_page(connection: Connection, answer: Answer, *, user_id: int) -> ReadPage:
    page = answer.page
    refused = [result for result in answer.results if isinstance(result, QuarantinedRow)]
    records = [result for result in answer.results if isinstance(result, PlayRecord)]
    times = [record.played_at for record in records]
    known: list[PolledPlay] = []
    if times:
        known = poll_store.known_plays(connection, user_id=user_id, oldest=min(times), newest=max(times))
    tracks = {entry.index: entry.play.track for entry in page.entries}
    new: list[PlayRecord] = []
    made: list[PolledTrack | None] = []
    for record in records:
        track = polled_track(tracks[record.row_index], record.played_at)
        names = names_of(record.content, isrc=track.isrc if track else None)
        play = PolledPlay(record.played_at, names | _names_before_the_move(tracks[record.row_index]))
        if not is_among(play, known):
            known.append(play)
            new.append(record)
            made.append(track)
    return ReadPage(
        items=page.count,
        is_full=page.is_full,
        records=records,
        refused=refused,
        new=new,
        tracks=[track for track in made if track is not None],
        unread=page.unread,
        ahead=_ahead(page, refused),
    )


def _names_before_the_move(track: Track) -> frozenset[str]:
    """The requested track, if the answer replaced it with another one."""
    if track.linked_from is None:
        return frozenset()
    return names_of(track_content(Track(id=track.linked_from.id, uri=track.linked_from.uri)))


def _ahead(page: RecentlyPlayedPage, refused: list[QuarantinedRow]) -> tuple[PlayItem, ...]:
    indexes = {row.row_index for row in refused if row.reason == IN_THE_FUTURE}
    return tuple(entry.play for entry in page.entries if entry.index in indexes)


def as_document(row: QuarantinedRow) -> dict[str, Any]:
    return {"index": row.row_index, "reason": row.reason, "detail": row.detail, "row": row.row}


class LoginChanged(Transient):
    """The page may belong to another account than the one that is signed in now."""


class Poller:
    """Polls users one by one; thread-safe."""

    def __init__(
        self,
        spotify: Spotify,
        pool: Pool,
        *,
        clock: Callable[[], datetime],
        jitter: Callable[[], float],
        correlation_id: str | None,
    ) -> None:
        self._spotify = spotify
        self._pool = pool
        self._clock = clock
        self._jitter = jitter
        self._correlation_id = correlation_id

    def poll(
        self, user: PolledUser, *, means: Means, force: bool = False, within: timedelta | None = None
    ) -> PollResult:
        """Poll this user, unless there is an obstacle; see `Polling.poll` for `force` and `within`.

        `means` are those of the user's client id. Failures of the request are results; others are raised.
        """
        user_id, key = user.user_id, user.user_key
        with (
            self._pool.connection() as connection,
            poll_store.poll_lock(connection, user_id=user_id) as is_held,
        ):
            if not is_held:
                return PollResult.skipped(user_id, key, "another process is polling this user")
            # Under the lock: another process may have polled since this batch was planned.
            found = self._obstacle(connection, user_id, force=force, within=within)
            if found is not None:
                reason = obstacle_sentence(found.obstacle, user_key=key)
                return PollResult.skipped(user_id, key, reason, retry_at=found.stands_until)
            before = poll_store.read_state(connection, user_id=user_id)
            try:
                credential = self._spotify.credential(user_id)
                answer = self._spotify.call(credential, self._ask)
                return self._store(connection, user, before, answer, means, credential=credential)
            except (Paused, LoginChanged) as error:
                return PollResult.skipped(user_id, key, str(error))
            except MyiError as error:
                after = self._put_off(connection, user, before, error)
                is_put_off = isinstance(error, (RateLimited, CircuitOpen))
                make = PollResult.skipped if is_put_off else PollResult.failed
                return make(user_id, key, str(error), retry_at=None if isinstance(error, AuthRevoked) else after.due_at)
            except Exception as error:
                if not connection.broken:
                    self._put_off(connection, user, before, error)
                raise

    def _obstacle(
        self, connection: Connection, user_id: int, *, force: bool, within: timedelta | None
    ) -> StandingObstacle | None:
        now = self._clock()
        kinds = ALWAYS_BLOCKING if force else BLOCKING_A_REQUESTED_POLL if within is None else BLOCKING_A_DUE_POLL
        turn_at = None if within is None else now + within
        return first_obstacle(read_obstacles(connection, user_id=user_id), kinds, now=now, turn_at=turn_at)

    def _ask(self, client: SpotifyClient, token: AccessToken) -> Answer:
        """A page with nothing readable is a failed request, which counts for the circuit."""
        page = client.recently_played(token)
        polled_at = self._clock()
        results = play_records(page, now=polled_at + CLOCK_MAY_BE_BEHIND)
        require_plays(results)
        return Answer(page, results, polled_at)

    def _put_off(self, connection: Connection, user: PolledUser, before: PollState, error: Exception) -> PollState:
        after = after_failure(before, error, now=self._clock(), jitter=self._jitter())
        if not isinstance(error, (RateLimited, CircuitOpen)):
            after = replace(after, last_error=str(error) if isinstance(error, MyiError) else type(error).__name__)
        poll_store.store_state(connection, after, user_id=user.user_id)
        return after

    def _store(
        self,
        connection: Connection,
        user: PolledUser,
        before: PollState,
        answer: Answer,
        means: Means,
        *,
        credential: Credential,
    ) -> PollResult:
        user_id, polled_at = user.user_id, answer.polled_at
        read = read_page(connection, answer, user_id=user_id)
        poll_id = catalogue_store.next_batch_id(connection)
        ids: dict[str, int] = {}
        if read.new:
            # In short transactions of their own: see the modules. If this fails, the next poll finds what they stored.
            ensure_partitions(connection, {record.played_at.date() for record in read.new})
            # A name is as recent as the answer: a play dated in the future would block later names until then.
            named = [replace(track, played_at=min(track.played_at, polled_at)) for track in read.tracks]
            ids = catalogue_store.intern_tracks(connection, named, batch_id=poll_id)

        def transaction() -> PollResult:
            with connection.transaction():
                account_key = poll_store.asked_account(
                    connection,
                    account=credential.provider_account_id,
                    authorised_at=credential.authorised_at,
                )
                if account_key is None:
                    raise LoginChanged("the login changed during the request to Spotify; nothing was stored")
                return self._commit(
                    connection,
                    user,
                    before,
                    read,
                    means=means,
                    ids=ids,
                    poll_id=poll_id,
                    polled_at=polled_at,
                    account_key=account_key,
                )

        return retry_conflicts(transaction)

    def _commit(
        self,
        connection: Connection,
        user: PolledUser,
        before: PollState,
        read: ReadPage,
        *,
        means: Means,
        ids: dict[str, int],
        poll_id: int,
        polled_at: datetime,
        account_key: str,
    ) -> PollResult:
        user_id = user.user_id
        plays = [(record.played_at, ids[record.content.key] if record.content else None) for record in read.new]
        new = {id(record) for record in read.new}
        seen = Page(
            polled_at=polled_at,
            is_full=read.is_full,
            new=[record.played_at for record in read.new],
            known=[record.played_at for record in read.records if id(record) not in new],
            refused=read.around_refused,
        )
        found = compare(
            before,
            seen,
            known_before=lambda moment: poll_store.known_before(connection, user_id=user_id, moment=moment),
        )
        inserted = poll_store.insert_plays(connection, plays, user_id=user_id, poll_id=poll_id) if plays else 0
        after = after_poll(before, seen, found, means=means, place=user_id)
        outcome = _outcome(read, seen, found)
        if before.polled_at is None:
            poll_store.open_span(connection, user_id=user_id, polled_from=span_start(seen))
        ended = None
        if not found.is_empty:
            ended = poll_store.close_open_gap(
                connection, user_id=user_id, gap_end=None if found.connects else seen.oldest or polled_at
            )
        if (before.refused or seen.refused) and not found.is_empty:
            since = seen.oldest if seen.is_full else None
            poll_store.judge_refused_again(connection, user_id=user_id, since=since)
        # The gap that ended here already gives the reason.
        gaps = [gap for gap in found.gaps if ended is None or gap.reason not in _OVERFLOWS]
        poll_store.add_gaps(connection, gaps, user_id=user_id, now=polled_at)
        poll_store.store_state(connection, after, user_id=user_id)
        entry = PollEntry(
            outcome=outcome,
            items=read.items,
            new_plays=inserted,
            known_plays=read.items - inserted - len(read.refused),
            late_plays=min(found.late, inserted),
            refused_items=len(read.refused),
            oldest_played_at=seen.oldest,
            newest_played_at=seen.newest,
            newest_known_before=before.newest_played_at,
            refused=[as_document(row) for row in read.refused],
            account_key=account_key,
            unread_fields=dict(read.unread),
            correlation_id=self._correlation_id,
        )
        poll_store.record_poll(connection, entry, poll_id=poll_id, user_id=user_id, polled_at=polled_at)
        postpone_plays(connection, read.ahead, user_id=user_id, poll_id=poll_id)
        return PollResult(
            user_id=user_id,
            user_key=user.user_key,
            outcome=outcome,
            items=entry.items,
            new_plays=entry.new_plays,
            known_plays=entry.known_plays,
            late_plays=entry.late_plays,
            refused_items=entry.refused_items,
            unread_fields=entry.unread_fields,
            oldest_played_at=seen.oldest,
            newest_played_at=seen.newest,
            gap_start=min((gap.start for gap in found.gaps), default=None),
            gap_end=max((gap.end for gap in found.gaps), default=None),
            reason=_sentence(entry, found, ahead=len(read.ahead)),
            retry_at=after.due_at,
        )


def _outcome(read: ReadPage, page: Page, found: Comparison) -> Outcome:
    if found.gaps:
        return "gap"
    if read.new:
        return "new"
    if page.known:
        return "known"
    if read.items:
        return "ahead"  # unreadable items would have made a gap
    return "empty" if found.is_empty else "none"


def _sentence(entry: PollEntry, found: Comparison, *, ahead: int) -> str:
    parts = []
    if found.gaps:
        parts.append("plays may be missing in between")
    if entry.late_plays:
        parts.append(f"{entry.late_plays} appeared late")
    if ahead:
        parts.append(f"{ahead} dated far in the future, kept until then")
    if entry.outcome == "ahead":
        parts.append(
            "the page contains nothing else, so there is nothing to load yet" if ahead else "all dated in the future"
        )
    if entry.refused_items > ahead:
        parts.append(f"{entry.refused_items - ahead} could not be understood")
    if entry.unread_fields:
        parts.append(f"left out unreadable fields: {', '.join(entry.unread_fields)}")
    if entry.outcome == "empty":
        parts.append("Spotify shows no plays although some were known")
    return "; ".join(parts)
