"""The listeners of this warehouse: adding, changing, listing and removing them.

Belongs here: the rules for a user's key and zone, and what removing one means. Not here: signing in, imports.
Invariant: whatever changes what a user's marts hold (time zone, removal) enters the change ledger in the same
transaction; the triggers on app.users see to it, so this module only ever writes that table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from myi_pipeline.core.errors import BadInput, UnknownUser
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

# The same rule as the table's check: the key is a partition's name in Dagster and a folder's name in the uploads.
USER_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_KEY_RULE = "1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit"
LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class User:
    """One listener. `rows_loaded` counts the plays that all attempts of all imports added."""

    user_id: int
    user_key: str
    display_name: str | None
    time_zone: str
    created_at: datetime
    imports: int = 0
    rows_loaded: int = 0
    last_import_at: datetime | None = None


def check_user_key(user_key: str) -> str:
    """The key itself. Raises BadInput when it cannot be one."""
    if not USER_KEY.match(user_key):
        raise BadInput(f"{user_key[:80]!r} cannot be a user key: {_KEY_RULE}", place="user key", rule=_KEY_RULE)
    return user_key


def check_time_zone(time_zone: str) -> str:
    """The zone itself. Raises BadInput when there is none of that name."""
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        raise BadInput(
            f"{time_zone[:80]!r} is no time zone: give an IANA name such as Europe/Berlin", place="time zone"
        ) from None
    return time_zone


def list_users(connection: Connection, *, user_key: str | None = None) -> tuple[User, ...]:
    """All users in the order in which they were added, or the one with this key."""
    with connection.cursor(row_factory=class_row(User)) as cursor:
        return tuple(cursor.execute(load_sql("listing/list_users"), {"user_key": user_key}).fetchall())


def get_user(connection: Connection, *, user_key: str) -> User:
    """Raises UnknownUser, naming the keys there are."""
    found = list_users(connection, user_key=user_key)
    if found:
        return found[0]
    known = ", ".join(user.user_key for user in list_users(connection)[:5]) or "none yet"
    raise UnknownUser(
        f"there is no user {user_key[:80]!r} (there are: {known}); add one with: myi user add KEY", place="user key"
    )


def add_user(connection: Connection, *, user_key: str, time_zone: str, display_name: str | None = None) -> User:
    """A new user. Raises BadInput when the key is malformed or taken, or the zone or name cannot be."""
    check_user_key(user_key)
    check_time_zone(time_zone)
    check_display_name(display_name)
    with connection.transaction(), _zone_known_to_postgres(time_zone):
        made = connection.execute(
            "insert into app.users (user_key, display_name, time_zone) values (%s, %s, %s)"
            " on conflict (user_key) do nothing",
            (user_key, display_name or None, time_zone),
        )
    if made.rowcount == 0:
        raise BadInput(f"there is already a user {user_key!r}", place="user key")
    return get_user(connection, user_key=user_key)


def set_user(
    connection: Connection, *, user_key: str, time_zone: str | None = None, display_name: str | None = None
) -> User:
    """Changes what is given; an empty display name takes it away. A new zone moves every play's local date."""
    user = get_user(connection, user_key=user_key)
    if time_zone is not None:
        check_time_zone(time_zone)
    check_display_name(display_name)
    zone = time_zone if time_zone is not None else user.time_zone
    name = user.display_name if display_name is None else display_name or None
    with connection.transaction(), _zone_known_to_postgres(zone):
        connection.execute(
            "update app.users set time_zone = %s, display_name = %s where user_key = %s", (zone, name, user_key)
        )
    return get_user(connection, user_key=user_key)


def remove_user(connection: Connection, *, user_key: str) -> User:
    """Removes the user with every play, import and quarantined row; the marts follow with the next refresh."""
    user = get_user(connection, user_key=user_key)
    with connection.transaction():
        connection.execute("delete from app.users where user_id = %s", (user.user_id,))
    return user


def check_display_name(display_name: str | None) -> None:
    if display_name is not None and (len(display_name) > LONGEST_NAME or not display_name.isprintable()):
        raise BadInput(
            f"a display name has at most {LONGEST_NAME} printable characters", place="display name", rule="printable"
        )


class _zone_known_to_postgres:  # noqa: N801  (a context manager, read like a function)
    """Python and Postgres bring zone data of their own; a zone must be known to both."""

    def __init__(self, time_zone: str) -> None:
        self._zone = time_zone

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, psycopg.errors.InvalidParameterValue):
            raise BadInput(f"the database knows no time zone {self._zone!r}", place="time zone") from error
