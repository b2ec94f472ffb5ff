"""Moves a playlist to another service: plan and match, apply, verify, each repeatable after any failure.

The source is read from raw and never changed. What to write follows from the migration's rows alone, so any process can
continue; an advisory lock lets one at a time do so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.errors import BadInput, MyiError, RateLimited
from myi_pipeline.playlists.kept import list_versions
from myi_pipeline.playlists.migration import item_rows, job_orders, journal, locks, store
from myi_pipeline.playlists.migration.applying import (
    Applied,
    Applier,
    Goal,
    read_after,
    read_entries,
    uris_of,
)
from myi_pipeline.playlists.migration.creating import create_once
from myi_pipeline.playlists.migration.finding import Finding
from myi_pipeline.playlists.migration.item_rows import Decision, EarlierMatch, FoundItems, SourceEntry
from myi_pipeline.playlists.migration.journal import UNCLEAR, StoredJournal
from myi_pipeline.playlists.migration.lookups import StoredLookups
from myi_pipeline.playlists.migration.planning import Plan, Wanted, plan_additions, plan_equal
from myi_pipeline.playlists.migration.steps import fingerprint
from myi_pipeline.playlists.migration.store import CancelAsked, Migration
from myi_pipeline.playlists.migration.targets import Target
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.providers.playlists import (
    LIKED,
    Capabilities,
    PlaylistHead,
)

_LONGEST_NAME = 200

Chunk = tuple[SourceEntry, ...]
Decisions = dict[int, list[Decision]]
Earlier = dict[object, EarlierMatch]


class _Version(TypedDict):
    playlist_id: int
    version_no: int


class PlanPutOff(RateLimited):
    """A quota was used up before every track was looked up. What was found is kept, and the plan is ordered: a job
    continues it, or `go_on_planning` does.
    """

    def __init__(self, message: str, *, retry_at: datetime, migration_id: int) -> None:
        super().__init__(message, retry_at=retry_at)
        self.migration_id = migration_id


@dataclass(frozen=True)
class Planned:
    """`note`: what could not be looked up at the service, for people; empty if nothing."""

    migration_id: int
    note: str


@dataclass(frozen=True)
class Preview:
    """What applying the migration would write: numbers of entries, and of requests. `impossible`: why it cannot be
    applied; empty if it can.
    """

    additions: int
    moves: int
    removals: int
    requests: int
    impossible: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a plan starts from: a version of the source, and the target. `target_playlist` None: it is still to be
    created.
    """

    playlist_id: int
    version_no: int
    source_name: str
    target_playlist: str | None
    target_name: str

    @classmethod
    def of(cls, migration: Migration) -> Snapshot:
        return cls(
            playlist_id=migration.source_playlist_id, version_no=migration.source_version_no,
            source_name=migration.source_name, target_playlist=migration.target_playlist,
            target_name=migration.target_name,
        )  # fmt: skip


@dataclass(frozen=True)
class Matching:
    """The result of matching. `note`: what could not be looked up; `before`: URIs that the target held afterwards;
    `were_there`: how many of the matched entries were among them.
    """

    note: str
    before: tuple[str, ...]
    were_there: int


def plan(
    connection: Connection,
    target: Target,
    *,
    user_id: int,
    playlist_id: int,
    into: str | None,
    is_equal: bool,
    name: str | None,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Planned:
    """Match every entry of the playlist's latest version and store the plan. Writes nothing to the service.

    `into`: an existing playlist of the account; None: a new one. Raises BadInput, PlanPutOff, and what the service
    raises.
    """
    taken = take_snapshot(connection, target, user_id=user_id, playlist_id=playlist_id, into=into, name=name)
    with item_rows.found_items(connection) as found:
        try:
            matching = match(connection, target, taken, found, user_id=user_id, clock=clock, sleep=sleep)
        except RateLimited as error:
            made = job_orders.order_plan(
                connection, user_id=user_id, source=(playlist_id, taken.version_no, taken.source_name),
                target_account_id=target.account_id, target_playlist=taken.target_playlist,
                target_name=taken.target_name, is_equal=is_equal, now=clock(), due_at=error.retry_at,
                reason=str(error),
            )  # fmt: skip
            raise PlanPutOff(str(error), retry_at=error.retry_at, migration_id=made) from error
        made = store.create_migration(
            connection, user_id=user_id, source=(playlist_id, taken.version_no, taken.source_name),
            target_account_id=target.account_id, target_playlist=taken.target_playlist, target_name=taken.target_name,
            target_before=matching.before, were_there=matching.were_there, is_equal=is_equal, found=found,
            capabilities=target.writer.capabilities, note=matching.note, now=clock(),
        )  # fmt: skip
    return Planned(made, matching.note)


def go_on_planning(
    connection: Connection,
    target: Target,
    migration: Migration,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Planned:
    """Finish a plan that was put off. Raises Busy, BadInput and PlanPutOff."""
    with locks.migration_lock(connection, migration) as found, item_rows.found_items(connection) as items:
        if found.state != "ordered":
            raise BadInput(f"migration {found.migration_id} is {found.state}", place="migration")
        try:
            matching = match(
                connection, target, Snapshot.of(found), items, user_id=found.user_id, clock=clock, sleep=sleep
            )  # fmt: skip
        except RateLimited as error:
            job_orders.put_off(
                connection, migration_id=found.migration_id, attempts=0, due_at=error.retry_at, reason=str(error)
            )
            raise PlanPutOff(str(error), retry_at=error.retry_at, migration_id=found.migration_id) from error
        job_orders.note_plan(
            connection, migration_id=found.migration_id, target_before=matching.before,
            were_there=matching.were_there, found=items, capabilities=target.writer.capabilities, note=matching.note,
            now=clock(),
        )  # fmt: skip
        return Planned(found.migration_id, matching.note)


def take_snapshot(
    connection: Connection,
    target: Target,
    *,
    user_id: int,
    playlist_id: int,
    into: str | None,
    name: str | None,
    is_known: bool = False,
) -> Snapshot:
    """Fix the source's latest version and the target. `is_known`: `into` was written to before, and is called `name`.

    Raises BadInput, and what the service raises.
    """
    versions = list_versions(connection, user_id=user_id, playlist_id=playlist_id)
    newest = next((each for each in versions if each.items is not None), None)
    if newest is None:
        raise BadInput(f"the entries of playlist {playlist_id} were never read", place="playlist")
    if is_known and name is not None:
        return Snapshot(
            playlist_id=playlist_id, version_no=newest.version_no, source_name=newest.name, target_playlist=into,
            target_name=name,
        )  # fmt: skip
    head = None if into is None else _existing(connection, target, into, playlist_id=playlist_id)
    return Snapshot(
        playlist_id=playlist_id, version_no=newest.version_no, source_name=newest.name,
        target_playlist=head.playlist_id if head else None,
        target_name=title_of(head.name if head else target.writer.kept_name(title_of(name or newest.name))),
    )  # fmt: skip


def match(
    connection: Connection,
    target: Target,
    taken: Snapshot,
    found: FoundItems,
    *,
    user_id: int,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    earlier_id: int | None = None,
) -> Matching:
    """Put every entry with its match into `found`, in chunks. `earlier_id`: a migration whose matches are kept.

    Raises what the service raises; RateLimited says how many tracks have been matched, and when all will be.
    """
    source: _Version = {"playlist_id": taken.playlist_id, "version_no": taken.version_no}
    total = item_rows.count_source(connection, **source)
    lookups = StoredLookups(connection, account_id=target.account_id, clock=clock)
    lookups.forget_old()
    if earlier_id is not None:
        _learn_names(connection, target, user_id=user_id, migration_id=earlier_id, clock=clock, sleep=sleep)
    finding = Finding(target.finder, target.writer.capabilities, clock, sleep, lookups)

    def chunks() -> Iterator[tuple[Chunk, Decisions, Earlier]]:
        for chunk in item_rows.source_chunks(connection, **source):
            ids = {each.content_id for each in chunk if each.content_id is not None}
            decisions = item_rows.decisions_of(connection, user_id=user_id, provider=target.provider, content_ids=ids)
            earlier: Earlier = {}
            if earlier_id is not None:
                earlier = item_rows.earlier_matches(connection, migration_id=earlier_id, entries=chunk)
            yield chunk, decisions, earlier

    try:
        for chunk in chunks():
            finding.ask_ahead(*chunk)
        finding.ask_the_rest()
        for entries, decisions, earlier in chunks():
            found.keep(finding.match(entries, decisions, earlier))
    except RateLimited as error:
        message = f"{error}. {finding.matched:,} of {total:,} tracks have been matched so far"
        left = total - finding.matched
        days = target.forecast(lookups=left, writes=total + 1) if target.forecast is not None else None
        raise RateLimited(
            f"{message}; {days.sentence()}" if days is not None else message, retry_at=error.retry_at
        ) from error
    before = _held(connection, target, taken.target_playlist, clock=clock, sleep=sleep) if taken.target_playlist else ()
    were_there = (Counter(before) & Counter(found.uris())).total() if before else 0
    return Matching(finding.note, before, were_there)


def _held(
    connection: Connection,
    target: Target,
    playlist_id: str,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> tuple[str, ...]:
    """What the target holds, including what any migration wrote to it a moment ago."""
    entries = read_after(
        journal.last_write_to(connection, account_id=target.account_id, playlist_id=playlist_id),
        lambda: read_entries(target.reader.entries(playlist_id)),
        shown_after_s=target.writer.capabilities.shows_writes_after_s, now=clock, sleep=sleep,
    )  # fmt: skip
    return tuple(uri for uri, _ in entries)


def _learn_names(
    connection: Connection,
    target: Target,
    *,
    user_id: int,
    migration_id: int,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> None:
    """A run that did not finish has not seen which other URIs the service lists its tracks under; the next run would
    not recognise them, and add them again.
    """
    if not target.writer.capabilities.renames:
        return
    found = store.get_migration(connection, user_id=user_id, migration_id=migration_id)
    if found.state == "done" or found.target_playlist is None:
        return
    sent = StoredJournal(connection, migration_id=migration_id, clock=clock)
    goal = goal_of(connection, found)
    Applier(found.target_playlist, target.reader, target.writer, sent, goal, now=clock, sleep=sleep).learn_names()


def title_of(name: str) -> str:
    return storable_text(name).strip()[:_LONGEST_NAME].strip() or "Playlist"


def _existing(connection: Connection, target: Target, into: str, *, playlist_id: int) -> PlaylistHead:
    """The existing playlist to add to. Raises BadInput for the source itself and for liked tracks."""
    if into == LIKED:
        raise BadInput("liked tracks cannot be the target: name a playlist", place="into")
    head = target.reader.head(into)
    provider, source = item_rows.source_names(connection, playlist_id=playlist_id)
    if provider == target.provider and source in (into, head.playlist_id):
        raise BadInput("a playlist cannot be moved into itself", place="into")
    return head


def goal_of(connection: Connection, migration: Migration) -> Goal:
    wanted = tuple(Wanted(*each) for each in item_rows.wanted_of(connection, migration_id=migration.migration_id))
    return Goal(tuple(migration.target_before), wanted, migration.is_equal)


def preview(connection: Connection, target: Target, migration: Migration) -> Preview:
    """What is left to write, given what the target holds now."""
    now = uris_of(target.reader.entries(migration.target_playlist)) if migration.target_playlist else ()
    return preview_of(goal_of(connection, migration), now, target.writer.capabilities)


def preview_of(goal: Goal, now: Sequence[str], capabilities: Capabilities) -> Preview:
    """What has to be written to turn the list `now` into the goal."""
    uris = [each.uri for each in goal.wanted]
    found: Plan = (
        plan_equal(now, uris, capabilities)
        if goal.is_equal
        else plan_additions(now, uris, capabilities, before=goal.before)
    )
    return Preview(*found.counts(), len(found.steps), found.impossible)


def run(
    connection: Connection,
    target: Target,
    migration: Migration,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    on_settled: Callable[[], None] = lambda: None,
) -> Applied:
    """Write what is left, and read it back. After any failure the same call resumes. For a migration that is done, the
    playlist is only read: later changes to it are its owner's.

    `on_settled` is called after each write. Raises Busy, CancelAsked, and BadInput, also if a playlist that is to be
    made equal has changed since the preview.
    """
    with (
        locks.account_lock(connection, account_id=migration.target_account_id),
        locks.migration_lock(connection, migration) as found,
    ):
        if found.state == "cancelled":
            raise BadInput(f"migration {found.migration_id} was cancelled", place="migration")
        if found.state in ("ordered", "failed"):
            raise BadInput(f"migration {found.migration_id} is not planned", place="migration")
        journal = StoredJournal(
            connection, migration_id=found.migration_id, clock=clock, on_settled=on_settled
        )  # fmt: skip
        goal = goal_of(connection, found)

        def applier(playlist_id: str) -> Applier:
            return Applier(playlist_id, target.reader, target.writer, journal, goal, now=clock, sleep=sleep)

        if found.state == "done" and found.target_playlist is not None:
            return applier(found.target_playlist).look()
        if found.is_equal and found.target_playlist is not None and journal.is_settled():
            _check_as_left(applier(found.target_playlist), journal)
        store.check_free(
            connection, account_id=found.target_account_id, playlist=found.target_playlist, except_id=found.migration_id
        )  # fmt: skip
        store.note_state(connection, migration_id=found.migration_id, state="applying", now=clock())
        try:
            playlist_id = found.target_playlist or create_once(
                connection, target, found, journal, clock=clock, sleep=sleep
            )
            applied = applier(playlist_id).run()
        except CancelAsked:
            store.note_state(connection, migration_id=found.migration_id, state="cancelled", now=clock())
            raise
        except MyiError as error:
            if isinstance(error, RateLimited):
                error = _with_days(connection, target, found, error, wanted=len(goal.wanted))
            store.note_state(
                connection, migration_id=found.migration_id, state="applying", now=clock(), error=str(error)
            )
            raise error from error.__cause__
        store.note_state(
            connection, migration_id=found.migration_id, now=clock(),
            state="done" if applied.is_done else "incomplete",
        )  # fmt: skip
        return applied


def _with_days(
    connection: Connection, target: Target, migration: Migration, error: RateLimited, *, wanted: int
) -> RateLimited:
    """The same error, with how much is done and when all will be."""
    added = journal.added_of(connection, migration_id=migration.migration_id)
    message = f"{error}. {added:,} of {wanted:,} entries have been written"
    days = target.forecast(lookups=0, writes=max(0, wanted - added)) if target.forecast is not None else None
    return RateLimited(f"{message}; {days.sentence()}" if days is not None else message, retry_at=error.retry_at)


def verify(
    connection: Connection,
    target: Target,
    migration: Migration,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Applied:
    """Read the target and return what it lacks. Writes nothing. Raises BadInput, and what the service raises."""
    if migration.target_playlist is None:
        raise BadInput(f"migration {migration.migration_id} has no playlist yet", place="migration")
    journal = StoredJournal(connection, migration_id=migration.migration_id, clock=clock)
    goal = goal_of(connection, migration)
    return Applier(
        migration.target_playlist, target.reader, target.writer, journal, goal, now=clock, sleep=sleep
    ).look()


def _check_as_left(applier: Applier, journal: StoredJournal) -> None:
    """Raises BadInput if the playlist has changed since the preview, or between two days of writing: applying would
    remove entries that no preview has shown.
    """
    expected = journal.last_left()
    if expected is None:
        expected = fingerprint(applier.goal.before)
    if expected is not UNCLEAR and not applier.is_there(expected):
        raise BadInput("the playlist has changed since it was planned: plan again", place="playlist")


def cancel(connection: Connection, migration: Migration, *, now: datetime) -> None:
    """Stop writing. What was written stays, and `status` shows it."""
    with locks.migration_lock(connection, migration) as found:
        if found.state in ("done", "cancelled", "failed"):
            raise BadInput(f"migration {found.migration_id} is {found.state}", place="migration")
        store.note_state(connection, migration_id=found.migration_id, state="cancelled", now=now)
