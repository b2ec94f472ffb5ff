"""The rows of app.imports for archives that are waiting: seen, requested, failed, tried again.

Whether an archive is imported follows from its row alone: if a sensor forgets everything, or a run dies before it
begins, the row still says what is to be done.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from psycopg.rows import class_row

from myi_pipeline.archives.list_imports import ImportSummary, find_import
from myi_pipeline.errors import BadInput, NotConfirmed
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# After the first, second and third try. An archive that fails a fourth time waits for a person.
WAITS_S = (60.0, 600.0, 3_600.0)
_LONGEST_ERROR = 2_000


@dataclass(frozen=True, kw_only=True)
class KnownUpload:
    """The row of an archive in the uploads folder. `is_asked`: a run was requested and has not begun with it."""

    user_key: str
    sha256: bytes
    import_id: int
    status: str
    error: str | None
    upload_name: str | None
    seen_as: str | None
    tries: int
    is_refused: bool
    confirmation: str | None
    request_id: str | None
    is_alive: bool
    is_asked: bool
    is_asked_long_ago: bool
    is_too_early: bool
    has_members: bool

    @property
    def is_done(self) -> bool:
        return self.status in ("completed", "completed_with_errors")

    @property
    def is_given_up(self) -> bool:
        return self.status == "failed" and (self.is_refused or self.tries > len(WAITS_S))


def known_uploads(connection: Connection, contents: Sequence[tuple[str, str]]) -> dict[tuple[str, str], KnownUpload]:
    """The rows for these (user key, sha256 in hex), by the same."""
    if not contents:
        return {}
    values = {"user_keys": [user for user, _ in contents], "hashes": [bytes.fromhex(value) for _, value in contents]}
    with connection.cursor(row_factory=class_row(KnownUpload)) as cursor:
        rows = cursor.execute(load_sql("archives/uploads/known_uploads"), values).fetchall()
    return {(row.user_key, row.sha256.hex()): row for row in rows}


def hashes_by_name(connection: Connection, *, user_keys: Collection[str]) -> dict[str, dict[str, str]]:
    """For each name of an upload, the hashes of what was there, by the value of `seen_as`."""
    rows = connection.execute(load_sql("archives/uploads/hashes_by_name"), {"user_keys": list(user_keys)}).fetchall()
    found: dict[str, dict[str, str]] = {}
    for name, seen_as, sha256 in rows:
        found.setdefault(name, {})[seen_as] = sha256
    return found


def note_seen(
    connection: Connection, *, user_key: str, sha256: str, upload_name: str, size: int, seen_as: str | None
) -> int | None:
    """Insert or update the row of an archive in the folder; None if the user is gone."""
    once_more = (
        " on conflict (user_id, sha256) do update set upload_name = excluded.upload_name, seen_as = excluded.seen_as"
        " returning import_id"
    )
    values = _values(user_key, sha256, upload_name, size, seen_as)
    row = connection.execute(load_sql("archives/uploads/note") + once_more, values).fetchone()
    return int(row[0]) if row is not None else None


def note_new(
    connection: Connection, *, user_key: str, sha256: str, upload_name: str, size: int, seen_as: str | None
) -> None:
    """The same for a content that has no row yet; an existing row is unchanged."""
    values = _values(user_key, sha256, upload_name, size, seen_as)
    connection.execute(load_sql("archives/uploads/note") + " on conflict (user_id, sha256) do nothing", values)


def _values(user_key: str, sha256: str, upload_name: str, size: int, seen_as: str | None) -> dict[str, object]:
    return {
        "user_key": user_key,
        "sha256": bytes.fromhex(sha256),
        "archive_name": upload_name.rpartition("/")[2],
        "bytes_total": size,
        "upload_name": upload_name,
        "seen_as": seen_as,
    }


def ask_for(connection: Connection, import_ids: Sequence[int], *, request_id: str) -> frozenset[int]:
    """Record that a run with this key was requested; returns those that are still waiting for one."""
    rows = connection.execute(
        load_sql("archives/uploads/ask_for"), {"import_ids": list(import_ids), "request_id": request_id}
    ).fetchall()
    return frozenset(int(row[0]) for row in rows)


def note_failure(
    connection: Connection, import_id: int, *, error: str, is_refused: bool = False, is_counted: bool = True
) -> bool:
    """Record that a try has failed; returns whether the archive waits for another one.

    `is_refused`: trying again changes nothing. Not `is_counted`: the machine was at fault, so the try does not count.
    """
    values = {
        "import_id": import_id,
        "error": error[:_LONGEST_ERROR],
        "is_refused": is_refused,
        "is_counted": is_counted,
        "waits_s": list(WAITS_S),
    }
    row = connection.execute(load_sql("archives/uploads/note_failure"), values).fetchone()
    return row is not None and row[0] == "pending"


def try_again(
    connection: Connection, import_id: int, *, is_confirmed: bool = False, seen_as: str | None = None
) -> bool:
    """Let it wait as if it were new; False if it has been imported or is being imported."""
    values = {"import_id": import_id, "is_confirmed": is_confirmed, "seen_as": seen_as}
    return connection.execute(load_sql("archives/uploads/try_again"), values).fetchone() is not None


def fail_by_name(connection: Connection, *, user_key: str, name: str, error: str) -> bool:
    """A try of a waiting import has failed because its run could not find the archive; False if none is waiting."""
    values = {"user_key": user_key, "name": name}
    rows = connection.execute(load_sql("archives/uploads/waiting_by_name"), values).fetchall()
    for (import_id,) in rows:
        note_failure(connection, import_id, error=error)
    return bool(rows)


def now_there(connection: Connection) -> datetime:
    """The database's clock, like the times in its rows."""
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    return cast(datetime, row[0])


def fail_missing(
    connection: Connection, *, user_keys: Collection[str], found: Collection[int], looked_at: datetime
) -> int:
    """Fail those waiting imports of these users, whose folders were read completely, that are not among `found`;
    returns how many. Imports added after `looked_at`, when the scan began, are left alone.

    An archive that was replaced under its name before its import began is forgotten.
    """
    values = {"user_keys": list(user_keys), "found": list(found), "looked_at": looked_at}
    connection.execute(load_sql("archives/uploads/drop_replaced"), values)
    return len(connection.execute(load_sql("archives/uploads/fail_missing"), values).fetchall())


def note_stuck(connection: Connection, stuck: Sequence[tuple[str, str, int, str, bool]]) -> None:
    """Keep one row for each (user key, name, bytes, reason, has failed) that cannot be imported as it is, pending until
    it has failed; rows of others are deleted.

    Their content is not known yet, so a name represents it.
    """
    columns = list(zip(*stuck, strict=True)) or [(), (), (), (), ()]
    values = dict(zip(("user_keys", "names", "sizes", "reasons", "failed"), map(list, columns), strict=True))
    with connection.transaction():
        connection.execute(load_sql("archives/uploads/drop_unstuck"), values)
        connection.execute(load_sql("archives/uploads/note_stuck"), values)


def drop_unknown(connection: Connection, *, user_key: str, sha256: str) -> None:
    """Forget the row of an upload that could not be read, now that its content has a row."""
    connection.execute(
        "delete from app.imports as i using app.users as u where u.user_id = i.user_id and u.user_key = %s"
        " and i.sha256 = %s and i.kind = 'unknown'",
        (user_key, bytes.fromhex(sha256)),
    )


def retry_import(
    connection: Connection, *, import_id: int, user_key: str | None = None, is_confirmed: bool = False
) -> ImportSummary:
    """Queue an import again; returns its new state.

    Raises BadInput if the user has no such import or there is nothing to retry; NotConfirmed if another user also has
    the archive and `is_confirmed` is not set.
    """
    found = find_import(connection, import_id=import_id, user_key=user_key)
    if found is None:
        raise BadInput(f"there is no import {import_id}; see: myi imports list", place="import")
    if found.needs_confirmation and not is_confirmed:
        raise NotConfirmed(found.error or "another user has this archive", place="import")
    if not try_again(connection, import_id, is_confirmed=is_confirmed):
        status = found.status.replace("_", " ")
        raise BadInput(f"import {import_id} is {status}; there is nothing to retry", place="import")
    changed = find_import(connection, import_id=import_id, user_key=user_key)
    assert changed is not None
    return changed
