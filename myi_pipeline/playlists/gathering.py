"""Gathering the playlists of one linked account: finding those that changed, reading them, marking those that are gone.

A single listing shows what changed. Each list is stored in its own transaction, so whatever stops a gathering, the
lists before it are kept and the next gathering continues. A list that can no longer be read is marked as such and keeps
its entries. A list that changes while it is read is read again, a few times, and then left for the next gathering: a
mixture of two states must never be stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import structlog
from psycopg.rows import class_row

from myi_pipeline.errors import Busy, Forbidden, Gone, MyiError, Transient
from myi_pipeline.playlists.rules import (
    FAILURES_IN_A_ROW,
    GATHER_EVERY,
    READS_OF_A_LIST,
    KnownList,
    need_of,
)
from myi_pipeline.playlists.store import State, Stored, store_playlist
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import accounts
from myi_pipeline.providers.accounts import ProviderAccount
from myi_pipeline.providers.playlists import PlaylistEntry, PlaylistHead, PlaylistReader
from myi_pipeline.providers.retries import FailureKind, failure_kind, try_again_at

log = structlog.get_logger(__name__)

# The first key of an advisory lock, of which the second is the account; it spells "myig".
_LOCK_SPACE = 0x6D796967
_LONGEST_ERROR = 300
_LONGEST_PERMISSION = 500

Outcome = Literal["gathered", "partly", "failed", "skipped"]
Covers = Callable[[str, bool], bool]
"""Whether the account's listing would include a list, given the list's id and whether it is collaborative."""


class KeepsChanging(Transient):
    """A list changed during every attempt to read it."""


@dataclass(frozen=True, kw_only=True)
class GatherResult:
    """What one gathering did. Lists seen = read + unchanged + unreadable + failed. `reason` is the first failure."""

    user_key: str
    account_id: int
    account: str
    outcome: Outcome
    lists_seen: int = 0
    lists_read: int = 0
    unchanged: int = 0
    unreadable: int = 0
    failed: int = 0
    gone: int = 0
    new_versions: int = 0
    items_read: int = 0
    reason: str | None = None
    retry_at: datetime | None = None


@dataclass
class _Counts:
    lists_seen: int = 0
    lists_read: int = 0
    unchanged: int = 0
    unreadable: int = 0
    failed: int = 0
    gone: int = 0
    new_versions: int = 0
    items_read: int = 0
    errors: list[Exception] = field(default_factory=list)


def gather_account(
    connection: Connection,
    reader: PlaylistReader,
    account: ProviderAccount,
    *,
    clock: Callable[[], datetime],
    covers: Covers = lambda _, __: True,
    correlation_id: str | None = None,
) -> GatherResult:
    """Gather one account now, due or not. `connection` is in autocommit. Raises CircuitOpen and Busy."""
    with _account_lock(connection, account.account_id):
        accounts.admit(connection, account, now=clock())
        gathering_id = _begin(connection, account, clock(), correlation_id)
        gathering = _Gathering(connection, reader, account, clock)
        try:
            gathering.run(covers)
        except MyiError as error:
            gathering.counts.errors.append(error)
        except Exception as error:
            gathering.counts.errors.append(error)
            log.exception("playlists_failed", user=account.user_key, account=account.account_id)
        return _finish(connection, account, gathering, gathering_id, clock())


class _Gathering:
    def __init__(
        self,
        connection: Connection,
        reader: PlaylistReader,
        account: ProviderAccount,
        clock: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._account = account
        self._clock = clock
        self.counts = _Counts()
        self.is_listed = False

    def run(self, covers: Covers) -> None:
        heads = _distinct(self._reader.playlists())
        self.counts.lists_seen = len(heads)
        self.is_listed = True
        known = {each.provider_playlist: each for each in known_lists(self._connection, self._account.account_id)}
        in_a_row = 0
        for done, head in enumerate(heads):
            try:
                self._gather_list(head, known.get(head.playlist_id))
                in_a_row = 0
            except MyiError as error:
                self.counts.errors.append(error)
                self.counts.failed += 1
                in_a_row += 1
                log.warning("playlist_failed", user=self._account.user_key, reason=str(error))
                if _ends_gathering(error) or in_a_row >= FAILURES_IN_A_ROW:
                    self.counts.failed += len(heads) - done - 1
                    return
        seen = {head.playlist_id for head in heads}
        missing = [
            each
            for name, each in known.items()
            if name not in seen and each.state != "gone" and covers(name, bool(each.is_collaborative))
        ]
        if missing:
            self._mark_gone(missing)

    def _gather_list(self, head: PlaylistHead, known: KnownList | None) -> None:
        counts = self.counts
        permission = permission_of(head)
        need = need_of(
            head.version, is_readable=head.is_readable, permission=permission, known=known, now=self._clock()
        )  # fmt: skip
        if need == "unchanged":
            self._keep(head, None, "readable")
            counts.unchanged += 1
            return
        if need == "unreadable":
            # If it was refused earlier, nothing new is known about it.
            self._keep(head, None, "unreadable", permission=None if head.is_readable else permission)
            counts.unreadable += 1
            return
        try:
            latest, entries = self._read(head)
        except Forbidden:
            # Either only this list's entries are refused, or everything is, and then its head is refused too.
            refused = replace(self._reader.head(head.playlist_id), version=head.version)
            self._keep(refused, None, "unreadable", permission=permission)
            counts.unreadable += 1
        except Gone:
            # It disappeared after the listing; the next one shows whether for good.
            self._keep(head, None, "unreadable", permission=permission)
            counts.unreadable += 1
        else:
            self._keep(latest, entries, "readable", permission=permission)
            counts.lists_read += 1
            counts.items_read += len(entries)

    def _read(self, head: PlaylistHead) -> tuple[PlaylistHead, list[PlaylistEntry]]:
        before = head
        for _ in range(READS_OF_A_LIST):
            entries = list(self._reader.entries(head.playlist_id))
            after = self._reader.head(head.playlist_id)
            if after.version == before.version:
                return after, entries
            before = after
        raise KeepsChanging(f"{head.name or head.playlist_id} changed {READS_OF_A_LIST} times while it was read")

    def _keep(
        self,
        head: PlaylistHead,
        entries: list[PlaylistEntry] | None,
        state: State,
        *,
        permission: str | None = None,
    ) -> Stored:
        account = self._account
        stored = store_playlist(
            self._connection,
            user_id=account.user_id,
            account_id=account.account_id,
            provider=account.provider,
            head=head,
            entries=entries,
            now=self._clock(),
            state=state,
            permission=permission,
        )
        self.counts.new_versions += stored.is_new
        return stored

    def _mark_gone(self, missing: list[KnownList]) -> None:
        """Mark lists that a second listing lacks too: one that moves while pages are read may be on none of them."""
        again = {head.playlist_id for head in self._reader.playlists()}
        for each in missing:
            if each.provider_playlist not in again:
                mark_gone(self._connection, each.playlist_id, now=self._clock())
                self.counts.gone += 1
                self.counts.new_versions += 1


def known_lists(connection: Connection, account_id: int) -> tuple[KnownList, ...]:
    """Every list that the account ever had, as last stored."""
    with connection.cursor(row_factory=class_row(KnownList)) as cursor:
        return tuple(cursor.execute(load_sql("playlists/known_lists"), {"account_id": account_id}).fetchall())


def permission_of(head: PlaylistHead) -> str:
    """What the service says about who may read a list; this can change while the list's version stays the same."""
    return json.dumps([head.owner_id, head.is_collaborative, head.is_public, head.is_readable])[:_LONGEST_PERMISSION]


def mark_gone(connection: Connection, playlist_id: int, *, now: datetime) -> None:
    """Store another version that marks the playlist as gone and is otherwise unchanged."""
    connection.execute(load_sql("playlists/mark_gone"), {"playlist_id": playlist_id, "now": now})


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete the log of gatherings that started before this time; nothing is computed from it."""
    return connection.execute("delete from ops.playlist_gatherings where started_at < %s", (before,)).rowcount


def _distinct(heads: Iterable[PlaylistHead]) -> list[PlaylistHead]:
    """A list that moves down while the pages are read appears twice."""
    found: dict[str, PlaylistHead] = {}
    for head in heads:
        found.setdefault(head.playlist_id, head)
    return list(found.values())


def _ends_gathering(error: Exception) -> bool:
    return failure_kind(error) in (FailureKind.PUT_OFF, FailureKind.AUTHORISATION)


def _begin(connection: Connection, account: ProviderAccount, now: datetime, correlation_id: str | None) -> int:
    connection.execute(
        "update ops.playlist_gatherings set outcome = 'failed', finished_at = %s, error = 'the process was stopped'"
        " where account_id = %s and outcome = 'running'",
        (now, account.account_id),
    )
    row = connection.execute(
        "insert into ops.playlist_gatherings (user_id, account_id, started_at, correlation_id)"
        " values (%s, %s, %s, %s) returning gathering_id",
        (account.user_id, account.account_id, now, correlation_id),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _finish(
    connection: Connection, account: ProviderAccount, gathering: _Gathering, gathering_id: int, now: datetime
) -> GatherResult:
    counts = gathering.counts
    first = counts.errors[0] if counts.errors else None
    outcome: Outcome = "gathered"
    if first is not None:
        outcome = "partly" if gathering.is_listed else "failed"
    # The text of a foreign exception may contain anything, so it is not shown.
    reason = None
    if first is not None:
        reason = (str(first) if isinstance(first, MyiError) else f"unexpected: {type(first).__name__}")[:_LONGEST_ERROR]
    accounts.note_outcome(connection, account, first if outcome == "failed" or _stops(first) else None, now=now)
    numbers = {
        name: getattr(counts, name)
        for name in (
            "lists_seen", "lists_read", "unchanged", "unreadable", "failed", "gone", "new_versions", "items_read"
        )
    }  # fmt: skip
    if outcome == "partly" and counts.lists_seen != (
        counts.lists_read + counts.unchanged + counts.unreadable + counts.failed
    ):
        # A foreign exception ended it between two lists.
        numbers["failed"] = counts.lists_seen - counts.lists_read - counts.unchanged - counts.unreadable
    with connection.transaction():
        row = connection.execute(
            load_sql("playlists/finish_gathering"),
            {"gathering_id": gathering_id, "outcome": outcome, "error": reason, "now": now, **numbers},
        )
        assert row.rowcount <= 1
        failures = _failures(connection, account.account_id) + 1 if first is not None else 0
        due_at = now + GATHER_EVERY
        if first is not None:
            due_at = try_again_at(first, failures=failures, now=now) or due_at
        connection.execute(
            load_sql("playlists/note_gathered"),
            {
                "account_id": account.account_id,
                "gathered_at": now if outcome != "failed" else None,
                "due_at": due_at,
                "failures": failures,
                "error": reason,
            },
        )
    return GatherResult(
        user_key=account.user_key,
        account_id=account.account_id,
        account=account.title,
        outcome=outcome,
        reason=reason,
        retry_at=due_at if first is not None else None,
        **numbers,
    )


def _stops(error: Exception | None) -> bool:
    return error is not None and _ends_gathering(error)


def _failures(connection: Connection, account_id: int) -> int:
    row = connection.execute("select failures from ops.playlist_states where account_id = %s", (account_id,)).fetchone()
    return int(row[0]) if row is not None else 0


@contextmanager
def _account_lock(connection: Connection, account_id: int) -> Iterator[None]:
    """One gathering of an account at a time. The lock belongs to the session, so a killed process releases it."""
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (_LOCK_SPACE, account_id)).fetchone()
    if row is None or not row[0]:
        raise Busy("the playlists of this account are being gathered by another process")
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_LOCK_SPACE, account_id))
