"""`myi doctor`: what could be wrong on this machine, and how to fix it.

One small function a check. A check changes nothing, and one that fails unexpectedly is itself reported, never a crash.
"""

from __future__ import annotations

import json.scanner
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum

import psutil
import psycopg

from myi_pipeline.errors import MyiError, OwnedByAnotherHome
from myi_pipeline.marts.runs import held_back_sentences
from myi_pipeline.operations import sql_access
from myi_pipeline.operations.checks import (
    Found,
    encryption_keys,
    logins,
    models_take_their_time,
    musicbrainz,
    polls_succeed,
    spotify_app,
    stored_logins_open,
)
from myi_pipeline.operations.open_warehouse import find_warehouse
from myi_pipeline.operations.run_workers import look_at_runs
from myi_pipeline.people.time_zones import known_zone
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url
from myi_pipeline.postgres.disk_space import MIB, FreeBytes, disk_guard, free_bytes, nearest_existing
from myi_pipeline.postgres.embedded import accounts, binaries
from myi_pipeline.postgres.folders import why_no_folder
from myi_pipeline.postgres.migrations import schema_state
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import PREFIX, Settings, machine_time_zone, unknown_variables

GIB = 1024**3
# Above the floor: a fresh database takes 0.1 GiB and Postgres's log up to 4; ten years of listening take 0.1.
EARLY_WARNING_BYTES = 5 * GIB
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """`mend` is empty when there is nothing to do."""

    name: str
    status: Status
    found: str
    mend: str = ""


def run_checks(
    settings: Settings, environ: Mapping[str, str] | None = None, *, free: FreeBytes = free_bytes
) -> list[Check]:
    """All checks, in the order in which a person would fix what they find. Never raises."""
    plain: dict[str, Callable[[], Check]] = {
        "Python": _python,
        "settings": lambda: _variables(environ),
        "home": lambda: _home(settings),
        "disk": lambda: _disk(settings, free),
        "uploads": lambda: _uploads(settings),
        "time zone": lambda: _time_zone(settings),
        "JSON parser": _json_parser,
        "Dagster's port": lambda: _port(settings),
        "encryption keys": lambda: _found("encryption keys", encryption_keys(settings)),
        "Spotify app": lambda: _found("Spotify app", spotify_app(settings), unless=Status.WARN),
    }
    checks = [_safely(name, check) for name, check in plain.items()]
    if settings.database_url is None:
        checks.append(_safely("Postgres", _embedded))
        checks.append(_safely("SQL port", lambda: _sql_port(settings)))
    try:
        checks.extend(_database(settings))
    except Exception as error:
        checks.append(_unexpected("database", error))
    return checks


def _safely(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        return _unexpected(name, error)


def _unexpected(name: str, error: Exception) -> Check:
    first = (str(error).strip().splitlines() or [""])[0]
    return Check(name, Status.FAIL, f"{first or type(error).__name__}", "see the message; it names what is in the way")


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        return Check("Python", Status.OK, found)
    oldest, newest = (".".join(map(str, version)) for version in (OLDEST_PYTHON, NEWEST_PYTHON))
    return Check("Python", Status.FAIL, found, f"install MYI with a Python from {oldest} to {newest}")


def _variables(environ: Mapping[str, str] | None) -> Check:
    unknown = unknown_variables(environ)
    if not unknown:
        return Check("settings", Status.OK, f"no unknown {PREFIX} variable")
    names = ", ".join(name for name, _ in unknown)
    meant = [f"{closest} instead of {name}" for name, closest in unknown if closest]
    mend = f"perhaps {', '.join(meant)}" if meant else "unset what MYI does not know"
    return Check("settings", Status.WARN, f"without effect: {names}", mend)


def _home(settings: Settings) -> Check:
    home = settings.home
    why = why_no_folder(home)
    if why is not None:
        return Check("home", Status.FAIL, why, f"make that folder, or set {PREFIX}HOME to another")
    there = nearest_existing(home)
    if there != home:
        if os.access(there, os.W_OK | os.X_OK):
            return Check("home", Status.OK, f"{home} (made at the first start)")
        return Check("home", Status.FAIL, f"{there} may not be written", "set MYI_HOME to a folder that may")
    if not home.is_dir() or not os.access(home, os.W_OK | os.X_OK):
        return Check("home", Status.FAIL, f"{home} may not be written", f"chown it, or set {PREFIX}HOME to another")
    if stat.S_IMODE(home.stat().st_mode) & 0o066:
        # Secrets and data have closed folders of their own; uploads and logs rely on this one.
        return Check("home", Status.WARN, f"{home} is open to other users of this machine", f"chmod go-rw {home}")
    return Check("home", Status.OK, str(home))


def _disk(settings: Settings, free: FreeBytes) -> Check:
    guard = disk_guard(settings, probe=free)
    folder, left = guard.tightest()
    found = f"{left / GIB:.1f} GiB free at {folder}"
    if left < max(guard.floor_bytes, MIB):
        stopped = "uploads, imports and refreshes wait (MYI_DISK_FLOOR_MB): " if guard.floor_bytes else ""
        return Check("disk", Status.FAIL, found, f"{stopped}free some space, or move MYI_HOME to a larger disk")
    if left < guard.floor_bytes + EARLY_WARNING_BYTES:
        return Check("disk", Status.WARN, found, "a large import may fill it: free some space")
    return Check("disk", Status.OK, found)


def _uploads(settings: Settings) -> Check:
    folder = settings.uploads_folder
    why = why_no_folder(folder)
    if why is not None:
        return Check("uploads", Status.FAIL, why, "make that folder, or set MYI_UPLOADS to another")
    if not folder.exists():
        if os.access(nearest_existing(folder), os.W_OK | os.X_OK):
            return Check("uploads", Status.OK, f"{folder} (made at the first start)")
        return Check("uploads", Status.FAIL, f"{folder} cannot be made", "set MYI_UPLOADS to a folder that can")
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Check("uploads", Status.FAIL, f"{folder} may not be read and written", "make it this user's folder")
    return Check("uploads", Status.OK, str(folder))


def _time_zone(settings: Settings) -> Check:
    if settings.time_zone is not None:
        return Check("time zone", Status.OK, f"{settings.time_zone} for new users")
    found = machine_time_zone()
    if found in ("UTC", "Etc/UTC"):
        return Check("time zone", Status.OK, f"{found} for new users, the machine's; MYI_TIME_ZONE overrides it")
    return Check("time zone", Status.OK, f"{found} for new users, the machine's")


def _users_zones(settings: Settings, warehouse: Warehouse) -> Check:
    sentences = held_back_sentences(warehouse)
    if sentences:
        mend = "set a supported time zone: myi user set KEY --time-zone NAME"
        return Check("users' time zones", Status.FAIL, "; ".join(sentences[:5]), mend)
    zone = settings.new_user_time_zone
    is_known, other = known_zone(warehouse, zone)
    if is_known:
        return Check("users' time zones", Status.OK, "the database knows all of them")
    found = f"the database knows no {zone}, which new users would get"
    return Check("users' time zones", Status.WARN, found, f"set MYI_TIME_ZONE={other or 'to a name that it knows'}")


def _json_parser() -> Check:
    if getattr(json.scanner, "c_make_scanner", None) is not None:
        return Check("JSON parser", Status.OK, "the C scanner of Python's json module")
    mend = "install a complete CPython: without the C part of its json module no archive can be read"
    return Check("JSON parser", Status.FAIL, "Python's json module lacks its C part", mend)


def _port(settings: Settings) -> Check:
    port = settings.dagster_port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return Check("Dagster's port", Status.FAIL, f"{port} may not be used", "set MYI_DAGSTER_PORT above 1023")
        except OSError:
            pass
        else:
            return Check("Dagster's port", Status.OK, f"{port} is free")
    holder = _listener(port)
    if holder is not None and "dagster" in " ".join(holder.cmdline()):
        return Check("Dagster's port", Status.OK, f"{port} is in use by Dagster (process {holder.pid})")
    by = f" by {holder.name()} (process {holder.pid})" if holder else ""
    return Check("Dagster's port", Status.WARN, f"{port} is in use{by}", "end that, or set MYI_DAGSTER_PORT to another")


def _listener(port: int) -> psutil.Process | None:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return psutil.Process(connection.pid)
    except psutil.Error:
        pass
    return None


def _embedded() -> Check:
    found = binaries.find_binaries()
    if os.geteuid() != 0:
        return Check("Postgres", Status.OK, f"{found.major}, embedded")
    account = accounts.existing_account()
    if account is not None and account.name == accounts.ACCOUNT:
        return Check("Postgres", Status.OK, f"{found.major}, embedded, as the account {account.name}")
    if accounts.can_make_account():
        return Check("Postgres", Status.OK, f"{found.major}, embedded; the account {accounts.ACCOUNT} is made for it")
    mend = "install useradd (Debian: apt-get install passwd), so that Postgres gets an account of its own"
    if account is not None:
        return Check("Postgres", Status.WARN, f"{found.major}, embedded, as the shared account {account.name}", mend)
    return Check(
        "Postgres", Status.FAIL, "Postgres refuses to run as root, and there is no other account to run it", mend
    )


def _sql_port(settings: Settings) -> Check:
    return _found("SQL port", sql_access.check_sql_port(settings), unless=Status.WARN)


def _database(settings: Settings) -> Iterator[Check]:
    if settings.database_url is None and not (settings.home / "postgres" / "superuser").exists():
        yield Check("database", Status.OK, "not made yet: the first command that needs it makes it")
        return
    with ExitStack() as stack:
        try:
            warehouse = stack.enter_context(find_warehouse(settings))
        except (MyiError, psycopg.Error) as error:
            mend = "check MYI_DATABASE_URL and that its server runs" if settings.database_url else "see the message"
            if isinstance(error, OwnedByAnotherHome):
                mend = "if it is to be this home's: end the other's commands, then `myi doctor --adopt`"
            yield Check("database", Status.FAIL, str(error).strip().splitlines()[0], mend)
            return
        if warehouse is None:
            make = "run `myi migrate`" + (", which says more" if settings.database_url else "")
            yield Check("database", Status.WARN, "its roles are not as this MYI makes them", make)
            return
        yield _server(warehouse)
        yield _roles(warehouse)
        yield (schema := _schema(warehouse))
        if schema.status is Status.OK:
            yield _users_zones(settings, warehouse)
            yield _imports(warehouse)
            yield _removals(warehouse)
            yield _found("stored logins", stored_logins_open(settings, warehouse))
            yield _found("logins", logins(warehouse, now=utc_now()), unless=Status.WARN)
            yield _found("MusicBrainz", musicbrainz(settings, warehouse, now=utc_now()), unless=Status.WARN)
            yield _safely("mart models", lambda: _models(warehouse))
            yield _safely("Dagster's runs", lambda: _runs(settings, warehouse))
            polls = polls_succeed(warehouse)
            yield _found("polls", (polls.passed, polls.text, "" if polls.passed else "myi poll"), unless=Status.WARN)


def _found(name: str, found: Found, *, unless: Status = Status.FAIL) -> Check:
    is_fine, text, mend = found
    return Check(name, Status.OK if is_fine else unless, text, mend)


def _server(warehouse: Warehouse) -> Check:
    with warehouse.connect(Role.OWNER) as connection:
        version = connection.info.parameter_status("server_version")
    return Check("database", Status.OK, f"{warehouse.database!r} on Postgres {version}")


def _roles(warehouse: Warehouse) -> Check:
    refused = []
    for role in Role:
        try:
            warehouse.connect(role).close()
        except psycopg.OperationalError:
            refused.append(role.value)
    if refused:
        found = f"the server refuses {', '.join(refused)}"
        return Check(
            "roles", Status.FAIL, found, "run `myi migrate`, or correct the MYI_DATABASE_URL_<ROLE> that you set"
        )
    return Check("roles", Status.OK, f"all {len(Role)} can connect")


def _imports(warehouse: Warehouse) -> Check:
    with warehouse.connect(Role.INGEST) as connection:
        row = connection.execute(load_sql("operations/checks/imports_that_wait")).fetchone()
    failed, unconfirmed, first = row if row is not None else (0, 0, None)
    if failed:
        found = f"{failed} failed; the last: {first}"
        mend = "`myi imports list` says why; after that: `myi imports retry ID`, or put the archive there again"
        return Check("imports", Status.WARN, found, mend)
    if unconfirmed:
        found = f"{unconfirmed} wait for confirmation, because another user has the archive"
        return Check("imports", Status.WARN, found, "`myi imports retry ID --yes`, or delete the archive")
    return Check("imports", Status.OK, "none has failed")


def _models(warehouse: Warehouse) -> Check:
    finding = models_take_their_time(warehouse)
    if finding.passed:
        return Check("mart models", Status.OK, finding.text)
    mend = "unless the machine was busy then, `myi refresh --json` and Dagster show when it started"
    return Check("mart models", Status.WARN, finding.text, mend)


def _removals(warehouse: Warehouse) -> Check:
    with warehouse.connect(Role.INGEST) as connection:
        row = connection.execute(
            "select count(*), max(last_error) from ops.removals where removed_at < now() - interval '1 hour'"
        ).fetchone()
    late, error = row if row is not None else (0, None)
    if late:
        found = f"{late} removed users have left something behind for an hour" + (f": {error}" if error else "")
        return Check("removed users", Status.WARN, found, "start `myi up`, or run `myi user remove KEY` again")
    return Check("removed users", Status.OK, "all removed users are fully deleted")


def _schema(warehouse: Warehouse) -> Check:
    state = schema_state(warehouse)
    if state.is_ahead:
        found = f"version {state.current} is newer than this program ({state.head})"
        return Check("schema", Status.FAIL, found, "upgrade MYI")
    if state.is_behind:
        return Check("schema", Status.WARN, f"version {state.current or 'none'}, not {state.head}", "run `myi migrate`")
    return Check("schema", Status.OK, f"version {state.current}")


def _runs(settings: Settings, warehouse: Warehouse) -> Check:
    if not _has_dagster_database(warehouse):
        return Check("Dagster's runs", Status.OK, "none yet")
    seen = look_at_runs(settings, warehouse)
    found = seen.describe()
    if seen.lost:
        mend = "`myi up` fails them within a minute, and then they are retried"
        return Check("Dagster's runs", Status.FAIL, found, mend)
    if seen.overdue_elsewhere:
        mend = "if that host is gone, terminate them by force on Dagster's pages; else nothing is wrong"
        return Check("Dagster's runs", Status.WARN, found, mend)
    if seen.is_queue_idle:
        return Check("Dagster's runs", Status.WARN, found, "start `myi up`: nothing takes runs from the queue")
    return Check("Dagster's runs", Status.OK, found)


def _has_dagster_database(warehouse: Warehouse) -> bool:
    """True also where it lies on another server, which answers for itself."""
    ours, dagster = parse_url(warehouse.url(Role.OWNER)), parse_url(warehouse.dagster_url())
    if any(ours.get(name) != dagster.get(name) for name in ("host", "port")):
        return True
    with warehouse.connect(Role.OWNER) as connection:
        found = connection.execute("select from pg_database where datname = %s", (dagster.get("dbname", ""),))
        return found.fetchone() is not None
