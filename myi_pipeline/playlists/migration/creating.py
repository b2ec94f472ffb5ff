"""Creates a migration's new playlist exactly once: after a lost answer it is looked for, or requested again with its
key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.errors import MyiError, RateLimited, Transient
from myi_pipeline.playlists.migration import locks, store
from myi_pipeline.playlists.migration.applying import KEY_MARGIN, WAIT_FOR_LATE_WRITES_S
from myi_pipeline.playlists.migration.journal import OpenCreation, StoredJournal
from myi_pipeline.playlists.migration.steps import Outcome as Written
from myi_pipeline.playlists.migration.store import Migration
from myi_pipeline.playlists.migration.targets import Target
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.providers.playlists import PlaylistHead


def create_once(
    connection: Connection,
    target: Target,
    migration: Migration,
    journal: StoredJournal,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> str:
    """The id of the new playlist, created if necessary.

    For one account and name there is never more than one creation with an unknown outcome: it is settled before another
    is begun, so that no migration takes another's playlist for its own.
    """
    with locks.creation_lock(connection, account_id=target.account_id):
        now = store.get_migration(connection, user_id=migration.user_id, migration_id=migration.migration_id)
        if now.target_playlist is not None:
            return now.target_playlist
        name = target.writer.kept_name(migration.target_name)
        for other in store.open_creations_of_others(connection, migration, name=name):
            theirs = StoredJournal(connection, migration_id=other.migration_id, clock=clock)
            _Creation(connection, target, other, theirs, clock, sleep).settle()
        return _Creation(connection, target, migration, journal, clock, sleep).make()


@dataclass(frozen=True)
class _Creation:
    """The creation of one migration's playlist. The caller holds the lock of the account's creations."""

    connection: Connection
    target: Target
    migration: Migration
    journal: StoredJournal
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]

    def settle(self) -> None:
        """Find out what became of a creation that was begun, and record it."""
        sent = self.journal.unsettled_creation()
        if sent is not None:
            self._note(sent, self._found_after_a_while(sent))

    def make(self) -> str:
        sent = self.journal.unsettled_creation()
        head: PlaylistHead | None = None
        if sent is not None:
            seconds = self.target.writer.capabilities.idempotent_for_s
            is_recognised = seconds and self.clock() - sent.sent_at < timedelta(seconds=seconds) - KEY_MARGIN
            head = self._made_already(sent) if is_recognised else self._found_after_a_while(sent)
            if head is None and not is_recognised:
                self.journal.settle_creation(sent.number, Written.NOT_DONE)
                sent = None
        if sent is None:
            there = [each.playlist_id for each in self._of_that_name()]
            sent = self.journal.begin_creation(self._name, there=there)
        head = head or self._ask(sent)
        self._note(sent, head)
        return head.playlist_id

    def _ask(self, sent: OpenCreation) -> PlaylistHead:
        try:
            return self.target.writer.create(self._name, description=None, is_public=False, key=sent.key)
        except RateLimited:
            self.journal.settle_creation(sent.number, Written.NOT_DONE)
            raise
        except Transient:
            head = self._found_after_a_while(sent)
            if head is None:
                raise
            return head
        except MyiError:
            self.journal.settle_creation(sent.number, Written.NOT_DONE)
            raise

    def _note(self, sent: OpenCreation, head: PlaylistHead | None) -> None:
        number = self.migration.migration_id
        with self.connection.transaction():
            if head is not None:
                store.note_target(self.connection, migration_id=number, playlist_id=head.playlist_id)
            self.journal.settle_creation(sent.number, Written.NOT_DONE if head is None else Written.CONFIRMED)

    def _found_after_a_while(self, sent: OpenCreation) -> PlaylistHead | None:
        """Like `_made_already`, but gives the service time to show what it has done."""
        head = self._made_already(sent)
        shown_after_s = max(WAIT_FOR_LATE_WRITES_S, self.target.writer.capabilities.shows_writes_after_s)
        wait_s = shown_after_s - (self.clock() - sent.sent_at).total_seconds()
        if head is None and wait_s > 0:
            self.sleep(wait_s)
            head = self._made_already(sent)
        return head

    def _made_already(self, sent: OpenCreation) -> PlaylistHead | None:
        """The playlist if it was made: one of this name that was not there before, belongs to no other migration, and
        is still empty.
        """
        not_it = sent.there | store.targets_of_others(self.connection, self.migration)
        for head in self._of_that_name():
            if head.playlist_id not in not_it and not list(self.target.reader.entries(head.playlist_id)):
                return head
        return None

    @property
    def _name(self) -> str:
        return self.target.writer.kept_name(self.migration.target_name)

    def _of_that_name(self) -> list[PlaylistHead]:
        kept_name = self.target.writer.kept_name
        return [each for each in self.target.reader.playlists() if kept_name(storable_text(each.name)) == self._name]
