"""The data folder: creating it, configuring it, and setting a new password if the old one is lost.

All of this happens while the server is down. `data` exists only when initdb has finished, so an initdb that was killed
is simply repeated; an existing data folder is never overwritten. The configuration is rewritten at every start: fsync,
full_page_writes and synchronous_commit stay on, the only TCP port is the optional loopback one, every connection needs
a password, and the text of statements is not logged.
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
INCLUDE = "\ninclude 'myi.conf'\n"
HBA = "# Written by MYI at every start.\nlocal all all scram-sha-256\n"
MIB = 1024 * 1024


def password_file(places: Places) -> Path:
    return places.own / "superuser"


def make_if_missing(places: Places, binaries: Binaries) -> None:
    """Create the data folder if there is none. Raises Permanent."""
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
            f"the data in {places.data} are of Postgres {version}, which this version of MYI does not include: make a"
            " backup with the version that created them (`myi backup`), move the data away, and restore it here"
        )


def configure(places: Places, tcp: SqlPort | None) -> None:
    """Write the files that the server reads at its start."""
    text = configuration(places, memory=memory_bytes(), tcp_port=tcp.port if tcp else None)
    places.account.write(places.data / "myi.conf", text)
    write_rules(places, tcp)


def rules_for(tcp: SqlPort | None) -> str:
    """The content of pg_hba.conf."""
    return HBA + (tcp.rules() if tcp else "")


def rules(places: Places) -> str:
    """The content that was last written."""
    return (places.data / "pg_hba.conf").read_text(encoding="utf-8")


def write_rules(places: Places, tcp: SqlPort | None) -> None:
    """Write pg_hba.conf. A running server needs a reload."""
    places.account.write(places.data / "pg_hba.conf", rules_for(tcp))


def password(places: Places, binaries: Binaries) -> str:
    """The superuser's password. A lost one is replaced; then the server must be down."""
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
    try:
        initdb(places, binaries, unfinished, password=new)
        # The password first: a folder without its password is useless, a password without its folder is harmless.
        write_private(password_file(places), new)
        os.rename(unfinished, places.data)
    except OSError as error:
        raise Permanent(f"the database could not be created in {places.area}: {error.strerror}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def initdb(places: Places, binaries: Binaries, target: Path, *, password: str, has_checksums: bool = True) -> None:
    """Create a data folder at `target`, sorting by code point, with this password for the superuser, and with checksums
    unless `has_checksums` is false.

    Raises Permanent, OSError.
    """
    secret = places.area / f"password.{secrets.token_hex(4)}.part"
    try:
        target.mkdir(mode=0o700)
        places.account.owns(target)
        places.account.write_new(secret, password)
        # Before 17, character classes come from the system's locale, and C only knows ASCII letters.
        letters = ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"] if binaries.major >= 17 else []
        checksums = "--data-checksums" if has_checksums else "--no-data-checksums"
        command = [
            binaries.path("initdb"), "-D", str(target), "--username", SUPERUSER, "--pwfile", str(secret),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", *letters, checksums,
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INITDB_TIMEOUT_S, check=False, **places.account.spawn()
        )
        if done.returncode != 0:
            raise Permanent(f"the database could not be created in {places.area}: {tail(done.stderr)}")
        with (target / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(INCLUDE)
        ownership.claim(target, HomeIdentity.of(places.home), places.account)
    finally:
        secret.unlink(missing_ok=True)


def tail(text: str, lines: int = 3) -> str:
    """The last lines of a program's output, joined into one."""
    kept = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " / ".join(kept[-lines:]) or "it said nothing"


def memory_bytes(*, groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """The memory of this machine, or the limit of the container or service that this process runs in."""
    total = int(psutil.virtual_memory().total)
    for limit in _memory_limits(groups, own):
        try:
            total = min(total, int(limit.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return total


def _memory_limits(groups: Path, own: Path) -> Iterator[Path]:
    """Files with a limit on our control group or one that contains it, for both versions of control groups. In a
    container, the path of our group often does not exist, and the root is our group. See cgroups(7)."""
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
    """The content of myi.conf."""

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
        # A setting of MYI: memory for one step of a refresh statement, which has several steps; two statements run at a
        # time.
        "myi.refresh_work_mem": share(32, 16, 128),
        "dynamic_shared_memory_type": _dynamic_memory(),
        # 16 MB by itself, all of it touched at the start. Few write at a time, and what is full is written.
        "wal_buffers": "4MB",
        # Imports come in bursts, for which fewer, larger checkpoints are better.
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        # Compiling takes longer than any of our queries.
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "update_process_title": "on",
        # One file for each day of the week, overwritten a week later.
        "logging_collector": "on",
        "log_directory": str(places.log),
        "log_filename": "postgres-%a.log",
        "log_file_mode": "0600",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_min_messages": "warning",
        "log_statement": "none",
        # Statements contain people's data.
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
    """Containers often limit /dev/shm to 64 MB, which one parallel query can fill; files are slower, but have room."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return "posix"
    return "posix" if found.f_blocks * found.f_frsize >= 512 * MIB else "mmap"
