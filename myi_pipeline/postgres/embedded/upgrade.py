"""Upgrading the embedded database to the newest major version of Postgres in the package.

pg_upgrade copies the files unchanged, and so preserves the sort order and character classes of each database: computed
keys stay valid. If it refuses, the databases are dumped and loaded, each with its locale. The old data are never
written to, and kept next to the new ones until `forget_old`.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from myi_pipeline.errors import Busy, DiskFull, Permanent
from myi_pipeline.isolation import children_environment
from myi_pipeline.postgres.embedded import binaries as programs
from myi_pipeline.postgres.embedded import cluster, leases, places, processes, server, swapping
from myi_pipeline.postgres.embedded.binaries import Binaries
from myi_pipeline.postgres.embedded.places import Places
from myi_pipeline.postgres.embedded.swapping import Replacement

log = logging.getLogger(__name__)

# Copying a terabyte takes hours.
_TIMEOUT_S = 2 * 24 * 3600
_STOP_TIMEOUT_S = 300
_JOBS = max(1, min(4, os.cpu_count() or 1))
# Next to the server's own socket, with a name of the same length.
_OTHER_PORT = 5433
# The size of an empty cluster.
_SPARE_BYTES = 256 * 1024 * 1024

OnStep = Callable[[str], None]


class _Refused(Exception):
    """pg_upgrade refuses these data."""


@dataclass(frozen=True)
class Upgraded:
    """`method` is "pg_upgrade" or "dump and load"; `kept` is the folder of the old data."""

    old_major: int
    new_major: int
    method: str
    kept: Path
    seconds: float


def upgrade_cluster(
    home: Path,
    *,
    by_dump: bool = False,
    on_step: OnStep = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Upgraded | None:
    """Upgrade the database of this home; None if it already has the newest version. If killed at any point, the home
    continues with either the old or the new data.

    `by_dump` skips pg_upgrade. Raises Busy while the database is in use, DiskFull, Permanent.
    """
    began = clock()
    own = places.make_own(home)
    with leases.home_lock(own):
        holders = leases.holders(own / "leases")
        if holders:
            raise Busy(f"the database is in use (processes {', '.join(map(str, holders))}): end `myi up` first")
        where = places.prepare(home)
        if not where.data.exists():
            return None
        old, new = programs.binaries_for(where.data), programs.find_binaries()
        if old.major == new.major:
            # Also refuses data of a version that is not in the package.
            cluster.make_if_missing(where, new)
            return None
        # pg_upgrade requires a clean shutdown, after crash recovery if needed.
        password = server.ensure_running(where)
        server.stop(where)
        step = _Step(where, old=server.reachable_binaries(where, old), new=server.reachable_binaries(where, new))
        method = _replace(step, password=password, by_dump=by_dump, on_step=on_step)
    return Upgraded(old.major, new.major, method, where.area / _kept_name(old.major), clock() - began)


def kept_data(home: Path) -> tuple[Path, ...]:
    """Data of older versions that are still kept; changes nothing."""
    area = places.data_area(home)
    return tuple(sorted(area.glob("data-of-*"))) if area is not None and area.is_dir() else ()


def forget_old(home: Path) -> int:
    """Delete the data of older versions; returns how many bytes were freed. Raises Busy, Permanent."""
    own = places.make_own(home)
    freed = 0
    with leases.home_lock(own):
        for folder in kept_data(home):
            if processes.running_in(folder) is not None:
                raise Busy(f"a server runs on {folder}: end it first")
            freed += _size(folder)
            shutil.rmtree(folder)
    return freed


@dataclass(frozen=True)
class _Step:
    """The input of an upgrade."""

    where: Places
    old: Binaries
    new: Binaries


def _kept_name(major: int) -> str:
    return f"data-of-{major}"


def _replace(step: _Step, *, password: str, by_dump: bool, on_step: OnStep) -> str:
    where = step.where
    kept = where.area / _kept_name(step.old.major)
    if kept.exists():
        raise Permanent(f"{kept} exists from an earlier upgrade: `myi upgrade --forget-old` deletes it")
    needed, free = _size(where.data) + _SPARE_BYTES, shutil.disk_usage(where.area).free
    if free < needed:
        raise DiskFull(
            f"an upgrade copies the database: {needed // cluster.MIB:,} MiB are needed in {where.area}, and"
            f" {free // cluster.MIB:,} MiB are free"
        )
    # If this process is killed, the next start removes folders with such names.
    replacement = Replacement(new=f"data.{secrets.token_hex(4)}.part", old=kept.name)
    target = where.area / replacement.new
    swapping.begin(where.own, replacement)
    try:
        method = "dump and load" if by_dump else "pg_upgrade"
        try:
            if by_dump:
                raise _Refused
            on_step("pg_upgrade")
            _pg_upgrade(step, target, password=password)
        except _Refused as refused:
            if not by_dump:
                log.warning("pg_upgrade refuses these data, so they are dumped and loaded: %s", refused)
                method = "dump and load"
            shutil.rmtree(target, ignore_errors=True)
            on_step("dump and load")
            _dump_and_load(step, target, password=password)
        _keep_own_lines(step, target)
        os.sync()
        swapping.swap(where.own, where.area, replacement)
    except OSError as error:
        raise Permanent(f"the database could not be upgraded in {where.area}: {error.strerror}") from error
    finally:
        if (where.area / "data").exists():
            swapping.end(where.own)
            shutil.rmtree(target, ignore_errors=True)
    return method


def _pg_upgrade(step: _Step, target: Path, *, password: str) -> None:
    """Raises _Refused with its output; then `target` is unusable."""
    where = step.where
    cluster.initdb(where, step.new, target, password=password, has_checksums=_has_checksums(step))
    # pg_upgrade starts both servers with its own settings; ours apply later.
    _without_include(target)
    with _scratch(step, password=password) as (scratch, environment):
        command = [
            step.new.path("pg_upgrade"), "-b", str(step.old.root / "bin"), "-B", str(step.new.root / "bin"),
            "-d", str(where.data), "-D", str(target), "-U", cluster.SUPERUSER, "-j", str(_JOBS),
            "-s", str(where.socket), "-p", "5432", "-P", "5432", "--copy",
        ]  # fmt: skip
        spawn = where.account.spawn()
        spawn["cwd"], spawn["env"] = str(scratch), spawn["env"] | environment
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, **spawn)
        if done.returncode != 0:
            said = done.stdout + done.stderr
            if "No space left on device" in said:
                raise DiskFull(f"there is too little room in {where.area} for a copy of the database")
            raise _Refused(cluster.tail(said, 6))


def _dump_and_load(step: _Step, target: Path, *, password: str) -> None:
    where = step.where
    cluster.initdb(where, step.new, target, password=password)
    _without_include(target)
    with (
        _scratch(step, password=password) as (scratch, environment),
        _serving(step, step.old, where.data, port=5432),
        _serving(step, step.new, target, port=_OTHER_PORT),
    ):
        base = children_environment() | environment | {"PGHOST": str(where.socket), "PGUSER": cluster.SUPERUSER}
        old = base | {"PGPORT": "5432", "PGDATABASE": "postgres"}
        new = base | {"PGPORT": str(_OTHER_PORT), "PGDATABASE": "postgres"}
        globals_file = scratch / "globals.sql"
        _run(step, [step.new.path("pg_dumpall"), "--globals-only", "--no-password", "-f", str(globals_file)], old)
        # The superuser exists in both.
        text = re.sub(rf"^CREATE ROLE {cluster.SUPERUSER};$", "", globals_file.read_text("utf-8"), flags=re.MULTILINE)
        globals_file.write_text(text, encoding="utf-8")
        psql = [step.new.path("psql"), "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-f", str(globals_file)]
        _run(step, psql, new)
        for name in _databases(step, password):
            dump = scratch / f"dump-{secrets.token_hex(4)}"
            _run(step, [step.new.path("pg_dump"), "-Fd", f"--jobs={_JOBS}", "--no-password", f"--file={dump}"],
                 old | {"PGDATABASE": name})  # fmt: skip
            # With its locale, owner and settings.
            load = ["--create", "--exit-on-error", f"--jobs={_JOBS}", "--no-password", "--dbname=postgres", str(dump)]
            _run(step, [step.new.path("pg_restore"), *load], new)
            shutil.rmtree(dump)


def _databases(step: _Step, password: str) -> list[str]:
    url = server.url_of(step.where, password, "postgres")
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        query = "select datname from pg_database where datallowconn and not datistemplate and datname <> 'postgres'"
        return [str(name) for (name,) in connection.execute(query).fetchall()]


def _run(step: _Step, command: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        if "No space left on device" in done.stderr:
            raise DiskFull(f"there is too little room in {step.where.area} for a copy of the database")
        raise Permanent(f"{Path(command[0]).name} failed: {cluster.tail(done.stderr)}")


@contextmanager
def _scratch(step: _Step, *, password: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder of the account, and environment variables for logging in without the password itself."""
    where = step.where
    folder = where.area / f"data.{secrets.token_hex(4)}.part"
    folder.mkdir(mode=0o700)
    try:
        where.account.owns(folder)
        passfile = folder / "pgpass"
        where.account.write_new(passfile, f"*:*:*:{cluster.SUPERUSER}:{password}\n")
        environment = {"PGPASSFILE": str(passfile)}
        yield folder, environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _serving(step: _Step, binaries: Binaries, data: Path, *, port: int) -> Iterator[None]:
    where = step.where
    options = f"-c port={port} -c listen_addresses= -c unix_socket_directories='\"{where.socket}\"'"
    options += " -c unix_socket_permissions=0700 -c password_encryption=scram-sha-256"
    control = [binaries.path("pg_ctl"), "-D", str(data), "-s", "-w", "-t", str(_STOP_TIMEOUT_S)]
    log_file = data / "upgrade.log"
    start = [*control, "start", "-l", str(log_file), "-p", binaries.path("postgres"), "-o", options]
    spawn = where.account.spawn()
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "check": False,
        "timeout": 2 * _STOP_TIMEOUT_S,
    }
    if subprocess.run(start, **quiet, **spawn).returncode != 0:
        said = log_file.read_text(encoding="utf-8", errors="replace") if log_file.exists() else ""
        raise Permanent(f"Postgres {binaries.major} does not start on {data}: {cluster.tail(said)}")
    try:
        yield
    finally:
        subprocess.run([*control, "stop", "-m", "fast"], **quiet, **spawn)
        log_file.unlink(missing_ok=True)


def _has_checksums(step: _Step) -> bool:
    done = subprocess.run(
        [step.old.path("pg_controldata"), "-D", str(step.where.data)],
        capture_output=True, text=True, check=False, timeout=60, **step.where.account.spawn(),
    )  # fmt: skip
    found = re.search(r"^Data page checksum version:\s+(\d+)", done.stdout, re.MULTILINE)
    return found is None or found[1] != "0"


def _without_include(target: Path) -> None:
    path = target / "postgresql.conf"
    path.write_text(path.read_text(encoding="utf-8").removesuffix(cluster.INCLUDE), encoding="utf-8")


def _keep_own_lines(step: _Step, target: Path) -> None:
    """Keep the operator's own settings, below the include, if the new version accepts them."""
    where, include = step.where, cluster.INCLUDE.strip()
    _, _, own = (where.data / "postgresql.conf").read_text(encoding="utf-8").partition(include)
    path = target / "postgresql.conf"
    plain = path.read_text(encoding="utf-8") + cluster.INCLUDE
    where.account.write(target / "myi.conf", cluster.configuration(where, memory=cluster.memory_bytes()))
    where.account.write(target / "pg_hba.conf", cluster.rules_for(None))
    if own.strip():
        where.account.write(path, plain + own.lstrip("\n"))
        done = subprocess.run(
            [step.new.path("postgres"), "-D", str(target), "-C", "shared_buffers"],
            capture_output=True, text=True, check=False, timeout=60, **where.account.spawn(),
        )  # fmt: skip
        if done.returncode == 0:
            return
        log.warning("your own lines in postgresql.conf are left out: Postgres %d says %s", step.new.major,
                    cluster.tail(done.stderr))  # fmt: skip
    where.account.write(path, plain)


def _size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
