"""Waiting for a quota that is used up: short waits happen here, longer ones are left to the caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

from myi_pipeline.errors import RateLimited

# All waits of one plan or one application together; beyond this, people should be told instead.
MOST_WAITING = timedelta(minutes=10)

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


@dataclass
class Patience:
    """Limits the total waiting time of one piece of work. `sleep` takes seconds."""

    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    most: timedelta = MOST_WAITING
    waited: timedelta = timedelta(0)

    def ask(self, question: Callable[_Given, _Answer], *given: _Given.args, **named: _Given.kwargs) -> _Answer:
        """The answer, after as many waits as necessary. Raises RateLimited if they take too long."""
        while True:
            try:
                return question(*given, **named)
            except RateLimited as error:
                self.wait_for(error)

    def wait_for(self, error: RateLimited) -> None:
        """Wait as long as the error says. Raises the error itself if that is too long."""
        wait = max(error.retry_at - self.clock(), timedelta(seconds=1))
        if self.waited + wait > self.most:
            raise error
        self.waited += wait
        self.sleep(wait.total_seconds())
