"""Users: adding, changing and listing them, and the rules for their keys, names and time zones."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput, UnknownUser
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.people.time_zones import database_name_of
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql


def list_user_keys(warehouse: Warehouse) -> list[str]:
    """The keys of all users, in sign-up order: one plain scan, even of a hundred thousand."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi users")) as connection:
        rows = connection.execute("select user_key from app.users order by user_id").fetchall()
    return [row[0] for row in rows]


# The same rule as the table's check: the key is a partition's name in Dagster and a folder's name in the uploads
# folder.
USER_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_KEY_RULE = "1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit"
LONGEST_NAME = 200
# Raised by the trigger refuse_held_key on app.users.
_KEY_IS_HELD = "MYI01"


@dataclass(frozen=True, kw_only=True)
class User:
    """One listener. `rows_loaded` counts the plays added by all attempts of all imports."""

    user_id: int
    user_key: str
    display_name: str | None
    time_zone: str
    created_at: datetime
    is_operator: bool = False
    imports: int = 0
    rows_loaded: int = 0
    last_import_at: datetime | None = None


def check_user_key(user_key: str) -> str:
    """Returns the key. Raises BadInput if it is invalid."""
    if not USER_KEY.match(user_key):
        raise BadInput(f"{user_key[:80]!r} cannot be a user key: {_KEY_RULE}", place="user key", rule=_KEY_RULE)
    return user_key


def check_time_zone(time_zone: str) -> str:
    """Returns the zone. Raises BadInput if there is none with that name."""
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        raise BadInput(
            f"{time_zone[:80]!r} is not a time zone: give an IANA name such as Europe/Berlin", place="time zone"
        ) from None
    return time_zone


def list_users(connection: Connection, *, user_key: str | None = None) -> tuple[User, ...]:
    """All users in the order in which they were added, or the one with this key."""
    with connection.cursor(row_factory=class_row(User)) as cursor:
        return tuple(cursor.execute(load_sql("people/listing/list_users"), {"user_key": user_key}).fetchall())


def get_user(connection: Connection, *, user_key: str) -> User:
    """Raises UnknownUser."""
    found = list_users(connection, user_key=user_key)
    if not found:
        raise unknown_user(user_key)
    return found[0]


def find_user_id(connection: Connection, *, user_key: str) -> int:
    """The user's id. Raises UnknownUser."""
    row = connection.execute("select user_id from app.users where user_key = %s", (user_key,)).fetchone()
    if row is None:
        raise unknown_user(user_key)
    return int(row[0])


def unknown_user(user_key: str, *, added_by: str = "myi user add KEY") -> UnknownUser:
    """The message names no other user, as it may be shown on a page."""
    return UnknownUser(
        f"there is no user {user_key[:80]!r}; `myi user list` shows all users, {added_by} adds one",
        place="user key",
        rule="the key of a user",
    )


def add_user(connection: Connection, *, user_key: str, time_zone: str, display_name: str | None = None) -> User:
    """Adds a user. Raises BadInput if the key is malformed or taken, or the zone or name is invalid."""
    check_user_key(user_key)
    check_time_zone(time_zone)
    check_display_name(display_name)
    check_database_knows(connection, time_zone)
    try:
        with connection.transaction():
            made = connection.execute(
                "insert into app.users (user_key, display_name, time_zone) values (%s, %s, %s)"
                " on conflict (user_key) do nothing returning user_id",
                (user_key, display_name or None, time_zone),
            ).fetchone()
            if made is not None:
                audit.record(connection, Event.USER_ADDED, user_id=made[0])
    except psycopg.Error as error:
        if error.sqlstate != _KEY_IS_HELD:
            raise
        raise BadInput(
            f"the key {user_key!r} is not free yet: the removal of its former user is not finished. `myi up`"
            f" finishes it within a few minutes; `myi user erase {user_key}` shows what is left",
            place="user key",
        ) from None
    if made is None:
        raise BadInput(f"there is already a user {user_key!r}", place="user key")
    return get_user(connection, user_key=user_key)


def set_user(
    connection: Connection,
    *,
    user_key: str,
    time_zone: str | None = None,
    display_name: str | None = None,
    is_operator: bool | None = None,
) -> User:
    """Changes what is given; an empty display name removes it.

    A new zone replaces the current one (see user_time_zones): for a user who never moved, it applies to every play. A
    given zone counts as chosen. Former zones that the database no longer knows are replaced as well. The role `app` may
    not change who is an operator.
    """
    user = get_user(connection, user_key=user_key)
    if time_zone is not None:
        check_time_zone(time_zone)
    check_display_name(display_name)
    zone = time_zone if time_zone is not None else user.time_zone
    name = user.display_name if display_name is None else display_name or None
    if zone != user.time_zone:
        check_database_knows(connection, zone)
    with connection.transaction():
        connection.execute(
            "update app.users set time_zone = %s, display_name = %s,"
            " time_zone_chosen_at = case when %s then now() else time_zone_chosen_at end where user_key = %s",
            (zone, name, time_zone is not None, user_key),
        )
        if time_zone is not None:
            connection.execute(
                "update app.user_time_zones set time_zone = %s"
                " where user_id = %s and time_zone <> %s and not ops.knows_time_zone(time_zone)",
                (zone, user.user_id, zone),
            )
            join_equal_zones(connection, user_id=user.user_id)
        if is_operator is not None:
            connection.execute("update app.users set is_operator = %s where user_key = %s", (is_operator, user_key))
            audit.record(connection, Event.COMMAND, user_id=user.user_id, detail={"operator": is_operator})
    return get_user(connection, user_key=user_key)


def join_equal_zones(connection: Connection, *, user_id: int) -> None:
    """Makes neighbouring time zones of a user that are the same one zone, from the first of them on."""
    connection.execute(load_sql("people/join_equal_zones"), {"user_id": user_id})


def check_display_name(display_name: str | None) -> None:
    if display_name is not None and (len(display_name) > LONGEST_NAME or not display_name.isprintable()):
        raise BadInput(
            f"a display name has at most {LONGEST_NAME} printable characters", place="display name", rule="printable"
        )


def check_database_knows(connection: Connection, time_zone: str) -> None:
    """Raises BadInput. Python and Postgres have separate zone data; a zone must be known to both."""
    found = connection.execute("select ops.knows_time_zone(%s)", (time_zone,)).fetchone()
    if found is not None and found[0]:
        return
    other = database_name_of(connection, time_zone)
    advice = f"; {other} has the same clock" if other else "; give another IANA name"
    raise BadInput(f"the database knows no time zone {time_zone[:80]!r}{advice}", place="time zone")
