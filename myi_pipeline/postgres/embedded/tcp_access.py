"""Opening and closing the SQL port of a server that is running.

Connections over TCP are accepted only while the process that asked for the port is alive; what a killed process left
open is closed by the next process that starts or ends. The caller holds the home's lock.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

import psycopg

from myi_pipeline.errors import Busy
from myi_pipeline.postgres.embedded import cluster, leases, sql_port
from myi_pipeline.postgres.embedded.places import Places

# A reload takes milliseconds; a machine under load has taken a second.
_RELOAD_TIMEOUT_S = 10.0
_POLL_S = 0.02


def matches_what_is_wanted(where: Places, url: str) -> bool:
    """Whether the server listens as is wanted, and lets in who is; False when it must start again for that.

    The caller has a lease; `url` is the superuser's. Raises Busy when it would have to start, and others use it.
    """
    wanted = sql_port.claimed(where.own)
    if listening_port(where) != (wanted.port if wanted else None):
        others = leases.holders(where.own / "leases")
        others.remove(os.getpid())
        if not others:
            return False
        if wanted is not None:
            raise Busy(
                "the SQL port opens when the embedded Postgres starts, and others use that now (processes"
                f" {', '.join(map(str, others))}): end these commands and shells, or start without the port"
            )
    if wanted is None:
        close_unless_wanted(where, url)
    elif cluster.rules(where) != cluster.rules_for(wanted):
        cluster.write_rules(where, wanted)
        _reload(url)
    return True


def close_unless_wanted(where: Places, url: str) -> None:
    """Refuse new TCP connections and close those that are open, if the process that asked for it has ended.

    The listening goes on until the server ends: Postgres cannot change that while it runs.
    """
    if sql_port.claimed(where.own) is not None or cluster.rules(where) == cluster.rules_for(None):
        return
    cluster.write_rules(where, None)
    # A server that does not answer reads them when it is started again.
    with suppress(psycopg.OperationalError):
        _reload(url)
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where client_addr is not null")


def listening_port(where: Places) -> int | None:
    """The TCP port of the running server, from its pid file; None without one."""
    try:
        lines = (where.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return int(lines[3]) if lines[5].strip() else None
    except (OSError, ValueError, IndexError):
        return None


def _reload(url: str) -> None:
    """Returns when the old rules admit no one any more. Raises psycopg.OperationalError."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        asked = connection.execute("select extract(epoch from clock_timestamp()), pg_reload_conf()").fetchone()
    deadline = time.monotonic() + _RELOAD_TIMEOUT_S
    while asked is not None and _loaded_at(url) < float(asked[0]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _loaded_at(url: str) -> float:
    """When the rules were read by which a new connection is let in, in seconds since 1970."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        found = connection.execute("select extract(epoch from pg_conf_load_time())").fetchone()
    return float(found[0]) if found is not None else 0.0
