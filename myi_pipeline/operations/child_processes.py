"""Supervised child processes: started, restarted when they end, and stopped with everything below them.

When `stop` returns, neither the processes started here nor their descendants are alive, whatever their current parents.
The embedded Postgres, which has its own leases, is never touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
# A child that ran this long was healthy: when it ends, the count of failures starts over.
_WELL_AFTER_S = 120.0
# Listing the machine's processes takes 5 to 10 ms and more. It is only needed where orphans are not adopted.
_LOOK_EVERY_S = 30.0
_SET_CHILD_SUBREAPER, _SET_DEATH_SIGNAL = 36, 1
_FORK_TIMEOUT_S, _LONGEST_ID = 1.0, 20
# What glibc reads when a program starts, by mallopt's numbers.
_MALLOC_OPTIONS = {"MALLOC_ARENA_MAX": -8, "MALLOC_TRIM_THRESHOLD_": -1}
_NOT_OURS = ("postgres", "pg_ctl")
_ADOPTS = sys.platform == "linux"


def adopt_orphans() -> None:
    """On Linux, grandchildren whose parent dies become children of this process, so that none is lost."""
    if _ADOPTS:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)


class Adopted:
    """A process that a child forked and left to us (see adopt_orphans), used as if it were a Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._collect(os.WNOHANG)

    def wait(self) -> int | None:
        return self._collect(0)

    def _collect(self, options: int) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:
                # It ended and was collected before anybody knew that it is one of ours.
                self.returncode = 1
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Fork:
    """A child that is no program of its own: forked by this process, or by the first process of another child. What
    the two import is in memory once.

    `file` is the end for that process, to be inherited. The fork tells its id there when it is a child of ours, and
    waits for its environment, or for the end of this end, with which it goes (see fork_sibling).
    """

    def __init__(self) -> None:
        self._ours, self.file = socket.socketpair()

    def fork(self, *, name: str, others: Iterable[Fork] = ()) -> Sequence[str] | None:
        """Fork a child of this process, which has no connections yet; in the child, once it was taken, the arguments
        that it was taken with, otherwise None. `others` are Forks that were made before.

        None is forked where a Fork cannot become a child, or of a process with a second thread.
        """
        if not can_fork() or _has_threads():
            return None
        gc.collect()
        # A collection writes to every object that it looks at, and a page that is written to is no longer shared.
        gc.freeze()
        sys.stdout.flush()
        supervisor = os.getpid()
        if os.fork():
            return None
        for each in (self, *others):
            each._ours.close()
        # The handler is for somebody who has begun to work.
        handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
        taken = _wait_to_be_taken(self.file, name, supervisor)
        signal.signal(signal.SIGTERM, handler)
        # As every child: it reads nothing, and what it says goes where its log does.
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        _change_environment(taken.environment)
        return taken.arguments

    def close(self) -> None:
        """End the fork, if nobody took it."""
        self._ours.close()
        self.file.close()

    def take(self, environment: Mapping[str, str] | None = None, arguments: Sequence[str] = ()) -> Adopted | None:
        """The process, which begins its work; None if there is none, or if it has said nothing for a second.

        A child of this process works in this environment and with these arguments; a sibling has its own.
        """
        self.file.close()
        self._ours.settimeout(_FORK_TIMEOUT_S)
        with contextlib.suppress(OSError, ValueError):
            process = Adopted(int(self._ours.recv(_LONGEST_ID)))
            self._ours.sendall(json.dumps([dict(environment or {}), list(arguments)]).encode() + b"\n")
            return process
        # One that comes too late ends: its command starts another.
        self._ours.close()
        return None


def can_fork() -> bool:
    """Whether a Fork becomes a child of this process."""
    return _ADOPTS


def fork_sibling(end: socket.socket, *, name: str) -> bool:
    """Fork a process that the supervisor at the other end adopts; true in the fork, once it was taken.

    Of a process without connections. One that has a second thread is not forked: what that held would stay locked.
    """
    supervisor = os.getppid()
    if _has_threads():
        log.warning("%s is started alone: an import has started a thread", name)
        end.close()
        return False
    if first := os.fork():
        os.waitpid(first, 0)
        end.close()
        return False
    between = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == between:
        time.sleep(0.01)
    _wait_to_be_taken(end, name, supervisor)
    return True


def _has_threads() -> bool:
    return len(os.listdir("/proc/self/task")) > 1


@dataclass(frozen=True)
class _Taken:
    environment: Mapping[str, str] = field(repr=False)
    arguments: Sequence[str]


def _wait_to_be_taken(end: socket.socket, name: str, supervisor: int) -> _Taken:
    os.setsid()
    _die_with(supervisor)
    # What `ps` and `top` show; the arguments remain those of the process that it was forked from.
    Path("/proc/self/comm").write_text(name, encoding="ascii")
    line = ""
    # It is reset where the supervisor has closed its end before it read the id.
    with end, end.makefile(encoding="utf-8") as told, contextlib.suppress(OSError):
        end.sendall(str(os.getpid()).encode())
        line = told.readline()
    if not line.endswith("\n"):
        os._exit(0)
    return _Taken(*json.loads(line))


def _change_environment(environment: Mapping[str, str]) -> None:
    """To this one alone, with what was made of the former."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    for name, option in _MALLOC_OPTIONS.items():
        with contextlib.suppress(KeyError, OSError, AttributeError):
            ctypes.CDLL(None).mallopt(option, int(environment[name]))


@dataclass
class Child:
    """A program that always runs or, if `on_demand`, from a request until it exits with code 0. It inherits `files`."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    on_demand: bool = False
    files: Sequence[int] = ()
    process: subprocess.Popen[bytes] | Adopted | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    failures: int = 0

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_wanted(self) -> bool:
        """Whether it is to be started again; on demand only if it failed while in use."""
        return not self.on_demand or self.failures > 0


class ChildProcesses:
    """Children in the order of their start. Call `tick` when a child has ended, and after `next_tick_s` seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._children: list[Child] = []
        self._descendants: dict[int, psutil.Process] = {}
        self._looked_at = -_LOOK_EVERY_S

    def add(
        self,
        child: Child,
        *,
        first: Sequence[str] | None = None,
        files: Sequence[int] = (),
        running: Adopted | None = None,
    ) -> None:
        """`first` is the command of its first start, if that differs, which inherits also `files`; `running` is its
        process, if there is one already."""
        self._children.append(child)
        if running is not None:
            self._note_start(child, running)
        elif not child.on_demand:
            self._start(child, first, files)

    def ask_for(self, child: Child) -> None:
        """Start a child on demand, unless it runs, or failed and is about to be started again."""
        if child.process is None and not child.is_wanted:
            self._start(child)

    def tick(self) -> None:
        """Start again what has ended, each after a pause that doubles while it keeps ending."""
        if not _ADOPTS and self._clock() - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = self._clock()
            self._remember()
        for child in self._children:
            if child.process is not None and (code := child.process.poll()) is not None:
                self._note_end(child, code)
            if child.process is None and child.is_wanted and self._clock() >= child.restart_at:
                self._start(child)
        _reap(self._pids())

    @property
    def next_tick_s(self) -> float:
        """In how many seconds something may be due although nothing has ended."""
        waiting = [child.restart_at for child in self._children if child.process is None and child.is_wanted]
        return min(max(0.0, min(waiting, default=float("inf")) - self._clock()), _LOOK_EVERY_S)

    def stop(self, *, patience_s: float = 20.0, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """End all, the last started first; whatever is left after `patience_s` seconds is killed."""
        self._remember()
        for child in reversed(self._children):
            if child.is_running and child.process is not None:
                below = _descendants([child.process.pid])
                _signal([psutil.Process(child.process.pid)], signal.SIGTERM)
                # Run workers do not hear of it from their code server.
                _signal(below, signal.SIGTERM)
                self._await([child.process.pid, *(each.pid for each in below)], patience_s, is_hurried)
                log.info("%s stopped", child.name)
        self._remember()
        left = [process for process in self._descendants.values() if _is_alive(process)]
        if left:
            log.info("ending %d processes that are still there", len(left))
            _signal(left, signal.SIGKILL)
            psutil.wait_procs(left, timeout=10)
        for child in self._children:
            if child.process is not None:
                child.process.wait()
        _reap(())

    def _start(self, child: Child, command: Sequence[str] | None = None, files: Sequence[int] = ()) -> None:
        parent = os.getpid()
        process = subprocess.Popen(
            list(command or child.command),
            env=dict(child.environment),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            # Ctrl-C reaches a terminal's whole group; the order of the end is decided here.
            start_new_session=True,
            pass_fds=(*child.files, *files),
            preexec_fn=lambda: _die_with(parent),
        )
        self._note_start(child, process)

    def _note_start(self, child: Child, process: subprocess.Popen[bytes] | Adopted) -> None:
        child.process, child.started_at = process, self._clock()
        log.info("%s started", child.name, extra={"pid": process.pid})

    def _note_end(self, child: Child, code: int) -> None:
        if child.on_demand and code == 0:
            child.process, child.failures, child.restart_at = None, 0, 0.0
            log.info("%s ended: nobody asks it for anything", child.name)
            return
        lived = self._clock() - child.started_at
        child.failures = 1 if lived >= _WELL_AFTER_S else child.failures + 1
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (child.failures - 1))
        child.process, child.restart_at = None, self._clock() + pause
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        log.warning("%s %s after %.0f s; it is started again in %.0f s", child.name, how, lived, pause)

    def _await(self, pids: Iterable[int], patience_s: float, is_hurried: Callable[[], bool]) -> None:
        deadline = self._clock() + patience_s
        while self._clock() < deadline and not is_hurried():
            _reap(self._pids())
            for child in self._children:
                if child.process is not None:
                    child.process.poll()
            if not any(_is_alive(self._descendants.get(pid)) for pid in pids):
                return
            time.sleep(0.05)

    def _pids(self) -> set[int]:
        return {child.process.pid for child in self._children if child.process is not None}

    def _remember(self) -> None:
        """Where grandchildren are not adopted, one whose parent died is only known from before."""
        self._descendants = {pid: process for pid, process in self._descendants.items() if _is_alive(process)}
        for process in _descendants([os.getpid()]):
            self._descendants.setdefault(process.pid, process)


def _die_with(parent: int) -> None:
    """Runs in the child: end when the supervisor is killed, at once if that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


def _descendants(pids: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += psutil.Process(pid).children(recursive=True)
    return [process for process in found if _name(process) not in _NOT_OURS]


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _is_alive(process: psutil.Process | None) -> bool:
    if process is None:
        return False
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _reap(own: Collection[int]) -> None:
    """Collect adopted children that have ended; the own ones are collected by their Popen."""
    while _ADOPTS:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        # One of the own is seen first again and again: it is collected with the next tick.
        if ended is None or ended.si_pid in own:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, os.WNOHANG)
