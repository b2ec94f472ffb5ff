"""`myi up`: Postgres, Dagster and the API in the foreground.

The database is there before the first program and goes after the last. When `run_up` returns, nothing that it started
is running (see child_processes).
"""

from __future__ import annotations

import fcntl
import http.client
import logging
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType

from myi_pipeline.errors import Permanent
from myi_pipeline.marts.warm_dbt import warm_dbt
from myi_pipeline.operations import parts
from myi_pipeline.operations.child_processes import Child, ChildProcesses, Fork, adopt_orphans, can_fork
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.sole_supervisor import SoleSupervisor, sole_supervisor
from myi_pipeline.operations.sql_access import address_of, wanted_port
from myi_pipeline.people.dagster_access import LINK_LIFE, dagster_origin, make_dagster_link
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.embedded.accounts import Account
from myi_pipeline.postgres.embedded.socket_folders import choose_socket_folder
from myi_pipeline.postgres.role_passwords import private_folder
from myi_pipeline.providers.encryption_keys import check_keys
from myi_pipeline.settings import Settings, environment_of_strangers

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_CODE_SOCKET = "code.sock"
# Also a child's socket in its temporary folder has to have a short path.
_LONGEST_FILE = "tmp/tmp01234567.sock"
# While it starts, and otherwise: whatever ends, and every signal, wakes it before.
_POLL_S, _DOCS_EVERY_S = 0.25, 30.0
# Importing Dagster takes 7 CPU seconds in each of three processes, and the first start parses the dbt project.
_PREPARE_TIMEOUT_S = 300.0

Announce = Callable[[str], None]


class _Stop:
    """Set by a signal; a second one asks for haste."""

    def __init__(self, woken: socket.socket) -> None:
        self.signals = 0
        self._woken = woken

    def __call__(self, _: int, __: FrameType | None) -> None:
        self.signals += 1

    @property
    def is_asked(self) -> bool:
        return self.signals > 0

    @property
    def is_hurried(self) -> bool:
        return self.signals > 1

    def wait(self, timeout_s: float, *listeners: socket.socket) -> bool:
        """Sleep until a signal comes, a child ends, somebody connects to a listener (then true), or the time is up."""
        ready, _, _ = select.select([self._woken, *listeners], [], [], timeout_s)
        if self._woken in ready:
            with suppress(BlockingIOError):
                self._woken.recv(4_096)
        return any(each in ready for each in listeners)


class Forks:
    """Parts that begin as forks. Without those that a command has forked (cli/serve) they are programs from the start,
    but for the daemon, which the code server forks."""

    def __init__(self) -> None:
        self.api, self.daemon, self.code_server = Fork(), Fork(), Fork()

    def close(self) -> None:
        for each in (self.api, self.daemon, self.code_server):
            each.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run_up(settings: Settings, *, announce: Announce = _say, forks: Forks | None = None) -> int:
    """Run until Ctrl-C, SIGTERM or SIGHUP; returns an exit code. Raises MyiError when it cannot begin.

    Must be called in the main thread.
    """
    tcp = wanted_port(settings)
    refuse_used_port(settings.dagster_port, host=settings.dagster_host)
    if settings.docs_page.exists():
        refuse_used_port(settings.docs_port, variable="MYI_DOCS_PORT")
    refuse_used_port(settings.api_port, host=settings.api_host, variable="MYI_API_PORT")
    # Whatever the children make in MYI_HOME is this user's alone.
    os.umask(0o077)
    with (
        _signals() as stop,
        open_warehouse(settings, tcp=tcp) as warehouse,
        sole_supervisor(settings, warehouse) as sole,
        run_folder(settings.home, longest_file=_LONGEST_FILE) as folder,
        socket.create_server((settings.dagster_host, settings.dagster_port), backlog=parts.BACKLOG) as listening,
    ):
        check_keys(settings, warehouse)
        if tcp is not None:
            announce(f"SQL: {address_of(tcp)} (`myi psql --url` shows the password)")
        # After the database: a server that it started has no parent here.
        adopt_orphans()
        environment = parts.part_environment(settings, warehouse)
        temporary = private_folder(folder / "tmp")
        environment["TMPDIR"] = str(temporary)
        children = ChildProcesses()
        try:
            with warm_dbt(settings.dbt_socket, temporary=temporary), closing(forks or Forks()) as forks:
                return _run(settings, warehouse, sole, environment, folder, children, stop, announce, listening, forks)
        finally:
            announce("stopping ...")
            children.stop(is_hurried=lambda: stop.is_hurried)
            announce("stopped")


def _run(
    settings: Settings,
    warehouse: Warehouse,
    sole: SoleSupervisor,
    environment: dict[str, str],
    folder: Path,
    children: ChildProcesses,
    stop: _Stop,
    announce: Announce,
    listening: socket.socket,
    forks: Forks,
) -> int:
    announce("starting Dagster ...")
    documents = None
    code_socket = folder / _CODE_SOCKET
    workspace = parts.write_workspace(folder / "workspace.yaml", code_socket=code_socket)
    code_server = Child("code server", parts.code_server(settings, code_socket=code_socket), environment)
    daemon = Child("dagster-daemon", parts.daemon(settings, workspace), environment)
    if can_fork():
        words = parts.code_server_and_daemon(settings, workspace, forks.daemon, code_socket=code_socket)
        children.add(
            code_server,
            running=forks.code_server.take(environment, words),
            first=[sys.executable, "-m", parts.CODE_SERVER, *words],
            files=[forks.daemon.file.fileno()],
        )
    else:
        children.add(code_server)
    # Nobody looks at them most of the day, and they take 150 MB: started by the first who connects.
    pages = Child(
        "dagster-webserver", parts.pages(workspace, listening), environment, on_demand=True, files=[listening.fileno()]
    )
    if not _prepare_instance(environment, stop):
        return 0 if stop.is_asked else 1
    while not code_socket.exists() and not stop.is_asked:
        children.tick()
        stop.wait(_POLL_S)
    if not stop.is_asked:
        children.add(pages)
        children.add(daemon, running=forks.daemon.take())
        command = [parts.program("myi"), "api"]
        children.add(Child("myi api", command, environment), running=forks.api.take(environment))
    is_announced = False
    docs_at = 0.0
    while not stop.is_asked:
        sole.keep()
        children.tick()
        if documents is None and time.monotonic() >= docs_at:
            docs_at = time.monotonic() + _DOCS_EVERY_S
            if settings.docs_page.exists():
                documents = Child("docs", serving_docs(settings), environment_of_strangers())
                children.add(documents)
                announce(f"docs: {settings.docs_url}")
        if not is_announced and _answers(settings):
            is_announced = True
            announce(f"MYI: {settings.site_url}")
            announce(f"Dagster: {dagster_origin(settings)}")
            announce(f"  sign in at {_link(settings, warehouse)}")
            announce(f"  (works once, for {_hours(LINK_LIFE)} hours; `myi dagster-link` makes another)")
            announce(f"uploads: {settings.uploads_place} (one folder per user)")
            announce("stop with Ctrl-C")
        # While the pages run they accept by themselves.
        listeners = () if pages.is_running or pages.is_wanted else (listening,)
        if stop.wait(children.next_tick_s if is_announced else _POLL_S, *listeners):
            children.ask_for(pages)
    return 0


def refuse_used_port(port: int, *, host: str = LOOPBACK, variable: str = "MYI_DAGSTER_PORT") -> None:
    """Raises Permanent when something listens there already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: the remains of an earlier connection are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise Permanent(
                f"port {port} is in use on {host}: set {variable} to a free one, or stop what listens there"
                " (another `myi up`?)"
            ) from None


def _link(settings: Settings, warehouse: Warehouse) -> str:
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        return make_dagster_link(connection, settings)


def _hours(life: timedelta) -> int:
    return int(life.total_seconds() // 3600)


def serving_docs(settings: Settings) -> list[str]:
    """The command that serves what `myi docs build` made; it needs no library, and so little memory."""
    page, port = str(settings.docs_page), str(settings.docs_port)
    return [sys.executable, "-m", "myi_pipeline.marts.docs", page, port]


def _prepare_instance(environment: dict[str, str], stop: _Stop) -> bool:
    """In a child, because it needs Dagster in memory. False when it failed or a signal came."""
    command = [sys.executable, "-m", "myi_pipeline.defs.commands", "prepare-instance"]
    deadline = time.monotonic() + _PREPARE_TIMEOUT_S
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno()) as child:
        while child.poll() is None:
            if stop.is_asked or time.monotonic() > deadline:
                child.kill()
            time.sleep(0.05)
    if child.returncode != 0 and not stop.is_asked:
        log.error("Dagster's instance could not be prepared (exit code %d)", child.returncode)
    return child.returncode == 0


def _answers(settings: Settings) -> bool:
    host = settings.api_host if settings.api_host not in ("0.0.0.0", "::") else LOOPBACK
    connection = http.client.HTTPConnection(host, settings.api_port, timeout=2)
    try:
        # Whatever it says of this host's name: it serves.
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _signals() -> Iterator[_Stop]:
    woken, waking = socket.socketpair()
    with woken, waking:
        woken.setblocking(False)
        waking.setblocking(False)
        stop = _Stop(woken)
        handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), stop)
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        # It needs a handler of Python's to reach the socket.
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        written = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        try:
            yield stop
        finally:
            signal.set_wakeup_fd(written)
            for number, handler in before.items():
                signal.signal(number, handler)


_PREFIX = "up-"


@contextmanager
def run_folder(home: Path, *, longest_file: str) -> Iterator[Path]:
    """A private folder in which a socket may be called `longest_file`. Raises Permanent when every path is too long."""
    name = f"{_PREFIX}{secrets.token_hex(4)}"
    me = Account("", os.geteuid(), os.getegid())
    folder = choose_socket_folder(private_folder(home / "run") / name, name=name, longest_file=longest_file, account=me)
    handle = _hold(folder)
    try:
        _clear_what_was_left(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _hold(folder: Path) -> int:
    """A lock that the kernel drops with this process; under its own name only once it is held."""
    made = folder / ".lock"
    handle = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    made.rename(folder / "lock")
    return handle


def _clear_what_was_left(folder: Path) -> None:
    prefix = folder.name.partition(_PREFIX)[0] + _PREFIX
    for other in folder.parent.glob(f"{prefix}*"):
        if other == folder or other.is_symlink() or other.stat().st_uid != os.geteuid():
            continue
        try:
            handle = os.open(other / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(other, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(handle)
