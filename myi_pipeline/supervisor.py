"""`myi up`: the whole house in the foreground.

Belongs here: which programs run, in which order they start, what a person is told. Not here: looking after processes
(guarded_children). Invariant: the database is there before the first program and goes after the last; when this
returns, nothing that it started is running.
"""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from myi_pipeline.core.errors import Permanent
from myi_pipeline.guarded_children import Child, GuardedChildren, adopt_orphans
from myi_pipeline.services.encryption_keys import check_keys
from myi_pipeline.services.open_warehouse import open_warehouse
from myi_pipeline.services.prepare_dagster import prepare_dagster
from myi_pipeline.services.sql_access import address_of, wanted_port
from myi_pipeline.settings import LogFormat, Settings, environment_of_strangers

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_LOCATION = "myi"
_POLL_S = 0.25
# Importing Dagster takes 7 CPU seconds in each of three processes, and the first start parses the dbt project.
_PREPARE_TIMEOUT_S = 300.0
_WORKSPACE = """\
load_from:
  - grpc_server:
      host: localhost
      socket: {socket}
      location_name: {location}
"""

Announce = Callable[[str], None]


class _Stop:
    """Set by a signal; a second one asks for haste."""

    def __init__(self) -> None:
        self.signals = 0

    def __call__(self, _: int, __: FrameType | None) -> None:
        self.signals += 1

    @property
    def is_asked(self) -> bool:
        return self.signals > 0

    @property
    def is_hurried(self) -> bool:
        return self.signals > 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run_up(settings: Settings, *, announce: Announce = _say) -> int:
    """Run until Ctrl-C, SIGTERM or SIGHUP; returns an exit code. Raises MyiError when it cannot begin.

    Must be called in the main thread.
    """
    tcp = wanted_port(settings)
    refuse_used_port(settings.dagster_port)
    if settings.docs_page.exists():
        refuse_used_port(settings.docs_port, variable="MYI_DOCS_PORT")
    refuse_used_port(settings.api_port, host=settings.api_host, variable="MYI_API_PORT")
    with _signals() as stop, open_warehouse(settings, tcp=tcp) as warehouse, _runtime_folder() as folder:
        check_keys(settings, warehouse)
        if tcp is not None:
            announce(f"SQL: {address_of(tcp)} (`myi psql --url` shows the password)")
        # After the database: a server that it started is nobody's child.
        adopt_orphans()
        environment = {**os.environ, **settings.environment(), **prepare_dagster(settings, warehouse)}
        children = GuardedChildren()
        try:
            return _run(settings, environment, folder, children, stop, announce)
        finally:
            announce("stopping ...")
            children.stop(is_hurried=lambda: stop.is_hurried)
            announce("stopped")


def _run(
    settings: Settings,
    environment: dict[str, str],
    folder: Path,
    children: GuardedChildren,
    stop: _Stop,
    announce: Announce,
) -> int:
    announce("starting Dagster ...")
    documents = None
    code_socket = folder / "code.sock"
    workspace = folder / "workspace.yaml"
    workspace.write_text(_WORKSPACE.format(socket=code_socket, location=_LOCATION), encoding="utf-8")
    children.add(Child("code server", _code_server(settings, code_socket), environment))
    if not _prepare_instance(environment, stop):
        return 0 if stop.is_asked else 1
    while not code_socket.exists() and not stop.is_asked:
        children.tick()
        time.sleep(_POLL_S)
    if not stop.is_asked:
        children.add(Child("dagster-webserver", _webserver(settings, workspace), environment))
        children.add(Child("dagster-daemon", _daemon(settings, workspace), environment))
        children.add(Child("myi api", [_program("myi"), "api"], environment))
    is_announced = False
    while not stop.is_asked:
        children.tick()
        if documents is None and settings.docs_page.exists():
            documents = Child("docs", serving_docs(settings), environment_of_strangers())
            children.add(documents)
            announce(f"docs: {settings.docs_url}")
        if not is_announced and _answers(settings.dagster_port):
            is_announced = True
            announce(f"MYI: {settings.site_origin}")
            announce(f"Dagster: http://{LOOPBACK}:{settings.dagster_port}")
            announce(f"uploads: {settings.uploads_folder} (one folder per user)")
            announce("stop with Ctrl-C")
        time.sleep(_POLL_S)
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


def _program(name: str) -> str:
    """A console script beside this interpreter."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise Permanent(f"{name} is not installed beside this Python: install MYI with its dependencies")
    return found


def _logging(settings: Settings) -> list[str]:
    is_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    return ["--log-level", settings.log_level.value, "--log-format", "json" if is_json else "colored"]


def _code_server(settings: Settings, code_socket: Path) -> list[str]:
    return [
        _program("dagster"), "api", "grpc", "--socket", str(code_socket), "--location-name", _LOCATION,
        "--module-name", "myi_pipeline.definitions", "--use-python-environment-entry-point", *_logging(settings),
    ]  # fmt: skip


def _webserver(settings: Settings, workspace: Path) -> list[str]:
    return [
        _program("dagster-webserver"), "--workspace", str(workspace), "--host", LOOPBACK,
        "--port", str(settings.dagster_port), "--uvicorn-log-level", "warning", "--dagster-log-level",
        *_logging(settings)[1:],
    ]  # fmt: skip


def _daemon(settings: Settings, workspace: Path) -> list[str]:
    return [_program("dagster-daemon"), "run", "--workspace", str(workspace), *_logging(settings)]


def serving_docs(settings: Settings) -> list[str]:
    """The command that serves what `myi docs build` made; it needs no library, and so little memory."""
    page, port = str(settings.docs_page), str(settings.docs_port)
    return [sys.executable, "-m", "myi_pipeline.services.serve_docs", page, port]


def _prepare_instance(environment: dict[str, str], stop: _Stop) -> bool:
    """In a child, because it needs Dagster in memory. False when it failed or a signal came."""
    command = [sys.executable, "-m", "myi_pipeline.defs.prepare_instance"]
    deadline = time.monotonic() + _PREPARE_TIMEOUT_S
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno()) as child:
        while child.poll() is None:
            if stop.is_asked or time.monotonic() > deadline:
                child.kill()
            time.sleep(0.05)
    if child.returncode != 0 and not stop.is_asked:
        log.error("Dagster's instance could not be prepared (exit code %d)", child.returncode)
    return child.returncode == 0


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _signals() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _runtime_folder() -> Iterator[Path]:
    """Short, because a socket's path has at most 107 bytes, and ours alone (0700)."""
    folder = Path(tempfile.mkdtemp(prefix="myi-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
