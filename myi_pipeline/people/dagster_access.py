"""Who may use Dagster's pages, which can start and delete everything.

Only hashes of secrets are stored; an operator who loses the right loses access at the next check; a link works once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.people.manage_access import LONGEST_DEVICE, LinkUsed, hashed, new_secret
from myi_pipeline.postgres.connections import Connection, Pool, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings

LINK_LIFE = timedelta(hours=24)
LINK_PATH = "/myi/enter"
_DETAIL = {"to": "dagster"}
_NEW_LINK = "ask for a new one (myi dagster-link)"


@dataclass(frozen=True)
class DagsterAccess:
    """The rights of an identified visitor."""

    may_change: bool


def dagster_origin(settings: Settings) -> str:
    """The origin of Dagster's pages: scheme, host and port."""
    return settings.dagster_public_url or f"http://127.0.0.1:{settings.dagster_port}"


def open_pool(warehouse: Warehouse) -> Pool:
    """Connections for these queries. Polling pages do not pile up while the database is unavailable."""
    return warehouse.pool(Role.APP, application_name="myi dagster pages", timeout_s=1.0)


def make_dagster_link(connection: Connection, settings: Settings) -> str:
    """A link that lets one browser into Dagster's pages; earlier links end. Secret."""
    secret = new_secret()
    with connection.transaction():
        connection.execute("delete from app.dagster_links")
        connection.execute(
            "delete from app.dagster_sessions where last_seen_at < now() - make_interval(days => %s)"
            " or created_at < now() - make_interval(days => %s)",
            (settings.session_idle_days, settings.session_days),
        )
        connection.execute(
            "insert into app.dagster_links (link_hash, expires_at) values (%s, now() + %s)",
            (hashed(secret), LINK_LIFE),
        )
        audit.record(connection, Event.LINK_MADE, detail=_DETAIL)
    # After the #, a secret stays in the browser: it is in no request, log or referrer.
    return f"{dagster_origin(settings)}{LINK_PATH}#{secret}"


def use_dagster_link(connection: Connection, *, secret: str, device: str, address: str | None = None) -> str:
    """The reference of a new session; the link is used up. Raises LinkUsed. Secret."""
    reference = new_secret()
    with connection.transaction():
        query = "delete from app.dagster_links where link_hash = %s and expires_at > now()"
        if connection.execute(query, (hashed(secret),)).rowcount == 0:
            raise LinkUsed(f"this link was used or has expired: {_NEW_LINK}")
        shown = "".join(character for character in device if character.isprintable())[:LONGEST_DEVICE]
        connection.execute(
            "insert into app.dagster_sessions (reference_hash, device) values (%s, %s)", (hashed(reference), shown)
        )
        audit.record(connection, Event.SIGNED_IN, address=address, detail={**_DETAIL, "method": "link"})
    return reference


def end_dagster_session(connection: Connection, *, reference: str) -> None:
    connection.execute("delete from app.dagster_sessions where reference_hash = %s", (hashed(reference),))


def end_dagster_sessions(connection: Connection) -> int:
    """Ends every session that began with a link; returns how many."""
    with connection.transaction():
        ended = connection.execute("delete from app.dagster_sessions").rowcount
        audit.record(connection, Event.SIGN_INS_ENDED, detail={**_DETAIL, "sign_ins": ended})
    return ended


def note_refused_link(connection: Connection, *, address: str) -> None:
    audit.record(connection, Event.LINK_REFUSED, address=address, detail=_DETAIL)


def note_wrong_token(connection: Connection, *, key: bytes, address: str) -> None:
    """Records a token that gives no access here: expired, not an operator's, or unknown."""
    found = connection.execute("select user_id from app.access_tokens where token_hash = %s", (key,)).fetchone()
    user_id = found[0] if found is not None else None
    detail = {**_DETAIL, "what": "token"}
    audit.record(connection, Event.WRONG_CREDENTIAL, user_id=user_id, address=address, detail=detail)


def find_browser(connection: Connection, settings: Settings, *, key: bytes) -> DagsterAccess | None:
    """The rights of the browser whose cookie has this hash: one from these pages or from the site."""
    values = {"hash": key, "idle_days": settings.session_idle_days, "longest_days": settings.session_days}
    return _access(connection.execute(load_sql("people/access/find_operator_session"), values).fetchone())


def find_program(connection: Connection, *, key: bytes, address: str | None = None) -> DagsterAccess | None:
    """The rights of the program whose token has this hash; a read-only token may not change anything here either."""
    values = {"hash": key, "address": address}
    return _access(connection.execute(load_sql("people/access/find_operator_token"), values).fetchone())


def _access(row: tuple[Any, ...] | None) -> DagsterAccess | None:
    return None if row is None else DagsterAccess(may_change=row[0] == "operate")
