"""pg_dump and pg_restore: which ones, and running them.

No password is in a process's arguments: libpq takes it from the environment, which only this account can read. Every
program has a time limit, and ends with this process's work.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from myi_pipeline.errors import DiskFull, MyiError, Permanent, Transient
from myi_pipeline.postgres.connections import ConnectionParts, libpq_options, parse_url
from myi_pipeline.postgres.embedded.binaries import find_binaries
from myi_pipeline.settings import Settings, environment_of_strangers

# A dump of a billion plays takes half a day.
_TIMEOUT_S: Final = 2 * 24 * 3600.0
_ASKING_TIMEOUT_S: Final = 30.0
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
# Two dumps next to a site in use: more workers than cores only make both wait.
JOBS: Final = max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class Programs:
    """pg_dump and pg_restore of one major version."""

    folder: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.folder / program)


def find_programs(settings: Settings, *, server_major: int) -> Programs:
    """The programs for a server: from MYI_POSTGRES_PROGRAMS, or else PATH, or else MYI's own.

    Those on PATH are used if they have the server's version: a dump is best restored by the version that made it.
    Raises Permanent if the configured ones are missing or older than the server.
    """
    if settings.postgres_programs is not None:
        found = _programs_in(settings.postgres_programs)
        if found is None:
            raise Permanent(
                f"MYI_POSTGRES_PROGRAMS: {settings.postgres_programs} has no pg_dump and pg_restore that can be run"
            )
        return _new_enough(found, server_major, named="MYI_POSTGRES_PROGRAMS names")
    on_path = shutil.which("pg_dump")
    # Debian's pg_dump on PATH is a wrapper that chooses a version by the server: its own folder does not matter.
    found = _programs_in(Path(on_path).parent) if on_path is not None and settings.database_url is not None else None
    if found is not None and found.major == server_major:
        return found
    binaries = find_binaries()
    own = Programs(binaries.root / "bin", binaries.major)
    newest = found if found is not None and found.major > own.major else own
    return _new_enough(newest, server_major, named="the newest here are")


def _new_enough(found: Programs, server_major: int, *, named: str) -> Programs:
    if found.major < server_major:
        raise Permanent(
            f"the server is Postgres {server_major}, and {named} pg_dump and pg_restore {found.major}, which are too"
            f" old for it: install those of Postgres {server_major}, and name their folder in MYI_POSTGRES_PROGRAMS"
        )
    return found


def _programs_in(folder: Path) -> Programs | None:
    if not all(os.access(folder / name, os.X_OK) for name in ("pg_dump", "pg_restore")):
        return None
    try:
        done = subprocess.run(
            [str(folder / "pg_restore"), "--version"],
            capture_output=True, text=True, check=False, timeout=_ASKING_TIMEOUT_S, env=environment_of_strangers(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    return Programs(folder, int(match[1])) if match else None


def parts_of(url: str) -> ConnectionParts:
    """A URL in pieces. Secret."""
    given = parse_url(url)
    return ConnectionParts(
        host=given.pop("host", "localhost"),
        port=int(given.pop("port", "5432").partition(",")[0]),
        user=given.pop("user", ""),
        database=given.pop("dbname", ""),
        password=given.pop("password", ""),
        options=given,
    )


def run_program(command: Sequence[str], *, parts: ConnectionParts | None, doing: str, place: str) -> str:
    """What it printed. Raises DiskFull, Transient and Permanent, which name `doing`.

    `place` is where it writes to, for the message about a full disk.
    """
    code, printed, said = capture_program(command, parts=parts)
    if code != 0:
        raise failure(said, doing=doing, place=place)
    return printed


def capture_program(command: Sequence[str], *, parts: ConnectionParts | None) -> tuple[int, str, str]:
    """The exit code, standard output and standard error."""
    environment = environment_of_strangers() | {"LC_ALL": "C"} | (_environment(parts) if parts is not None else {})
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        env=environment,
    )  # fmt: skip
    try:
        out, said = process.communicate(timeout=_TIMEOUT_S)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return process.returncode, out, said


def failure(said: str, *, doing: str, place: str) -> MyiError:
    """Why a program failed, from its output. Rows of a table, which it may quote, are left out."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or "FATAL" in line]
    first = re.sub(r"^pg_\w+: (?:error: )?", "", (errors or lines or ["it said nothing"])[0])[:300]
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return DiskFull(f"{doing} stopped: there is too little room in {place}")
    is_passing = any(
        part in said for part in ("could not obtain lock", "lock timeout", "connection to server", "deadlock")
    )
    return (Transient if is_passing else Permanent)(f"{doing} failed: {first}")


def _environment(parts: ConnectionParts) -> dict[str, str]:
    values = {
        "PGHOST": parts.host,
        "PGPORT": str(parts.port),
        "PGUSER": parts.user,
        "PGDATABASE": parts.database,
        "PGAPPNAME": "myi backup",
        **({"PGPASSWORD": parts.password} if parts.password else {}),
    }
    return values | libpq_options(parts)
