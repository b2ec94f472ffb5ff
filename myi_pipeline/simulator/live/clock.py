"""The clock of a simulated Spotify and of the program under test.

Times are UTC with milliseconds; moving the clock affects all users of it, in any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

DEFAULT_START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class MovableClock:
    """Stands still until it is moved, or ticks `speed` times as fast as the machine's (1.0: real time).

    Calling it returns the current time, so it can be passed as a `Callable[[], datetime]`.
    """

    def __init__(self, start: datetime = DEFAULT_START, *, speed: float = 0.0) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock needs a time zone")
        self._lock = Lock()
        self._base_ms = _to_ms(start)
        self._speed = speed
        self._since = time.monotonic()
        self._watchers: list[Callable[[datetime], object]] = []

    def __call__(self) -> datetime:
        return self.now()

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> datetime:
        return from_ms(self.now_ms())

    def now_ms(self) -> int:
        """Unix milliseconds."""
        with self._lock:
            return self._read()

    def advance(self, step: timedelta | float) -> datetime:
        """Moves by a timedelta or seconds, forwards or backwards; returns the new time."""
        step_ms = round((step.total_seconds() if isinstance(step, timedelta) else step) * 1000)
        with self._lock:
            self._base_ms += step_ms
            moved = from_ms(self._read())
        return self._tell(moved)

    def set(self, moment: datetime) -> datetime:
        """Sets the clock; returns the new time."""
        if moment.tzinfo is None:
            raise ValueError("a clock needs a time zone")
        with self._lock:
            self._base_ms, self._since = _to_ms(moment), time.monotonic()
        return self._tell(moment)

    def on_move(self, watcher: Callable[[datetime], object]) -> None:
        """Calls `watcher` on every move (not on every tick), in the thread that moves."""
        self._watchers.append(watcher)

    def forget(self, watcher: Callable[[datetime], object]) -> None:
        self._watchers.remove(watcher)

    def _read(self) -> int:
        if not self._speed:
            return self._base_ms
        return self._base_ms + int((time.monotonic() - self._since) * 1000 * self._speed)

    def _tell(self, moment: datetime) -> datetime:
        for watcher in self._watchers:
            watcher(moment)
        return moment


def _to_ms(moment: datetime) -> int:
    # Not timestamp() * 1000: a float sometimes loses the last digit.
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Unix milliseconds of a moment, exactly."""
    return _to_ms(moment)


def from_ms(stamp: int) -> datetime:
    """The moment of unix milliseconds, exactly."""
    return datetime.fromtimestamp(stamp // 1000, UTC).replace(microsecond=stamp % 1000 * 1000)
