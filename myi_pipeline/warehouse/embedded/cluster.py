"""The data folder: making it, configuring it, and a new password when the old one is lost.

Belongs here: what is done while the server is down. Invariant: `data` exists only when initdb has finished, so one that
was killed half-way is simply done again; an existing data folder is never written over.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from myi_pipeline.core.errors import Permanent
from myi_pipeline.warehouse.embedded import tuning
from myi_pipeline.warehouse.embedded.accounts import Account
from myi_pipeline.warehouse.embedded.binaries import Binaries
from myi_pipeline.warehouse.embedded.places import Places
from myi_pipeline.warehouse.embedded.sql_port import SqlPort
from myi_pipeline.warehouse.role_passwords import new_password, write_private

SUPERUSER = "postgres"
INITDB_TIMEOUT_S = 600


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
        raise Permanent(f"{places.data} is no database: {error.strerror}; restore it from a backup") from error
    if version != str(binaries.major):
        raise Permanent(
            f"the data in {places.data} are Postgres {version}'s, but this MYI brings Postgres {binaries.major}:"
            f" dump them with the MYI that made them, or run Postgres {version} on them and set MYI_DATABASE_URL"
        )


def configure(places: Places, tcp: SqlPort | None) -> None:
    """Write what the server reads at its start."""
    text = tuning.configuration(places, memory=tuning.memory_bytes(), tcp_port=tcp.port if tcp else None)
    _write_as(places.account, places.data / "myi.conf", text)
    write_rules(places, tcp)


def rules_for(tcp: SqlPort | None) -> str:
    """The text of pg_hba.conf."""
    return tuning.HBA + (tcp.rules() if tcp else "")


def rules(places: Places) -> str:
    """That text as it was last written."""
    return (places.data / "pg_hba.conf").read_text(encoding="utf-8")


def write_rules(places: Places, tcp: SqlPort | None) -> None:
    """A running server goes by it after a reload."""
    _write_as(places.account, places.data / "pg_hba.conf", rules_for(tcp))


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
        write_private_for(places.account, secret, new)
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
        # The password first: a folder without its password is of no use, a password without its folder harms nobody.
        write_private(password_file(places), new)
        os.rename(unfinished, places.data)
    except OSError as error:
        raise Permanent(f"the database could not be made in {places.area}: {error.strerror}") from error
    finally:
        secret.unlink(missing_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)


def write_private_for(account: Account, path: Path, text: str) -> None:
    """A new file (0600) of the account's; whatever has the name already makes it fail."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        if not account.is_me:
            os.fchown(file.fileno(), account.uid, account.gid)


def _write_as(account: Account, path: Path, text: str) -> None:
    """Replace a file in the account's own folder without following any link that it may have put there."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    write_private_for(account, beside, text)
    os.replace(beside, path)


def tail(text: str, lines: int = 3) -> str:
    """The last words of a program, on one line."""
    kept = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " / ".join(kept[-lines:]) or "it said nothing"
