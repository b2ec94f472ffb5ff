"""Channels to a dbt process: a child of this one, or the warm one of `myi up`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Protocol

from myi_pipeline.isolation import children_environment
from myi_pipeline.marts.dbt_protocol import code_fingerprint

MODULE = "myi_pipeline.marts.dbt_main"
# Python's own end, once dbt has closed its answers.
_END_TIMEOUT_S = 5
# A warm process that is just starting has to import dbt: some seconds on two idle cores.
_READY_TIMEOUT_S = 60.0


class Channel(Protocol):
    """Two streams of lines, and a way to end the other side."""

    @property
    def requests(self) -> IO[str]: ...

    @property
    def answers(self) -> IO[str]: ...

    def kill(self) -> None:
        """Ends reading. May be called from any thread."""

    def close(self) -> int | None:
        """Ends the other side's work. Returns the exit code, if there is one."""

    def last_words(self) -> tuple[int | None, str]:
        """For a process that no longer answers: its exit code and last line, which is the exception, if any."""


class ChildChannel:
    """A child dbt process, which ends with this one."""

    def __init__(self) -> None:
        # What the child prints: into a file, since nobody reads it unless dbt ends without an answer.
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            encoding="utf-8",
            # Everything dbt needs comes with each command.
            env=children_environment(),
            # Ctrl-C in a terminal reaches the whole group: the parent decides, and then ends its child.
            start_new_session=True,
        )

    @property
    def requests(self) -> IO[str]:
        assert self._child.stdin is not None
        return self._child.stdin

    @property
    def answers(self) -> IO[str]:
        assert self._child.stdout is not None
        return self._child.stdout

    def kill(self) -> None:
        self._child.kill()

    def close(self) -> int | None:
        code = self._child.poll()
        self._child.kill()
        for pipe in (self._child.stdin, self._child.stdout, self._printed):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return self._child.wait() if code is None else code

    def last_words(self) -> tuple[int | None, str]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_TIMEOUT_S)
        self._printed.seek(max(0, self._printed.seek(0, os.SEEK_END) - 4096))
        lines = self._printed.read().decode(errors="replace").strip().splitlines()
        return self.close(), lines[-1] if lines else ""


class WarmChannel:
    """A connection to the warm dbt: if it is closed during a command, that process ends, and the command with it."""

    def __init__(self, connection: socket.socket, answers: IO[str]) -> None:
        self._connection = connection
        self.requests = connection.makefile("w", encoding="utf-8")
        self.answers = answers

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> int | None:
        self.kill()
        for stream in (self.requests, self.answers, self._connection):
            with contextlib.suppress(OSError):
                stream.close()
        return None

    def last_words(self) -> tuple[int | None, str]:
        self.close()
        return None, "the warm dbt process has ended"


def greet_warm(path: Path) -> socket.socket | None:
    """Connects to the warm dbt, which starts if necessary; None if there is none. Does not wait for it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_of(path) as address:
            connection.connect(address)
        connection.settimeout(_READY_TIMEOUT_S)
        connection.sendall((json.dumps({"code": code_fingerprint()}) + "\n").encode())
    except OSError:
        connection.close()
        return None
    return connection


def await_warm(connection: socket.socket) -> WarmChannel | None:
    """None if it is busy with another client or runs different code: the caller then starts its own dbt."""
    try:
        answers = connection.makefile("r", encoding="utf-8")
        hello: dict[str, Any] = json.loads(answers.readline() or "{}")
        if "ready" in hello:
            connection.settimeout(None)
            return WarmChannel(connection, answers)
    except (OSError, ValueError):
        pass
    connection.close()
    return None


@contextlib.contextmanager
def address_of(path: Path) -> Any:
    """An address for the socket of at most 107 bytes, however long its folder's path is (on Linux). Raises OSError."""
    if len(os.fsencode(path)) <= 100 or not sys.platform.startswith("linux"):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
