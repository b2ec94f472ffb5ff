"""The database itself: its server, roles and schema, and what stands beside it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from myi_pipeline.marts.runs import held_back_sentences
from myi_pipeline.operations.database_routes import look_at_routes
from myi_pipeline.operations.doctor.check import Check, Status, from_found
from myi_pipeline.people.time_zones import known_zone
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.embedded import binaries
from myi_pipeline.postgres.migrations import schema_state
from myi_pipeline.settings import Settings


def server(warehouse: Warehouse) -> Check:
    with warehouse.connect(Role.OWNER) as connection:
        version = connection.info.parameter_status("server_version")
        major = connection.info.server_version // 10000
    found = f"{warehouse.database!r} on Postgres {version}"
    if warehouse.embedded and major < (newest := binaries.find_binaries().major):
        mend = f"`myi upgrade` brings it to Postgres {newest}; a later MYI may no longer include {major}"
        return Check("database", Status.WARN, found, mend)
    return Check("database", Status.OK, found)


def roles(warehouse: Warehouse) -> Check:
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


def routes(settings: Settings, warehouse: Warehouse) -> Iterator[Check]:
    for way in look_at_routes(warehouse, lag_limit_s=settings.replica_lag_s):
        unless = Status.FAIL if way.is_broken else Status.WARN
        yield from_found(way.name, (way.is_fine, way.found, way.mend), unless=unless)


def schema(warehouse: Warehouse) -> Check:
    state = schema_state(warehouse)
    if state.is_ahead:
        found = f"version {state.current} is newer than this program ({state.head})"
        return Check("schema", Status.FAIL, found, "upgrade MYI")
    if state.is_behind:
        return Check("schema", Status.WARN, f"version {state.current or 'none'}, not {state.head}", "run `myi migrate`")
    return Check("schema", Status.OK, f"version {state.current}")


def users_zones(settings: Settings, warehouse: Warehouse) -> Check:
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
