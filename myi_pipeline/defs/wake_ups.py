"""Wakes sensors when there is something for them to do.

A sensor's tick costs 0.1 to 0.2 s of CPU in three processes, so sensors look every five minutes. This thread, inside
the daemon, looks more often at what costs a millisecond (whose turn it is, which files lie in the uploads folder,
whether a run is active), and listens to notifications from whoever changed something (postgres/wake_ups). Then it makes
a sensor due, which the daemon evaluates within five seconds. The sensors alone decide: a wake-up too many costs a tick,
one that is lost five minutes.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import structlog
from dagster import DagsterInstance

# The stored state of sensors has no public name.
from dagster._core.scheduler.instigation import InstigatorState, InstigatorType, SensorInstigatorData

from myi_pipeline.archives.uploads.scan import SETTLE_S
from myi_pipeline.defs.daemon_thread import daemon_thread
from myi_pipeline.defs.live_wishes import Wishes
from myi_pipeline.defs.resources import utc_now
from myi_pipeline.defs.runs import ACTIVE, unfinished_runs
from myi_pipeline.operations.heartbeats import give_up_silent
from myi_pipeline.people.take_away_orders import due_exports
from myi_pipeline.playlists.file_inbox import keep_files
from myi_pipeline.playlists.migration.job_orders import due_orders
from myi_pipeline.polling.pace import slot_of
from myi_pipeline.polling.poll_store import due_users
from myi_pipeline.polling.scrobble_store import due_links
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.wake_ups import CHANNEL, Wake, wake
from myi_pipeline.settings import Settings
from myi_pipeline.settings.artifacts import is_object_store
from myi_pipeline.submissions.drain import drain

log = structlog.get_logger(__name__)

LOST_RUNS, SERVICE_POLLS = "lost_runs", "service_polls"
# A walk through somebody's history goes on every minute.
_SERVICES_EVERY_S = 60.0
# What was put off has come due, or was left by a run that was killed.
_MIGRATIONS_EVERY_S = 60.0
# Exports are made one at a time; one that was killed is made again.
_EXPORTS_EVERY_S = 15.0
_LOOK_EVERY_S, _STOPS_WITHIN_S = 15.0, 2.0
# While a run is active.
_HEARTBEATS_EVERY_S = 5.0
# Looking through ten thousand folders takes a tenth of a second: then it is done less often.
_SHARE_OF_LOOKS = 0.005
# After files changed: the sensor takes a young file when it has looked the same twice.
_UPLOADS_SETTLE_S = 4 * SETTLE_S
_REFRESH_JOB = "refresh_marts"
_TIDY_EVERY_S, _FIRST_TIDY_S = 600.0, 60.0
_LOADS_FOR_S = 1.0
_LONGEST_PAUSE_S = 60.0


def make_due(instance: DagsterInstance, names: set[str], *, since: float | None = None) -> set[str]:
    """Let the daemon evaluate these sensors with its next look; returns those that were not evaluated `since`.

    Dagster has no public call for it. A tick that ends in this very moment may write the old times again, so whoever
    calls looks again later.
    """
    left: set[str] = set()
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
        data = state.instigator_data
        if state.instigator_name not in names or not isinstance(data, SensorInstigatorData):
            continue
        if since is not None and (data.last_tick_start_timestamp or 0.0) >= since:
            continue
        left.add(state.instigator_name)
        if data.last_tick_start_timestamp is not None or data.last_tick_timestamp is not None:
            instance.update_instigator_state(_never_evaluated(state, data))
    return left


def _never_evaluated(state: InstigatorState, data: SensorInstigatorData) -> InstigatorState:
    return state.with_data(data._replace(last_tick_timestamp=None, last_tick_start_timestamp=None))


class UploadsWatch:
    """Whether files came, went or changed in the uploads folder since the last look. An object store is not watched:
    what comes over the network announces itself (its row does), and the sensor looks for the rest."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        # As of an empty folder: what lies there at the start is news.
        self._seen = hashlib.blake2b().digest()
        self._next_at = 0.0

    def has_changed(self) -> bool:
        began = self._clock()
        if began < self._next_at:
            return False
        seen = self._look()
        self._next_at = began + (self._clock() - began) / _SHARE_OF_LOOKS
        before, self._seen = self._seen, seen
        return seen != before

    def _look(self) -> bytes:
        """Names, sizes and times of all files, as a digest."""
        digest = hashlib.blake2b()
        for folder, folders, files in os.walk(self._folder):
            folders.sort()
            for name in sorted(files):
                try:
                    found = os.stat(os.path.join(folder, name), follow_symlinks=False)
                except OSError:
                    continue
                digest.update(f"{folder}/{name} {found.st_size} {found.st_mtime_ns}\n".encode(errors="surrogateescape"))
        return digest.digest()


class WakeUps:
    """What is to be woken, and the looks that find it. One thread calls `look`."""

    def __init__(
        self,
        settings: Settings,
        instance: DagsterInstance,
        *,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instance, self._clock, self._monotonic = instance, clock, monotonic
        is_folder = not is_object_store(settings.uploads_place)
        self._uploads = UploadsWatch(settings.uploads_folder, clock=monotonic) if is_folder else None
        self._uploads_until = 0.0
        self._slot: datetime | None = None
        self._services_at = monotonic() - _SERVICES_EVERY_S
        self._migrations_at = monotonic() - _MIGRATIONS_EVERY_S
        self._exports_at = monotonic() - _EXPORTS_EVERY_S
        self._heartbeats_at = monotonic()
        self._has_active_runs = False
        self._pending: set[str] = set()
        # Since when a sensor that was made due has to have been evaluated.
        self._woken: dict[str, float] = {}

    def note(self, name: str) -> None:
        """Somebody said that this sensor has something to do."""
        self._pending.add(name)

    def look(self, connection: Connection) -> None:
        """Find out what else there is to do, and wake whoever can do it now."""
        now = self._clock()
        slot = slot_of(now)
        if slot != self._slot and due_users(connection, now=now, within=timedelta(0)):
            # Once in five minutes: while earlier polls wait, the same users stay due.
            self._slot = slot
            self._pending.add(Wake.POLLS)
        # While an earlier run is not done, the same accounts stay due.
        if self._monotonic() - self._services_at >= _SERVICES_EVERY_S and due_links(
            connection, now=now, within=timedelta(0)
        ):
            self._services_at = self._monotonic()
            self._pending.add(SERVICE_POLLS)
        # What is under way stays due as well.
        if self._monotonic() - self._migrations_at >= _MIGRATIONS_EVERY_S and due_orders(connection, now=now):
            self._migrations_at = self._monotonic()
            self._pending.add(Wake.MIGRATIONS)
        if self._monotonic() - self._exports_at >= _EXPORTS_EVERY_S and due_exports(connection, now=now):
            self._exports_at = self._monotonic()
            self._pending.add(Wake.EXPORTS)
        if self._uploads is not None and self._uploads.has_changed():
            self._uploads_until = self._monotonic() + _UPLOADS_SETTLE_S
        if self._monotonic() < self._uploads_until:
            self._pending.add(Wake.UPLOADS)
        self._has_active_runs = bool(self._instance.get_run_ids(dg.RunsFilter(statuses=ACTIVE), limit=1))
        if self._has_active_runs:
            self._pending.add(LOST_RUNS)
        self.wake()

    def look_at_heartbeats(self, connection: Connection) -> None:
        """Between looks: a run whose process is silent is given up here, and failed by its sensor at once."""
        if not self._has_active_runs or self._monotonic() - self._heartbeats_at < _HEARTBEATS_EVERY_S:
            return
        self._heartbeats_at = self._monotonic()
        if give_up_silent(connection, self._instance.get_run_ids(dg.RunsFilter(statuses=ACTIVE))):
            self._pending.add(LOST_RUNS)
            self.wake()

    def wake(self) -> None:
        """Make due what is pending. A refresh waits for the one that is under way, and gathers what comes meanwhile."""
        for name, since in list(self._woken.items()):
            if not make_due(self._instance, {name}, since=since):
                del self._woken[name]
        ready = {name for name in self._pending if name != Wake.CHANGES or not self._is_refreshing()}
        if ready:
            began = time.time()
            for name in make_due(self._instance, ready):
                self._woken[name] = began
            self._pending -= ready

    def _is_refreshing(self) -> bool:
        return bool(unfinished_runs(self._instance, _REFRESH_JOB, most=1))


def _listen(settings: Settings, instance: DagsterInstance, warehouse: Warehouse, stop: threading.Event) -> None:
    with (
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi wake-ups")) as connection,
        closing(Wishes(settings, warehouse, instance)) as wishes,
    ):
        connection.execute(f"listen {CHANNEL}".encode())
        wake_ups = WakeUps(settings, instance)
        # What was said before was not heard.
        for name in Wake:
            wake_ups.note(name)
        tidied_at = time.monotonic() - _TIDY_EVERY_S + _FIRST_TIDY_S
        while not stop.is_set():
            wishes.look(connection)
            load_listens(connection)
            keep_playlist_files(connection)
            wake_ups.look(connection)
            if time.monotonic() - tidied_at >= _TIDY_EVERY_S:
                tidied_at = time.monotonic()
                give_memory_back()
            looked_at = time.monotonic()
            while not stop.is_set() and time.monotonic() - looked_at < _LOOK_EVERY_S:
                heard = list(connection.notifies(timeout=_STOPS_WITHIN_S, stop_after=1))
                for notification in heard:
                    wake_ups.note(notification.payload)
                wake_ups.look_at_heartbeats(connection)
                if heard:
                    break


def load_listens(connection: Connection) -> None:
    """What players have submitted, for a moment: people who look at pages wait for the same thread."""
    drained = drain(connection, at_most_s=_LOADS_FOR_S)
    if drained.requests or drained.put_off:
        log.info("listens_loaded", requests=drained.requests, loaded=drained.loaded, put_off=drained.put_off)
    if not drained.is_done:
        wake(connection, Wake.LISTENS)


def keep_playlist_files(connection: Connection) -> None:
    """The playlists of uploaded files, for a moment, and the whole of at least one."""
    kept = keep_files(connection, now=utc_now, at_most_s=_LOADS_FOR_S)
    if kept.files or kept.put_off:
        log.info("playlist_files_kept", files=kept.files, new=kept.new, put_off=kept.put_off)
    if not kept.is_done:
        wake(connection, Wake.PLAYLIST_FILES)


def give_memory_back() -> None:
    """The daemon loads the workspace again every minute, and glibc keeps what that took."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def waking_sensors(settings: Settings, instance: DagsterInstance) -> AbstractContextManager[None]:
    """The thread, for the duration of the context."""
    return daemon_thread(settings, "wake_ups", partial(_listen, settings, instance), longest_pause_s=_LONGEST_PAUSE_S)
