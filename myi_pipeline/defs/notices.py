"""Telling people, as part of the daemon: a thread that looks every two minutes and sends what is due at once.

Where another daemon than that of `myi up` runs, the sensor does the same every five minutes. A lock of the database
says who tells; a process that dies lets go of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta
from functools import partial

import dagster as dg

from myi_pipeline.defs.daemon_thread import daemon_thread
from myi_pipeline.defs.resources import Installation, utc_now
from myi_pipeline.notices import journal
from myi_pipeline.notices.sending import NoticeSender
from myi_pipeline.operations.notice_conditions import notice_conditions
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.settings import Settings

LOOK_EVERY = timedelta(minutes=2)
_STOPS_WITHIN_S = 2.0
_LONGEST_PAUSE_S = 120.0
_TICK_EVERY_S = 300
# Receivers that hang take 15 s a batch; then it is looked again.
_BATCHES_A_STEP = 8
# A sensor's tick has a minute.
_BATCHES_A_TICK = 2
# "myit"
TURN = 0x6D796974


class Telling:
    """What the thread does, step by step, by a clock that tests move."""

    def __init__(
        self, settings: Settings, warehouse: Warehouse, teller: NoticeSender, *, clock: Callable[[], datetime]
    ) -> None:
        self._settings, self._warehouse, self._teller, self._clock = settings, warehouse, teller, clock
        self._looked_at: datetime | None = None

    def step(self, *, is_asked: bool = False) -> None:
        """Look if it is time to, and send what is due. `is_asked`: somebody says that there is something."""
        now = self._clock()
        # A clock that was set back must not hold it up.
        if self._looked_at is None or is_asked or abs(now - self._looked_at) >= LOOK_EVERY:
            self._looked_at = now
            look(self._settings, self._warehouse, self._teller, now=now)
        self._teller.send_due(batches=_BATCHES_A_STEP)

    def wait_s(self, connection: Connection) -> float:
        """Seconds until there is something to do again, as far as is known."""
        now = self._clock()
        due = journal.next_due(connection)
        next_look = (self._looked_at or now) + LOOK_EVERY
        return max(0.0, (min(next_look, due) if due is not None else next_look).timestamp() - now.timestamp())


def look(settings: Settings, warehouse: Warehouse, teller: NoticeSender, *, now: datetime) -> None:
    """Find what is worth telling, and journal it."""
    worth = notice_conditions(settings, warehouse, now=now)
    teller.follow(worth.found, asked=worth.asked, mended=worth.mended)


def take_turn(connection: Connection) -> bool:
    """Whether this session tells now, until it ends."""
    row = connection.execute("select pg_try_advisory_lock(%s)", (TURN,)).fetchone()
    return bool(row and row[0])


def _tell(settings: Settings, warehouse: Warehouse, stop: threading.Event) -> None:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi notices")) as connection:
        connection.execute(f"listen {journal.CHANNEL}".encode())
        while not take_turn(connection):
            if stop.wait(LOOK_EVERY.total_seconds()):
                return
        telling = Telling(settings, warehouse, NoticeSender(settings, connection, clock=utc_now), clock=utc_now)
        while not stop.is_set():
            telling.step()
            until = time.monotonic() + telling.wait_s(connection)
            heard = False
            while not stop.is_set() and not heard and (left_s := until - time.monotonic()) > 0:
                heard = bool(list(connection.notifies(timeout=min(_STOPS_WITHIN_S, left_s), stop_after=1)))


def telling_people(settings: Settings) -> AbstractContextManager[None]:
    """The thread, for the duration of the context."""
    return daemon_thread(settings, "notices", partial(_tell, settings), longest_pause_s=_LONGEST_PAUSE_S)


@dg.sensor(
    name="notices",
    target=None,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends notices if no daemon of `myi up` does.",
)
def notices_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SkipReason:  # fmt: skip
    with (
        installation.open() as warehouse,
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi notices")) as connection,
    ):
        if not take_turn(connection):
            return dg.SkipReason("`myi up` sends notices itself")
        teller = NoticeSender(installation.settings, connection, clock=installation.clock)
        look(installation.settings, warehouse, teller, now=installation.clock())
        sent = teller.send_due(batches=_BATCHES_A_TICK)
    return dg.SkipReason(f"{sent.taken} notices sent, {sent.failed} not accepted")
