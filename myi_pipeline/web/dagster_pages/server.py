"""Serving Dagster's pages. Run as `python -m myi_pipeline.web.dagster_pages.server WORKSPACE_FILE LISTENING`.

LISTENING is the number of an inherited socket that listens already: `myi up` starts this process when somebody
connects, and it ends by itself when nobody has been connected for a while; with `alone` behind the socket, as `myi
webserver` has it, it does not end. A page that is open keeps a WebSocket.

The one place where Dagster's webserver is taken from its package. `dagster-webserver`'s own command, which lets
everybody in, is never run; a test starts this with the installed version.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
import uvloop
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from myi_pipeline.error_reports import start_error_reports
from myi_pipeline.errors import MyiError, Transient
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.parts import ALONE
from myi_pipeline.people import dagster_access
from myi_pipeline.people.dagster_access import DagsterAccess
from myi_pipeline.people.manage_access import LinkUsed, hashed
from myi_pipeline.postgres.connections import Connection, Pool, Warehouse
from myi_pipeline.settings import Settings, load_settings
from myi_pipeline.web.connection_limits import ConnectionLimits, Connections, keep_connections, server_config
from myi_pipeline.web.dagster_pages.guard import AccessBackend, Credential, Guard
from myi_pipeline.web.security.visitors import is_secret, is_token

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"
_GRACE_S = 3
# What `dagster-webserver` sets: statements of at most 15 s, connections of at most an hour, 20 beside the pool's.
_STATEMENT_MS, _RECYCLE_S, _OVERFLOW = 15_000, 3_600, 20
_POLL_MS = 2_000
# The pages ask a dozen things at once.
_REMEMBERED_S = 1.0
_MOST_REMEMBERED = 1_000
_NOTE_EVERY_S = 3.0
_ENDS_AFTER_S, _LOOK_EVERY_S = 600.0, 15.0


@contextmanager
def dagster_app(workspace: Path) -> Iterator[Starlette]:
    """Dagster's application for the instance of DAGSTER_HOME. Unguarded."""
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_MS, _RECYCLE_S, _OVERFLOW)
        target = WorkspaceFileTarget([str(workspace)])
        with WorkspaceProcessContext(instance, target, version=__version__) as context:
            yield create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MS)


class KnownOperators:
    """The guard's ways to the database, with a short memory."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        # By what was wrong.
        self._noted_at: dict[str, float] = {}
        self._known: dict[bytes, tuple[float, DagsterAccess]] = {}

    @property
    def backend(self) -> AccessBackend:
        return AccessBackend(self.find, self.use_link, self.end_session, self.note_wrong_token)

    async def find(self, credential: Credential) -> DagsterAccess | None:
        for secret in credential.secrets:
            if not (is_token(secret) if credential.is_program else is_secret(secret)):
                continue
            key = hashed(secret)
            at, access = self._known.get(key, (0.0, None))
            if access is not None and time.monotonic() - at < _REMEMBERED_S:
                return access
            began = time.monotonic()
            access = await run_in_threadpool(self._find, key, credential)
            if access is not None:
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()
                self._known[key] = (began, access)
                return access
        return None

    async def use_link(self, secret: str, device: str, address: str) -> str:
        if not is_secret(secret):
            raise LinkUsed("this link is incomplete: copy all of it")
        return await run_in_threadpool(self._use_link, secret, device, address)

    async def end_session(self, reference: str) -> None:
        self._known.clear()
        await run_in_threadpool(self._end_session, reference)

    async def note_wrong_token(self, token: str, address: str) -> None:
        if self._is_worth_a_note("token"):
            await run_in_threadpool(self._note_wrong_token, hashed(token), address)

    def _note_wrong_token(self, key: bytes, address: str) -> None:
        with self._connection() as connection:
            dagster_access.note_wrong_token(connection, key=key, address=address)

    def _is_worth_a_note(self, what: str) -> bool:
        """Now and then: a thousand guesses a minute must not fill the log."""
        now = time.monotonic()
        if now - self._noted_at.get(what, float("-inf")) <= _NOTE_EVERY_S:
            return False
        self._noted_at[what] = now
        return True

    def _find(self, key: bytes, credential: Credential) -> DagsterAccess | None:
        with self._connection() as connection:
            if credential.is_program:
                return dagster_access.find_program(connection, key=key, address=credential.address)
            return dagster_access.find_browser(connection, self._settings, key=key)

    def _use_link(self, secret: str, device: str, address: str) -> str:
        with self._connection() as connection:
            try:
                return dagster_access.use_dagster_link(connection, secret=secret, device=device, address=address)
            except LinkUsed:
                if self._is_worth_a_note("link"):
                    dagster_access.note_refused_link(connection, address=address)
                raise

    def _end_session(self, reference: str) -> None:
        with self._connection() as connection:
            dagster_access.end_dagster_session(connection, reference=reference)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except MyiError:
            raise
        except Exception as error:
            raise Transient(f"the database: {type(error).__name__}") from error


@contextmanager
def guarded_app(settings: Settings, warehouse: Warehouse, app: ASGIApp) -> Iterator[Guard]:
    """The application as it may be served."""
    with dagster_access.open_pool(warehouse) as pool:
        yield Guard(app, settings, KnownOperators(settings, pool).backend)


def serve(settings: Settings, workspace: Path, listening: socket.socket, *, ends_after_s: float) -> None:
    """Until SIGINT or SIGTERM, or until nobody has been connected for `ends_after_s`."""
    proxies = ConnectionLimits(per_address=settings.api_client_connections, uncapped=settings.trusted_networks)
    with (
        open_warehouse(settings, migrate=False) as warehouse,
        dagster_app(workspace) as app,
        guarded_app(settings, warehouse, app) as guarded,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        kept = keep_connections(proxies)
        config = server_config(
            guarded, kept, host=settings.dagster_host, port=settings.dagster_port, grace_s=_GRACE_S, has_websockets=True
        )
        runner.run(serve_until_left_alone(uvicorn.Server(config), kept, listening, ends_after_s))


async def serve_until_left_alone(
    server: uvicorn.Server, kept: Connections, listening: socket.socket, ends_after_s: float
) -> None:
    """Serve on a socket that listens already, and close it, once nobody has been connected for so long."""
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    left_alone_at = time.monotonic()
    while not serving.done():
        await asyncio.wait({serving}, timeout=min(_LOOK_EVERY_S, ends_after_s / 4))
        if len(kept):
            left_alone_at = time.monotonic()
        elif time.monotonic() - left_alone_at >= ends_after_s:
            server.should_exit = True
            break
    await serving


def _end(_: int, __: FrameType | None) -> None:
    # uvicorn raises again what ended it: then leases and connections are let go.
    raise SystemExit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, _end)
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_error_reports(settings, part="dagster-pages")
    start_correlation(settings.correlation_id)
    try:
        ends_after_s = math.inf if sys.argv[3:] == [ALONE] else _ENDS_AFTER_S
        serve(settings, Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), ends_after_s=ends_after_s)
    except MyiError as error:
        # `myi up` starts it again, after a while.
        log.error("dagster_pages_not_served", reason=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
