"""Parts of MYI that run alone, each in a home of its own that begins empty, and the brokers between them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from myi_pipeline.people.manage_users import add_user
from myi_pipeline.postgres.connections import Role, Warehouse, compose_url, parse_url
from myi_pipeline.settings import Settings
from tests.conftest import free_port
from tests.hostile import decoys

# A part imports Dagster, 7 CPU seconds each; some start beside each other, on a machine that others use.
PATIENCE_S = 240.0
RUNS = """
select
    r.run_id,
    r.status,
    r.pipeline_name,
    (select t.value from run_tags as t where t.run_id = r.run_id and t.key = 'dagster/parent_run_id' limit 1) as parent,
    (select t.value from run_tags as t where t.run_id = r.run_id and t.key = 'dagster-celery/queue' limit 1) as queue
from runs as r
where r.pipeline_name = %s
order by r.id
"""


@dataclass(frozen=True)
class Run:
    run_id: str
    status: str
    job: str
    parent: str | None
    queue: str | None


@contextmanager
def redis_broker(folder: Path, *, port: int | None = None) -> Iterator[tuple[str, psutil.Process]]:
    """A Redis of this test's own; its URL and its process."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("MYI_TEST_NEEDS_REDIS"):
            pytest.fail("redis-server is not installed")
        pytest.skip("needs Debian's package redis-server")
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--requirepass", "geheim"]
    with (
        (folder / "redis.log").open("ab") as log,
        subprocess.Popen([*command, "--save", "", "--appendonly", "no"], stdout=log, stderr=log) as child,
    ):
        try:
            wait_until(lambda: _listens(port), what="redis-server does not listen")
            yield f"redis://:geheim@127.0.0.1:{port}/0", psutil.Process(child.pid)
        finally:
            child.kill()


@contextmanager
def rabbitmq_broker(folder: Path) -> Iterator[str]:
    """A RabbitMQ node of this test's own, with its own ports, data and Erlang cookie."""
    program = shutil.which("rabbitmq-server")
    if program is None:
        pytest.skip("needs Debian's package rabbitmq-server")
    folder.mkdir(parents=True, exist_ok=True)
    # Debian's scripts become the account rabbitmq, whose home is not ours; the program behind them does not.
    behind = next(iter(sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))), None)
    port, distribution = free_port(), free_port()
    config = folder / "rabbitmq.conf"
    config.write_text("loopback_users = none\n", encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"myi{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(config.with_suffix("")),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "LANG": "C.UTF-8",
    }
    with (
        (folder / "rabbitmq.log").open("ab") as log,
        subprocess.Popen(
            [str(behind or program)], env=environment, stdout=log, stderr=log, start_new_session=True
        ) as child,
    ):
        process = psutil.Process(child.pid)
        try:
            wait_until(lambda: _listens(port), what="RabbitMQ does not listen", log=folder / "rabbitmq.log")
            yield f"amqp://guest:guest@127.0.0.1:{port}//"
        finally:
            kill_with_children(process)
            # Erlang's own name server is nobody's child.
            for each in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    if each.environ().get("ERL_EPMD_PORT") == environment["ERL_EPMD_PORT"]:
                        each.kill()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def kill_with_children(process: psutil.Process) -> None:
    """As when the host loses its power: at once."""
    doomed = [process]
    with contextlib.suppress(psutil.Error):
        doomed += process.children(recursive=True)
    for each in doomed:
        with contextlib.suppress(psutil.Error):
            each.kill()
    psutil.wait_procs(doomed, timeout=20)


def wait_until(
    condition: Callable[[], Any],
    *,
    what: str | Callable[[], str],
    at_most_s: float = PATIENCE_S,
    log: Path | None = None,
) -> float:
    """How long it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > at_most_s:
            told = what if isinstance(what, str) else what()
            end = log.read_text(encoding="utf-8", errors="replace")[-6000:] if log is not None else ""
            pytest.fail(f"{told} within {at_most_s:.0f} s\n{end}")
        time.sleep(0.1)
    return time.monotonic() - began


@dataclass
class Part:
    name: str
    home: Path
    log: Path
    process: psutil.Process
    child: subprocess.Popen[bytes] = field(repr=False)
    _pids: set[int] = field(default_factory=set, repr=False)

    def kill(self) -> None:
        """With everything below it: its host is gone."""
        kill_with_children(self.process)
        self.child.wait()

    @property
    def pids(self) -> set[int]:
        """Its own and those below it; also of one that has ended, as of its end."""
        with contextlib.suppress(psutil.Error):
            self._pids = {self.process.pid, *(each.pid for each in self.process.children(recursive=True))}
        return self._pids

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


class Fleet:
    """One installation over several homes. Uploads are a folder that all of them see."""

    def __init__(
        self, settings: Settings, warehouse: Warehouse, folder: Path, *, broker: str | None, **more: object
    ) -> None:
        self.warehouse, self.folder = warehouse, folder
        self.parts: dict[str, Part] = {}
        self.uploads = folder / "uploads"
        self.uploads.mkdir(parents=True)
        keys = "4b1d9f2a6c8e3057" * 4
        self.settings = settings.model_copy(
            update={
                **Settings(
                    home=folder / "none",
                    database_url=settings.database_url,
                    code_port=free_port(),
                    dagster_port=free_port(),
                    api_port=free_port(),
                    celery_broker_url=broker,  # type: ignore[arg-type]
                    account_names_key=keys,  # type: ignore[arg-type]
                    uploads=str(self.uploads),
                    **more,  # type: ignore[arg-type]
                ).model_dump(
                    include={
                        "code_port",
                        "dagster_port",
                        "api_port",
                        "celery_broker_url",
                        "account_names_key",
                        "uploads",
                        *more,
                    }
                )
            }
        )
        self._url = compose_url(parse_url(warehouse.dagster_url()))

    def start(self, name: str, *arguments: str, variables: Mapping[str, str] | None = None) -> Part:
        """`myi ARGUMENTS` in an empty home of its own."""
        home = self.folder / name
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MYI_")}
        mine = self.settings.model_copy(update={"home": home}).environment()
        log = self.folder / f"{name}.log"
        with log.open("ab") as opened:
            child = subprocess.Popen(
                [str(Path(sys.executable).with_name("myi")), *arguments],
                env=inherited | mine | dict(variables or {}),
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=opened,
                start_new_session=True,
            )
        part = Part(name, home, log, psutil.Process(child.pid), child)
        self.parts[name] = part
        return part

    def stop(self) -> None:
        for part in self.parts.values():
            with contextlib.suppress(ProcessLookupError):
                part.child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        for part in self.parts.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.child.wait(max(0.1, deadline - time.monotonic()))
            part.kill()

    def control(self) -> None:
        """Code server and daemon: what launches runs."""
        self.start("code", "code")
        self.wait_until(lambda: _listens(self.settings.code_port), what="the code server does not listen")
        self.start("daemon", "daemon")

    def up(self) -> None:
        """All of it on one machine, as a household has it."""
        self.start("up", "up")

    def worker(self, name: str, *queues: str, concurrency: int = 1) -> Part:
        given = [word for queue in queues or ("polls", "loads", "dbt", "house") for word in ("--queue", queue)]
        return self.start(name, "worker", *given, "--concurrency", str(concurrency))

    def wait_until(self, condition: Callable[[], Any], *, what: str, at_most_s: float = PATIENCE_S) -> float:
        return wait_until(condition, what=lambda: f"{what}; {self._ends()}", at_most_s=at_most_s)

    def _ends(self) -> str:
        runs = [run for job in ("import_uploads", "refresh_marts") for run in self.runs(job)]
        return "\n".join([str(runs), *(f"--- {part.name}\n{part.text[-2500:]}" for part in self.parts.values())])

    def runs(self, job: str) -> list[Run]:
        """Oldest first."""
        with (
            contextlib.suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable),
            psycopg.connect(self._url, autocommit=True) as connection,
        ):
            return [Run(*row) for row in connection.execute(RUNS.encode(), (job,)).fetchall()]
        return []

    def process_of(self, run_id: str) -> int:
        """The number of the process that holds the run."""
        ((process,),) = self.sql("select process from ops.run_heartbeats where run_id = %s", run_id)
        return int(process.partition(":")[0])

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with closing(self.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
            return connection.execute(query.encode(), arguments or None).fetchall()

    def plays(self) -> int:
        return int(self.sql("select count(*) from raw.listening_events")[0][0])

    def add_user(self, key: str) -> None:
        with closing(self.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            add_user(connection, user_key=key, time_zone="UTC")

    def upload(self, key: str, *, rows: int, year: int = 2020, name: str = "one.zip") -> Path:
        """An archive, old enough to be taken at first sight; a play every four minutes. Of different years:
        what another user has waits for confirmation."""
        path = self.uploads / key / name
        path.parent.mkdir(parents=True, exist_ok=True)
        first = datetime(year, 1, 1, tzinfo=UTC)
        plays = decoys.good_rows(rows)
        for number, play in enumerate(plays):
            play["ts"] = f"{first + timedelta(minutes=4 * number):%Y-%m-%dT%H:%M:%SZ}"
        decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", json.dumps(plays).encode()))
        os.utime(path, (time.time() - 300, time.time() - 300))
        return path
