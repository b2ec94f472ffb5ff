"""What stands beside or in front of the database, as `myi doctor` looks at it: replicas and poolers.

Both are looked at for what would go wrong silently: a replica that is far behind or has become a server of its own, a
pooler that hands one session's locks and settings to another.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from myi_pipeline.postgres.connections import (
    CONNECT_TIMEOUT_S,
    Connection,
    Role,
    Warehouse,
    compose_url,
    parse_url,
    unreachable,
)
from myi_pipeline.postgres.sql_files import load_sql

# How long a replica may take to replay what the primary has written when the look begins.
_CATCHES_UP_WITHIN_S = 5.0
_POLL_S = 0.05
_POOLERS = {"polls": "MYI_POLLS_DATABASE_URL", "Dagster's storage": "MYI_DAGSTER_DATABASE_URL"}


@dataclass(frozen=True)
class RouteFinding:
    """One way to the database: whether it is good, what was found, and how to mend it."""

    name: str
    is_fine: bool
    found: str
    mend: str = ""
    is_broken: bool = False


def look_at_routes(warehouse: Warehouse, *, lag_limit_s: float) -> Iterator[RouteFinding]:
    """Nothing where there is only the database itself."""
    for url, roles in _replicas(warehouse).items():
        yield _replica(warehouse, url, roles, lag_limit_s=lag_limit_s)
    # A pooler whose URL names a user is Dagster's own way, too: what tells is where it leads.
    database = _place(warehouse.url(Role.OWNER))
    ways = {"polls": warehouse.for_polls().url(Role.INGEST), "Dagster's storage": warehouse.dagster_storage_url()}
    for name, url in ways.items():
        if _place(url) != database:
            yield _pooler(name, compose_url(parse_url(url)))


def _replicas(warehouse: Warehouse) -> dict[str, list[Role]]:
    """By server, of which each is looked at once: a URL of it, and the roles that read there."""
    found: dict[tuple[str, str], tuple[str, list[Role]]] = {}
    for role in Role:
        url = warehouse.replica_url(role)
        if url is not None:
            found.setdefault(_place(url), (url, []))[1].append(role)
    return dict(found.values())


def _place(url: str) -> tuple[str, str]:
    given = parse_url(url)
    return given.get("hostaddr") or given.get("host", ""), given.get("port", "5432")


def _replica(warehouse: Warehouse, url: str, roles: list[Role], *, lag_limit_s: float) -> RouteFinding:
    name = f"replica of {' and '.join(roles)}"
    mend = f"check MYI_DATABASE_URL_{roles[0].upper()}, and that its server runs"
    try:
        with closing(_connect(url)) as replica, closing(warehouse.connect(Role.OWNER, autocommit=True)) as primary:
            return _compare(name, primary, replica, lag_limit_s=lag_limit_s)
    except psycopg.OperationalError as error:
        found = str(unreachable("it", error))
        return RouteFinding(name, False, f"{found}; the primary serves its reads", mend, is_broken=True)


def _compare(name: str, primary: Connection, replica: Connection, *, lag_limit_s: float) -> RouteFinding:
    ours = _ask(primary, "postgres/position")
    other = _whose(ours, _ask(replica, "postgres/position"))
    if other is not None:
        mend = "make a replica of this database anew (pg_basebackup), or take its URL away"
        return RouteFinding(name, False, other, mend, is_broken=True)
    began = time.monotonic()
    while (theirs := _ask(replica, "postgres/position"))["position"] < ours["position"]:
        if theirs["timeline"] is not None or time.monotonic() - began > _CATCHES_UP_WITHIN_S:
            break
        time.sleep(_POLL_S)
    took_s = time.monotonic() - began
    if theirs["timeline"] is not None:
        if theirs["timeline"] == ours["timeline"]:
            return RouteFinding(name, True, "the database itself, under another name")
        mend = "make it a replica again (pg_basebackup), or lead MYI_DATABASE_URL to it if it has taken over"
        return RouteFinding(name, False, "it was promoted, and is no replica any more", mend, is_broken=True)
    behind = ours["position"] - theirs["position"]
    if behind <= 0:
        return RouteFinding(name, True, f"up to date (within {max(took_s, 0.1):.1f} s)")
    since = f", its last change is {theirs['idle_s']:,.0f} s old" if theirs["idle_s"] is not None else ""
    found = f"{behind / 1e6:,.1f} MB behind after {took_s:.0f} s{since}"
    is_far = theirs["idle_s"] is None or theirs["idle_s"] > lag_limit_s
    mend = "see pg_stat_replication on the primary and the replica's log; pages say as of when their figures are"
    return RouteFinding(name, not is_far, found, mend if is_far else "")


def _whose(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """What is wrong where it copies another server than this database's, or another past of it."""
    if ours["system"] != theirs["system"]:
        return "it is of another server than the database, and shows what that one held"
    if theirs["timeline"] is None and ours["timeline"] != theirs["follows"]:
        return (
            f"it follows timeline {theirs['follows']}, and the database is on {ours['timeline']}: for some minutes"
            " after a promotion that is so until its next checkpoint; otherwise it has gone another way"
        )
    return None


def _pooler(name: str, url: str) -> RouteFinding:
    """What one session sets must be there for its next statement, whoever else asks in between."""
    setting, named = _POOLERS[name], f"pooler of {name}"
    try:
        with closing(_connect(url)) as first, closing(_connect(url)) as second:
            first.execute("select set_config('myi.this_session', 'first', false)")
            with second.transaction():
                second.execute("select 1")
                row = first.execute("select current_setting('myi.this_session', true)").fetchone()
            version = first.info.parameter_status("server_version")
    except psycopg.OperationalError as error:
        mend = f"check {setting}, and that the pooler runs and knows the role and the database"
        return RouteFinding(named, False, str(unreachable("it", error)), mend, is_broken=True)
    if row is None or row[0] != "first":
        found = "it shares sessions: locks and settings of one client would be another's"
        return RouteFinding(named, False, found, "set pool_mode = session for these databases", is_broken=True)
    return RouteFinding(named, True, f"in session mode, before Postgres {version}")


def _connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="myi doctor"
    )  # fmt: skip


def _ask(connection: Connection, statement: str) -> dict[str, Any]:
    cursor = connection.execute(load_sql(statement))
    row = cursor.fetchone()
    assert row is not None
    return dict(zip((column.name for column in cursor.description or ()), row, strict=True))
