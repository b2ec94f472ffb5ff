"""All checks, one after the other. A check changes nothing, and one that fails unexpectedly is reported itself, never a
crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import psycopg

from myi_pipeline.errors import MyiError, OwnedByAnotherHome
from myi_pipeline.operations.doctor import database, machine, places, services, work
from myi_pipeline.operations.doctor.check import Check, Status
from myi_pipeline.operations.open_warehouse import find_warehouse
from myi_pipeline.postgres.disk_space import FreeBytes, free_bytes
from myi_pipeline.settings import Settings


def run_checks(
    settings: Settings, environ: Mapping[str, str] | None = None, *, free: FreeBytes = free_bytes
) -> list[Check]:
    """All checks, in the order in which a person would fix what they find. Never raises."""
    plain: dict[str, Callable[[], Check]] = {
        "Python": machine.python,
        "settings": lambda: machine.variables(environ),
        "home": lambda: places.home(settings),
        "disk": lambda: places.disk(settings, free),
        "uploads": lambda: places.uploads(settings),
        "exports": lambda: places.exports(settings),
        "compute logs": lambda: places.compute_logs(settings),
        "dagster.yaml": lambda: machine.instance_file(settings),
        "time zone": lambda: machine.time_zone(settings),
        "JSON parser": machine.json_parser,
        "Dagster's port": lambda: machine.port(settings),
        "encryption keys": lambda: services.encryption_keys(settings),
        "Spotify app": lambda: services.spotify_app(settings),
    }
    if settings.database_url is None:
        plain["Postgres"] = machine.embedded
        plain["SQL port"] = lambda: machine.sql_port(settings)
    checks = [_safely(name, check) for name, check in plain.items()]
    try:
        checks.extend(_check_the_warehouse(settings))
    except Exception as error:
        checks.append(_unexpected("database", error))
    return checks


def _check_the_warehouse(settings: Settings) -> Iterator[Check]:
    if settings.database_url is None and not (settings.home / "postgres" / "superuser").exists():
        yield Check("database", Status.OK, "not created yet: the first command that needs it creates it")
        return
    with ExitStack() as stack:
        try:
            warehouse = stack.enter_context(find_warehouse(settings))
        except (MyiError, psycopg.Error) as error:
            mend = "check MYI_DATABASE_URL and that its server runs" if settings.database_url else "see the message"
            if isinstance(error, OwnedByAnotherHome):
                mend = "to move it to this home: end the other's commands, then `myi doctor --adopt`"
            yield Check("database", Status.FAIL, str(error).strip().splitlines()[0], mend)
            return
        if warehouse is None:
            make = "run `myi migrate`" + (", which shows more" if settings.database_url else "")
            yield Check("database", Status.WARN, "its roles differ from those of this version", make)
            return
        yield database.server(warehouse)
        yield database.roles(warehouse)
        yield from database.routes(settings, warehouse)
        yield (schema := database.schema(warehouse))
        if schema.status is Status.OK:
            yield database.users_zones(settings, warehouse)
            yield work.imports(warehouse)
            yield work.removals(warehouse)
            yield _safely("tombstones", lambda: work.tombstones(settings, warehouse))
            yield services.stored_logins(settings, warehouse)
            yield services.logins(warehouse)
            yield services.musicbrainz(settings, warehouse)
            yield _safely("backups", lambda: work.backups(settings, warehouse))
            yield _safely("mart models", lambda: work.models(warehouse))
            yield _safely("Dagster's runs", lambda: work.runs(warehouse))
            if settings.celery_broker_url is not None:
                yield _safely("Celery workers", lambda: work.workers(warehouse))
            yield services.polls(warehouse)
            yield _safely("notices", lambda: work.notices(settings, warehouse))
            yield from services.linked_accounts(warehouse)
            yield from services.playlist_accounts(warehouse)
            yield from services.youtube_units(settings, warehouse)


def _safely(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        return _unexpected(name, error)


def _unexpected(name: str, error: Exception) -> Check:
    first = (str(error).strip().splitlines() or [""])[0]
    return Check(name, Status.FAIL, f"{first or type(error).__name__}", "see the message for the cause")
