"""The data folder: making it, configuring it, and a new password when the old one is lost.

All of this is done while the server is down. `data` exists only when initdb has finished, so an initdb that was killed
is simply repeated; an existing data folder is never written over. The configuration is written again at every start:
fsync, full_page_writes and synchronous_commit stay on, the only TCP port is a loopback one that was asked for, every
connection needs a password, and no statement's text gets into the log.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres.embedded import ownership
from myi_pipeline.postgres.embedded.binaries import Binaries
from myi_pipeline.postgres.embedded.ownership import HomeIdentity
from myi_pipeline.postgres.embedded.places import Places
from myi_pipeline.postgres.embedded.sql_port import LOOPBACK, USUAL_PORT, SqlPort
from myi_pipeline.postgres.role_passwords import new_password, write_private

SUPERUSER = "postgres"
INITDB_TIMEOUT_S = 600
HBA = "# Written by MYI at every start.\nlocal all all scram-sha-256\n"
MIB = 1024 * 1024


def password_file(places: Places) -> Path:
    return places.own / "superuser"


def make_if_missing(places: Places, binaries: Binaries) -> None:
    """A data folder with checksums, code-point order and a password for the superuser."""
    for unfinished in places.area.glob("data.*.part"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if not places.data.exists():
        _initdb(places, binaries)
    try:
        version = (places.data / "PG_VERSION").read_text(encoding="ascii").strip()
    except OSError as error:
        raise Permanent(f"{places.data} is not a database: {error.strerror}; restore it from a backup") from error
    if version != str(binaries.major):
        raise Permanent(
            f"the data in {places.data} are Postgres {version}'s, but this MYI brings Postgres {binaries.major}:"
            f" dump them with the MYI that made them, or run Postgres {version} on them and set MYI_DATABASE_URL"
        )


def configure(places: Places, tcp: SqlPort | None) -> None:
    """Write what the server reads at its start."""
    text = configuration(places, memory=memory_bytes(), tcp_port=tcp.port if tcp else None)
    places.account.write(places.data / "myi.conf", text)
    write_rules(places, tcp)


def rules_for(tcp: SqlPort | None) -> str:
    """The text of pg_hba.conf."""
    return HBA + (tcp.rules() if tcp else "")


def rules(places: Places) -> str:
    """That text as it was last written."""
    return (places.data / "pg_hba.conf").read_text(encoding="utf-8")


def write_rules(places: Places, tcp: SqlPort | None) -> None:
    """A running server goes by it after a reload."""
    places.account.write(places.data / "pg_hba.conf", rules_for(tcp))


def password(places: Places, binaries: Binaries) -> str:
    """The superuser's password; a lost one is replaced, for which the server must be down."""
    try:
        return password_file(places).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        new = new_password()
    statement = f"alter role {SUPERUSER} password '{new}'\n"
    single = [binaries.path("postgres"), "--single", "-D", str(places.data), "postgres"]
    spawn = places.account.spawn()
    del spawn["stdin"]
    done = subprocess.run(single, input=statement, text=True, capture_output=True, timeout=600, check=False, **spawn)
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise Permanent(f"{password_file(places)} is missing, and a new password could not be set: {tail(done.stderr)}")
    write_private(password_file(places), new)
    return new


def _initdb(places: Places, binaries: Binaries) -> None:
    unfinished = places.area / f"data.{secrets.token_hex(4)}.part"
    new = new_password()
    secret = places.area / f"password.{secrets.token_hex(4)}.part"
    try:
        unfinished.mkdir(mode=0o700)
        places.account.owns(unfinished)
        places.account.write_new(secret, new)
        command = [
            binaries.path("initdb"), "-D", str(unfinished), "--username", SUPERUSER, "--pwfile", str(secret),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
            "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--data-checksums",
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INITDB_TIMEOUT_S, check=False, **places.account.spawn()
        )
        if done.returncode != 0:
            raise Permanent(f"the database could not be made in {places.area}: {tail(done.stderr)}")
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude 'myi.conf'\n")
        ownership.claim(unfinished, HomeIdentity.of(places.home), places.account)
        # The password first: a folder without its password is of no use, a password without its folder does no harm.
        write_private(password_file(places), new)
        os.rename(unfinished, places.data)
    except OSError as error:
        raise Permanent(f"the database could not be made in {places.area}: {error.strerror}") from error
    finally:
        secret.unlink(missing_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)


def tail(text: str, lines: int = 3) -> str:
    """The last words of a program, on one line."""
    kept = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " / ".join(kept[-lines:]) or "it said nothing"


def memory_bytes(*, groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """What this machine has, or what the container or the service around us may take of it."""
    total = int(psutil.virtual_memory().total)
    for limit in _memory_limits(groups, own):
        try:
            total = min(total, int(limit.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return total


def _memory_limits(groups: Path, own: Path) -> Iterator[Path]:
    """Files with a limit on our control group or on one around it, of both versions of control groups. Inside a
    container our group's own path often is not there, and the root is ours. cgroups(7)."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for version, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if version == "0":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        yield from (folder / name for folder in (group, *group.parents) if folder.is_relative_to(root))
    yield groups / "memory.max"
    yield groups / "memory" / "memory.limit_in_bytes"


def configuration(places: Places, *, memory: int, tcp_port: int | None = None) -> str:
    """The text of myi.conf."""

    def share(part: int, least_mib: int, most_mib: int) -> str:
        return f"{max(least_mib, min(most_mib, memory // part // MIB))}MB"

    settings = {
        "cluster_name": places.cluster_name,
        "listen_addresses": LOOPBACK if tcp_port is not None else "",
        "port": str(tcp_port or USUAL_PORT),
        "unix_socket_directories": '"' + str(places.socket).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": "100",
        "shared_buffers": share(8, 64, 1024),
        "effective_cache_size": share(2, 256, 65536),
        "work_mem": share(256, 4, 64),
        "maintenance_work_mem": share(32, 64, 512),
        # Ours: what a statement of a refresh may take in one step, of which it has several, and two run at a time.
        "myi.refresh_work_mem": share(32, 16, 128),
        "dynamic_shared_memory_type": _dynamic_memory(),
        # Imports come in bursts: fewer, larger checkpoints, each paid for once.
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        # Compiling costs more than any of our queries takes.
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "update_process_title": "on",
        # One file for each day of the week, written over a week later.
        "logging_collector": "on",
        "log_directory": str(places.log),
        "log_filename": "postgres-%a.log",
        "log_file_mode": "0600",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_min_messages": "warning",
        "log_statement": "none",
        # Statements hold people's data.
        "log_min_error_statement": "panic",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
    lines = [f"{name} = '{_escaped(value)}'" for name, value in settings.items()]
    return "\n".join(
        ["# Written by MYI at every start; put your own lines into postgresql.conf, below the include.", *lines, ""]
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _dynamic_memory() -> str:
    """Containers often give /dev/shm 64 MB, which one parallel query can fill; files are slower, but there is room."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return "posix"
    return "posix" if found.f_blocks * found.f_frsize >= 512 * MIB else "mmap"
