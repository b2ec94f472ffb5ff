"""The time zones in which a user's days are counted: after a move, each day has the zone of that time.

The last zone is the current one, which is also in app.users; triggers keep the two in sync and mark changed days
(0010_81_time_zones.sql).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.people.manage_users import check_database_knows, check_time_zone, get_user, join_equal_zones
from myi_pipeline.postgres.connections import Connection

# Earlier than any play.
_FIRST = datetime(2005, 1, 1, tzinfo=UTC)
_TOO_MANY = "MYI02"


@dataclass(frozen=True, kw_only=True)
class ZoneInTurn:
    """A zone that applies until the next one begins.

    `valid_from` is None for the first, which covers all earlier time.
    """

    time_zone: str
    valid_from: datetime | None


def list_time_zones(connection: Connection, *, user_id: int) -> tuple[ZoneInTurn, ...]:
    """In chronological order: the last one is current."""
    query = (
        "select time_zone, nullif(valid_from, '-infinity') as valid_from from app.user_time_zones"
        " where user_id = %s order by user_time_zones.valid_from"
    )
    with connection.cursor(row_factory=class_row(ZoneInTurn)) as cursor:
        return tuple(cursor.execute(query, (user_id,)).fetchall())


def begin_time_zone(connection: Connection, *, user_key: str, time_zone: str, since: date, now: datetime) -> None:
    """Counts the user's days in this zone from the start of the day `since` there, until the next stored zone begins.

    The next refresh moves plays of that time to other days. Raises BadInput."""
    user = get_user(connection, user_key=user_key)
    check_time_zone(time_zone)
    check_database_knows(connection, time_zone)
    at = datetime.combine(since, time(), tzinfo=ZoneInfo(time_zone)).astimezone(UTC)
    if not _FIRST <= at <= now:
        raise BadInput("a time zone must begin on a day between 2005 and today", place="since")
    query = (
        "insert into app.user_time_zones (user_id, valid_from, time_zone) values (%s, %s, %s)"
        " on conflict (user_id, valid_from) do update set time_zone = excluded.time_zone"
    )
    try:
        with connection.transaction():
            connection.execute(query, (user.user_id, at, time_zone))
            join_equal_zones(connection, user_id=user.user_id)
            connection.execute("update app.users set time_zone_chosen_at = now() where user_id = %s", (user.user_id,))
    except psycopg.Error as error:
        if error.sqlstate != _TOO_MANY:
            raise
        raise BadInput(str(error.diag.message_primary), place="time zone") from None


def remove_time_zone(connection: Connection, *, user_id: int, valid_from: datetime) -> bool:
    """Removes a zone, extending the previous one. False if none begins at that moment; the first cannot be removed."""
    query = "delete from app.user_time_zones where user_id = %s and valid_from = %s and valid_from > '-infinity'"
    with connection.transaction():
        is_removed = connection.execute(query, (user_id, valid_from)).rowcount > 0
        join_equal_zones(connection, user_id=user_id)
    return is_removed
