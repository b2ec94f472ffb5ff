"""Loads what players submitted in a process of its own, which is killed before its Nth statement.

`python -m tests.integration.api.drain_process N`, with the database's address on standard input.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import psycopg

from myi_pipeline.submissions.drain import drain


class Killed(psycopg.Connection[Any]):
    """A connection whose process ends before a statement."""

    left = 0

    def execute(self, *arguments: Any, **more: Any) -> psycopg.Cursor[Any]:
        Killed.left -= 1
        if Killed.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*arguments, **more)


if __name__ == "__main__":
    Killed.left = int(sys.argv[1])
    with Killed.connect(sys.stdin.read().strip(), autocommit=True) as connection:
        drain(connection)
