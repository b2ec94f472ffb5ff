"""An installation on several hosts: one for control, as many workers as are wanted, and the servers that they stand on.

The workers get nothing but variables, and homes of their own that hold nothing. Whoever drives it sees the database
through a door, and what every program said in its host's folder.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from benchmarks.setups import Setup
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people.manage_access import begin_session
from myi_pipeline.postgres.connections import Role, compose_url, parse_url
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import MovableClock, SimulatorSpec
from tests.scale.hosts import LOOPBACK, Host, HostFailed, Machines, wait_until
from tests.scale.servers import ObjectStore, Postgres, RabbitMq, Redis, Spotify, listens

# Maintenance and backups need what the control host keeps: there is a worker for `house` on it.
QUEUES = ("polls", "loads", "dbt")
_MYI = Path(sys.executable).with_name("myi")
_LAUNCHER = Path(__file__).with_name("launch_runs.py")
# A cold start imports Dagster in each of several processes, on cores that others use too.
STARTS_WITHIN_S = 240.0
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True)
class Run:
    """One of Dagster's, with the host that does it or did."""

    run_id: str
    job: str
    status: str
    host: str | None
    parent_id: str | None
    created_at: datetime
    ended_at: datetime | None
    is_retried: bool

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDED


class Installation:
    """What `installed` yields. `setup` is for whoever drives it; `users` have a folder each in `uploads`."""

    def __init__(
        self,
        machines: Machines,
        *,
        postgres: Postgres,
        broker: Redis | RabbitMq,
        results: Redis,
        spotify: Spotify | None,
        store: ObjectStore | None,
        cores_of_worker: float | None,
        pool_limits: str,
    ) -> None:
        self.machines, self.postgres, self.broker, self.results = machines, postgres, broker, results
        self.spotify, self.store, self._cores = spotify, store, cores_of_worker
        self.control = machines.host("control")
        self.workers: dict[str, Host] = {}
        # Without an object store folders that every host mounts.
        self._uploads, self._artifacts = machines.folder / "uploads", machines.folder / "exports"
        self._uploads.mkdir()
        self._artifacts.mkdir()
        self._code_port, self._api_port = self.control.port(4266), self.control.port(8898)
        self._common = {
            "MYI_CELERY_BROKER_URL": broker.url,
            "MYI_CELERY_RESULT_BACKEND": results.url,
            # Also for whoever drives this, and signs people in.
            "MYI_ENCRYPTION_KEYS": secrets.token_hex(32),
            **self._places(),
            "MYI_TIME_ZONE": "UTC",
            "MYI_LOG_FORMAT": "json",
            "MYI_POOL_LIMITS": pool_limits,
            "MYI_MAX_RUNS": "8",
            "MYI_CODE_PORT": str(self._code_port),
            **(spotify.environment() if spotify is not None else {}),
        }
        self.control.run([_MYI, "migrate", "--make-roles"], environment=self.of_control, timeout_s=STARTS_WITHIN_S)

    def _places(self) -> dict[str, str]:
        if self.store is None:
            return {"MYI_UPLOADS": str(self._uploads), "MYI_ARTIFACTS": str(self._artifacts)}
        return {
            "MYI_UPLOADS": f"s3://{self.store.BUCKET}/uploads",
            "MYI_UPLOADS_OPTIONS": self.store.options,
            "MYI_ARTIFACTS": f"s3://{self.store.BUCKET}/exports",
            "MYI_ARTIFACTS_OPTIONS": self.store.options,
            "MYI_COMPUTE_LOGS": f"s3://{self.store.BUCKET}/logs",
            "MYI_COMPUTE_LOGS_OPTIONS": self.store.options,
        }

    @property
    def of_control(self) -> dict[str, str]:
        return self._common | {
            "MYI_HOME": str(self.control.folder / "home"),
            "MYI_DATABASE_URL": self.postgres.url,
            "MYI_API_PORT": str(self._api_port),
            # All uploads come from one address, within moments.
            "MYI_API_SENSITIVE_REQUESTS_PER_MINUTE": "1000",
        }

    def open(self, stack: ExitStack) -> None:
        """Make `setup`, by the roles that the control host made."""
        home = self.machines.folder / "driver"
        home.mkdir()
        shutil.copytree(self.control.folder / "home" / "secrets", home / "secrets")
        values = {name.removeprefix("MYI_").lower(): value for name, value in self._common.items()}
        settings = Settings.model_validate(values | {"home": home, "database_url": self.postgres.door_url})
        warehouse = stack.enter_context(open_warehouse(settings, migrate=False))
        self.setup = Setup(settings, warehouse, self.machines.folder)

    def start_control(self) -> None:
        """Its parts, each a program of its own."""
        self._reach_spotify(self.control)
        for part in ("code", "daemon", "api", "worker"):
            queue = ("--queue", "house") if part == "worker" else ()
            log = self.control.folder / f"{part}.log"
            self.control.start([_MYI, part, *queue], environment=self.of_control, log=log)
        wait_until(
            "the code server answers",
            lambda: listens(self.control, self._code_port, address=LOOPBACK),
            within_s=STARTS_WITHIN_S,
            every_s=1,
            told=self.told,
        )
        wait_until("the daemon runs", self._daemon_lives, within_s=STARTS_WITHIN_S, every_s=1, told=self.told)

    def add_worker(self, name: str, *, queues: Sequence[str] = QUEUES, concurrency: int = 2) -> Host:
        host = self.machines.host(name, cores=self._cores)
        self.workers[name] = host
        self.start_worker(name, queues=queues, concurrency=concurrency)
        return host

    def start_worker(self, name: str, *, queues: Sequence[str] = QUEUES, concurrency: int = 2) -> None:
        """A worker on its host, which has just been switched on."""
        host = self.workers[name]
        since = self._now()
        self._reach_spotify(host)
        named = [word for queue in queues for word in ("--queue", queue)]
        host.start(
            [_MYI, "worker", *named, "--concurrency", str(concurrency)],
            environment=self.of_worker(host),
            log=host.folder / "worker.log",
        )  # fmt: skip
        wait_until(f"{name} serves", lambda: self._serves(queues, since), within_s=STARTS_WITHIN_S, told=self.told)

    def _reach_spotify(self, host: Host) -> None:
        if self.spotify is not None:
            self.spotify.reach_from(host)

    def of_worker(self, host: Host) -> dict[str, str]:
        """Everything that a worker is given: what the control host prints for it, and a home."""
        printed = self.myi("worker-env").splitlines()
        given = dict(line.split("=", 1) for line in printed if line and not line.startswith("#"))
        # A folder is each host's own affair; here all of them have it at the same place.
        places = {} if self.store is not None else self._places()
        return given | places | {"MYI_HOME": str(host.folder / "home")}

    def myi(self, *arguments: str | Path, timeout_s: float = 600, codes: Sequence[int] = (0,)) -> str:
        """A command on the control host."""
        return self.control.run([_MYI, *arguments], environment=self.of_control, timeout_s=timeout_s, codes=codes)

    def add_users(self, keys: Iterable[str]) -> None:
        """Users, with their partitions in Dagster."""
        with closing(self.setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            connection.execute(
                "insert into app.users (user_key, time_zone)"
                " select key, 'UTC' from unnest(%s::text[]) with ordinality as given (key, place) order by place",
                (list(keys),),
            )

    def upload(self, user_key: str, archive: Path) -> None:
        """Hand in an archive: at the site, if uploads lie in an object store, else as a file that has been in the
        user's folder for a while, so that nobody waits for the rest of it."""
        if self.store is not None:
            self._hand_in(user_key, archive)
            return
        folder = self._uploads / user_key
        folder.mkdir(exist_ok=True)
        part = folder / f"{archive.name}.part"
        shutil.copyfile(archive, part)
        long_ago = time.time() - 3_600
        os.utime(part, (long_ago, long_ago))
        part.rename(folder / archive.name)

    def _hand_in(self, user_key: str, archive: Path) -> None:
        with archive.open("rb") as content:
            answer = self.ask(
                user_key, "POST", "/v1/me/imports", params={"name": archive.name}, content=content,
                headers={"content-type": "application/zip"},
            )  # fmt: skip
        if answer.status_code != 202:
            raise HostFailed(f"{archive.name} was not taken: {answer.status_code} {answer.text[:500]}")

    def ask(
        self, user_key: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        """What the site on the control host answers a signed-in browser of this user."""
        with closing(self.setup.warehouse.connect(Role.APP, autocommit=True)) as connection:
            row = connection.execute("select user_id from app.users where user_key = %s", (user_key,)).fetchone()
            assert row is not None
            session = begin_session(connection, user_id=row[0], method="link", device="tests")
        door = self.control.door(self._api_port, address=LOOPBACK)
        of_a_browser = {
            "cookie": f"myi_session={session}",
            "host": f"{LOOPBACK}:{self._api_port}",
            "sec-fetch-site": "same-origin",
        }
        return httpx.request(
            method, f"http://{LOOPBACK}:{door}{path}", headers=of_a_browser | dict(headers or {}), timeout=120,
            trust_env=False, **request,
        )  # fmt: skip

    @contextmanager
    def launcher(self) -> Iterator[Launcher]:
        log = self.control.folder / "launcher.log"
        with log.open("ab") as said:
            program = self.control.start(
                [sys.executable, _LAUNCHER],
                environment=self.of_control,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        try:
            yield Launcher(program, log)
        finally:
            program.kill()
            program.communicate()

    def runs(self, job: str | None = None) -> list[Run]:
        """All of them, oldest first."""
        query = """
            select r.run_id, r.pipeline_name, r.status, r.run_body::json ->> 'parent_run_id',
                r.create_timestamp at time zone 'utc', to_timestamp(r.end_time),
                coalesce(r.run_body::json -> 'tags' ->> 'dagster/will_retry' = 'true', false)
            from runs as r where %(job)s::text is null or r.pipeline_name = %(job)s order by r.id
        """
        with psycopg.connect(compose_url(parse_url(self.setup.warehouse.dagster_url())), autocommit=True) as connection:
            rows = connection.execute(query, {"job": job}).fetchall()
        with closing(self.setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            begun = connection.execute("select run_id, host, process from ops.run_heartbeats").fetchall()
        hosts = {run_id: self._where(host, process) for run_id, host, process in begun}
        return [
            Run(run_id, name, status, hosts.get(run_id), parent, created, ended, is_retried)
            for run_id, name, status, parent, created, ended, is_retried in rows
        ]

    def _where(self, host: str, process: str) -> str | None:
        if self.machines.has_namespaces:
            return host or None
        # All have the name of this machine.
        return next(
            (
                name
                for name, worker in self.workers.items()
                if any(process == f"{each.pid}:{process.partition(':')[2]}" for each in worker.processes())
            ),
            None,
        )

    def began_at(self, run_ids: Sequence[str]) -> datetime:
        """When a worker began the first of these runs."""
        with closing(self.setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            row = connection.execute(
                "select min(begun_at) from ops.run_heartbeats where run_id = any(%s)", (list(run_ids),)
            ).fetchone()
        assert row is not None
        assert isinstance(row[0], datetime)
        return row[0]

    def partitions(self) -> int:
        """How many users Dagster knows."""
        query = "select count(*) from dynamic_partitions where partitions_def_name = 'users'"
        with psycopg.connect(compose_url(parse_url(self.setup.warehouse.dagster_url())), autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        return row[0] if row is not None else 0

    def wait_until_quiet(self, *, within_s: float, jobs: Sequence[str] = ()) -> list[Run]:
        """Until every run (of these jobs) has ended, and each that was lost has been tried again."""
        before: list[Run] = []

        def quiet() -> list[Run] | None:
            nonlocal before
            runs = [run for run in self.runs() if not jobs or run.job in jobs]
            tried_again = {run.parent_id for run in runs}
            is_quiet = all(run.has_ended and (not run.is_retried or run.run_id in tried_again) for run in runs)
            # Dagster fails a run, and marks it a moment later as one that is tried again: one look is not enough.
            was, before = before, runs if is_quiet else []
            return runs if before and before == was else None

        return wait_until("all runs have ended", quiet, within_s=within_s, every_s=2, told=self.told) or []

    def told(self) -> str:
        """What is known when something did not happen: runs, and the ends of all logs."""
        lines = [
            f"{run.job} {run.run_id[:8]} {run.status} {run.host} {run.created_at:%H:%M:%S} {run.ended_at}"
            for run in self.runs()[-40:]
        ]
        for log in sorted(self.machines.folder.glob("*/*.log")):
            text = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
            lines += [f"== {log.parent.name}/{log.name}", *(line[:400] for line in text)]
        return "\n".join(lines)

    def _daemon_lives(self) -> bool:
        url = compose_url(parse_url(self.setup.warehouse.dagster_url()))
        query = (
            "select count(*) from daemon_heartbeats where timestamp > (now() at time zone 'utc') - interval '1 minute'"
        )
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                row = connection.execute(query).fetchone()
        except psycopg.Error:
            return False
        return row is not None and row[0] > 0

    def _serves(self, queues: Sequence[str], since: datetime) -> bool:
        with closing(self.setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            row = connection.execute(
                "select count(*) from ops.celery_workers where begun_at > %s and queues = %s", (since, list(queues))
            ).fetchone()
        return row is not None and row[0] > 0

    def _now(self) -> datetime:
        ((now,),) = self.setup.execute("select now()")
        assert isinstance(now, datetime)
        return now


@contextmanager
def installed(
    machines: Machines,
    *,
    broker: type[Redis] | type[RabbitMq] = RabbitMq,
    store: bool = False,
    spec: SimulatorSpec | None = None,
    clock: MovableClock | None = None,
    workers: int = 2,
    cores_of_worker: float | None = None,
    pool_limits: str = "warehouse_load=4,spotify_api=4",
) -> Iterator[Installation]:
    """An installation that runs, for as long as the block lasts; with a simulated Spotify if there is a `spec`, and
    with uploads, exports and the logs of runs in an object store if there is to be a `store`."""
    with ExitStack() as stack:
        postgres = Postgres(machines.host("database"))
        results = Redis(machines.host("results"))
        queue = results if broker is Redis else broker(machines.host("broker"))
        spotify = None
        if spec is not None:
            spotify = Spotify(machines.host("spotify"), spec, clock or MovableClock())
            stack.callback(spotify.close)
        made = Installation(
            machines, postgres=postgres, broker=queue, results=results, spotify=spotify,
            store=ObjectStore(machines.host("store")) if store else None,
            cores_of_worker=cores_of_worker, pool_limits=pool_limits,
        )  # fmt: skip
        made.open(stack)
        made.start_control()
        for number in range(workers):
            made.add_worker(f"worker-{number + 1}")
        yield made


class Launcher:
    """Puts runs into the queue."""

    def __init__(self, program: subprocess.Popen[str], log: Path) -> None:
        self._program, self._log = program, log

    def launch(
        self,
        job: str,
        *,
        first: str | None = None,
        last: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """The id of the new run, for users from `first` to `last` in the order in which they were added."""
        tags = {}
        if first is not None:
            tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps({"job": job, "tags": tags, "run_config": config or {}}) + "\n")
        self._program.stdin.flush()
        run_id = self._program.stdout.readline().strip()
        if not run_id:
            raise HostFailed(f"{job} could not be launched:\n{self._log.read_text(encoding='utf-8')[-4000:]}")
        return run_id
