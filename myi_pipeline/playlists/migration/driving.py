"""Carries out a migration's order step by step, and records when to continue if that is not possible now.

Every step can be repeated: the tables say what is left to do, so a killed process loses nothing, and the next one
resumes the order. Only one job at a time uses an account.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from myi_pipeline.errors import (
    AuthRevoked,
    Busy,
    CircuitOpen,
    LoginDoubted,
    MyiError,
    Paused,
    RateLimited,
    TokenRejected,
    Transient,
)
from myi_pipeline.playlists.migration import item_rows, job_orders, locks, moving, repeating, store
from myi_pipeline.playlists.migration.applying import Applied
from myi_pipeline.playlists.migration.job_orders import DueOrder
from myi_pipeline.playlists.migration.store import CancelAsked, Migration
from myi_pipeline.playlists.migration.targets import Target, open_target
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers import accounts
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

# A killed run reports nothing: its order is resumed after the first pause, which doubles each time up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=2), timedelta(hours=1)
MOST_ATTEMPTS = 12
_WHILE_BUSY = timedelta(minutes=1)
# A login known to have ended waits until a person links it again, which is noticed at once; this is for one that failed
# although it still looks usable.
_LOGIN_AGAIN = timedelta(hours=1)


class PutOff(Exception):
    """The order stands, and is resumed at `goes_on_at`, or when its account can be used. The message says why."""

    def __init__(self, reason: str, *, goes_on_at: datetime) -> None:
        super().__init__(reason)
        self.goes_on_at = goes_on_at


class GivenUp(Exception):
    """The order was dropped without being carried out. The message says why, for the person who gave it."""


class Cancelled(Exception):
    """Its user has cancelled the migration."""


@dataclass(frozen=True, kw_only=True)
class Snapped:
    """`entries`: how many the source's version has."""

    version_no: int
    entries: int


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The number of entries for each outcome. `note`: what could not be looked up at the service."""

    outcomes: dict[str, int]
    note: str


def pause_after(attempts: int) -> timedelta:
    """The pause before an order is resumed after this many failed attempts, 1 or more."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (min(attempts, 20) - 1))


@dataclass(frozen=True)
class Driver:
    """The steps of a job. Each raises PutOff, GivenUp and Cancelled after recording them; any other exception is not
    recorded, and the order is resumed after its pause.
    """

    settings: Settings
    warehouse: Warehouse
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep

    def take(self, migration_id: int) -> str | None:
        """Take the order that is due, `plan` or `apply`, and start its pause, after which a killed job is resumed. None
        if no order is due.
        """
        with self._connect() as connection:
            found = job_orders.due_orders(connection, now=self.clock(), migration_id=migration_id)
            if not found:
                return None
            (order,) = found
            migration = store.get_migration(connection, user_id=order.user_id, migration_id=migration_id)
            with self._noting(connection, migration, order), locks.migration_lock(connection, migration):
                if order.is_being_cancelled:
                    raise CancelAsked(f"migration {migration_id} was cancelled")
                attempts = order.attempts + 1
                if attempts > MOST_ATTEMPTS:
                    reason = f"it was started {order.attempts} times and never finished"
                    job_orders.give_up(connection, migration_id=migration_id, reason=reason, now=self.clock())
                    raise GivenUp(reason)
                due_at = self.clock() + pause_after(attempts)
                job_orders.begin(connection, migration_id=migration_id, attempts=attempts, due_at=due_at)
                if migration.saved_id is not None:
                    repeating.prune(connection, saved_id=migration.saved_id)
            return order.ordered

    def snap(self, migration_id: int) -> Snapped:
        """Fix the source's latest version as the one to move, and look at the target."""
        with (
            self._step(migration_id, "plan") as (connection, read, target),
            locks.migration_lock(connection, read) as migration,
        ):
            _check_ordered(migration)
            taken = moving.take_snapshot(
                connection, target, user_id=migration.user_id, playlist_id=migration.source_playlist_id,
                into=migration.target_playlist, name=migration.target_name, is_known=migration.saved_id is not None,
            )  # fmt: skip
            job_orders.note_snapshot(
                connection, migration_id=migration_id, version_no=taken.version_no, source_name=taken.source_name,
                target_playlist=taken.target_playlist, target_name=taken.target_name,
            )  # fmt: skip
            entries = item_rows.count_source(
                connection, playlist_id=taken.playlist_id, version_no=taken.version_no
            )  # fmt: skip
            return Snapped(version_no=taken.version_no, entries=entries)

    def match(self, migration_id: int) -> Matched:
        """Find every entry at the target's service, and store the plan, as a whole or not at all."""
        with (
            self._step(migration_id, "plan") as (connection, read, target),
            locks.migration_lock(connection, read) as migration,
            item_rows.found_items(connection) as items,
        ):
            _check_ordered(migration)
            saved = repeating.saved_of(connection, migration)
            found = moving.match(
                connection, target, moving.Snapshot.of(migration), items, user_id=migration.user_id,
                clock=self.clock, sleep=self.sleep, earlier_id=None if saved is None else saved.earlier_id,
            )  # fmt: skip
            capabilities = target.writer.capabilities
            if saved is not None:
                repeating.note_plan(
                    connection, migration, saved, found, items, capabilities=capabilities, now=self.clock()
                )
            else:
                job_orders.note_plan(
                    connection, migration_id=migration_id, target_before=found.before, were_there=found.were_there,
                    found=items, capabilities=capabilities, note=found.note, now=self.clock(),
                )  # fmt: skip
            outcomes: Counter[str] = Counter()
            for each in item_rows.tally_of(connection, migration_id=migration_id):
                outcomes[each.outcome] += each.entries
            return Matched(outcomes=dict(outcomes), note=found.note)

    def apply(self, migration_id: int, *, on_settled: Callable[[], None] = lambda: None) -> tuple[Applied, str]:
        """Write what is left. Returns the result and the new state. `on_settled` is called after each write."""
        with self._step(migration_id, "apply") as (connection, migration, target):
            applied = moving.run(
                connection, target, migration, clock=self.clock, sleep=self.sleep, on_settled=on_settled
            )  # fmt: skip
            after = store.get_migration(connection, user_id=migration.user_id, migration_id=migration_id)
            return applied, after.state

    def run_now(self, migration_id: int) -> Applied | None:
        """Carry out everything that is ordered, including orders that follow from it. None: nothing was written."""
        applied = None
        while (ordered := self.take(migration_id)) is not None:
            if ordered == "plan":
                self.snap(migration_id)
                self.match(migration_id)
            else:
                applied, _ = self.apply(migration_id)
        return applied

    def verify(self, migration_id: int) -> Applied:
        """Read the target again and return what it lacks. Raises MyiError if it cannot be read; changes no state."""
        with self._connect() as connection:
            migration = _find(connection, migration_id)
            with self._at_account(connection, migration) as target:
                return moving.verify(connection, target, migration, clock=self.clock, sleep=self.sleep)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self.warehouse.connect(Role.INGEST, autocommit=True, application_name="myi migration") as connection:
            yield connection

    @contextmanager
    def _step(self, migration_id: int, ordered: str) -> Iterator[tuple[Connection, Migration, Target]]:
        """Everything that a step needs; a failure inside is recorded."""
        with self._connect() as connection:
            migration = _find(connection, migration_id)
            order = job_orders.order_of(connection, migration_id=migration_id)
            if order is None and migration.state == "cancelled":
                raise Cancelled(f"migration {migration_id} was cancelled")
            if order is None or order.ordered != ordered:
                raise GivenUp(f"migration {migration_id} is {migration.state}: there is no order for it any more")
            with self._noting(connection, migration, order), self._at_account(connection, migration) as target:
                yield connection, migration, target

    @contextmanager
    def _at_account(self, connection: Connection, migration: Migration) -> Iterator[Target]:
        account = accounts.find_account(connection, account_id=migration.target_account_id)
        if account is None or not account.is_usable:
            raise AuthRevoked("the account is paused, or its login has ended")
        with (
            locks.account_lock(connection, account_id=account.account_id),
            open_target(self.settings, self.warehouse, account, clock=self.clock, sleep=self.sleep) as target,
        ):
            yield target

    @contextmanager
    def _noting(self, connection: Connection, migration: Migration, order: DueOrder) -> Iterator[None]:
        """Record what a failure means for the order, and raise it as PutOff, GivenUp or Cancelled."""
        number, now = migration.migration_id, self.clock
        try:
            yield
        except CancelAsked as error:
            store.note_state(connection, migration_id=number, state="cancelled", now=now())
            raise Cancelled(str(error)) from None
        except (RateLimited, CircuitOpen, LoginDoubted) as error:
            # The service said when to come back, so this does not count as a failed attempt.
            self._put_off(connection, number, error, attempts=0, due_at=error.retry_at)
        except Busy as error:
            self._put_off(connection, number, error, attempts=order.attempts, due_at=now() + _WHILE_BUSY)
        except (AuthRevoked, Paused) as error:
            # It is not due before the account is linked again, whatever the time.
            account = accounts.find_account(connection, account_id=migration.target_account_id)
            pause = _LOGIN_AGAIN if account is not None and account.is_usable else timedelta(0)
            self._put_off(connection, number, error, attempts=order.attempts, due_at=now() + pause)
        except (Transient, TokenRejected) as error:
            due_at = now() + pause_after(max(1, order.attempts))
            self._put_off(connection, number, error, attempts=order.attempts, due_at=due_at)
        except MyiError as error:
            job_orders.give_up(connection, migration_id=number, reason=str(error), now=now())
            raise GivenUp(str(error)) from error

    def _put_off(
        self, connection: Connection, migration_id: int, error: MyiError, *, attempts: int, due_at: datetime
    ) -> None:
        reason = str(error)
        job_orders.put_off(connection, migration_id=migration_id, attempts=attempts, due_at=due_at, reason=reason)
        raise PutOff(reason, goes_on_at=due_at) from error


def _check_ordered(migration: Migration) -> None:
    """Raises GivenUp if another process has made the plan meanwhile, Cancelled if the user has cancelled."""
    if migration.state == "cancelled":
        raise Cancelled(f"migration {migration.migration_id} was cancelled")
    if migration.state != "ordered":
        raise GivenUp(f"migration {migration.migration_id} is {migration.state}: there is no order for it any more")


def _find(connection: Connection, migration_id: int) -> Migration:
    """Raises GivenUp if the migration was deleted with its user."""
    found = store.find_migration(connection, migration_id=migration_id)
    if found is None:
        raise GivenUp(f"there is no migration {migration_id}")
    return found
