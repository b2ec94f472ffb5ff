"""A thread of the daemon that works with the database for as long as the daemon runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog

from myi_pipeline.errors import MyiError
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

_PAUSE_AFTER_FAILURE_S = 5.0
_END_S = 5.0


@contextmanager
def daemon_thread(
    settings: Settings, name: str, work: Callable[[Warehouse, threading.Event], None], *, longest_pause_s: float
) -> Iterator[None]:
    """`work` in a thread, for the duration of the context; it ends when the event is set. If it fails or returns
    before, that is logged, and it is called again after a pause, which doubles each time. It never ends the daemon."""
    stop = threading.Event()

    def keep_working() -> None:
        pause_s = _PAUSE_AFTER_FAILURE_S
        while not stop.is_set():
            began = time.monotonic()
            try:
                with open_warehouse(settings, migrate=False) as warehouse:
                    work(warehouse, stop)
            except (MyiError, psycopg.Error) as error:
                reason = str(error) if isinstance(error, MyiError) else type(error).__name__
                log.warning(f"{name}_interrupted", reason=reason)
            except Exception:
                log.exception(f"{name}_failed")
            has_worked = time.monotonic() - began > longest_pause_s
            pause_s = _PAUSE_AFTER_FAILURE_S if has_worked else min(pause_s * 2, longest_pause_s)
            stop.wait(pause_s)

    thread = threading.Thread(target=keep_working, name=name.replace("_", "-"), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_END_S)
