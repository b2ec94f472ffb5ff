"""Lists that MYI makes: what was on a playlist at an earlier time, what was removed from one, what was played most.

They are stored like playlists from files, with their own versions, so they can be exported, or moved to a service.
Making a list again adds a version if anything differs, or if it was removed. Both roles that serve people may call
this: database functions check who owns the playlist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from psycopg import errors
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.kept import KeptVersion, list_versions
from myi_pipeline.playlists.store import MOST_ENTRIES
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user

# Without those that were removed.
MOST_LISTS: Final = 1_000
# No service accepts a longer name.
LONGEST_NAME: Final = 200
_LONGEST_DESCRIPTION: Final = 1_000

_ENTRIES: Final = (
    "select kind, content_id, added_at, added_by, original, artists from ops.playlist_entries_of(%s, %s, %s)"
)
_REMOVED: Final = (
    "select kind, content_id, added_at, added_by, original, artists from ops.playlist_removed_of(%s, %s, %s)"
)

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MadeList:
    """A list that MYI made. `is_new`: whether a new version was stored; False if nothing differs."""

    playlist_id: int
    name: str
    version_no: int
    entries: int
    is_new: bool


def restore(
    connection: Connection,
    *,
    user_id: int,
    playlist_id: int,
    now: datetime,
    version_no: int | None = None,
    before: datetime | None = None,
    only_removed: bool = False,
    name: str | None = None,
) -> MadeList:
    """Make a list of what was on a playlist in a version, or in the last version seen before a moment.

    With `only_removed`: of what was on it in that version or later and no longer is; with neither version nor moment,
    since the first version. `connection` is in autocommit. Raises BadInput (its place is "playlist" if the user has no
    such playlist) and Transient.
    """
    versions = list_versions(connection, user_id=user_id, playlist_id=playlist_id)
    if version_no is None and before is None and not only_removed:
        raise BadInput("a day or a version is needed", place="version", rule="a day or a version")
    chosen = _choose(versions, version_no, before)
    if chosen.items is None and not only_removed:
        raise BadInput("its entries had not been read at that time", place="version", rule="a version with entries")
    statement = _REMOVED if only_removed else _ENTRIES
    rows = _read(connection, statement, user_id=user_id, playlist_id=playlist_id, version_no=chosen.version_no)
    title = versions[0].name or "Untitled"
    day = f"{chosen.seen_at.astimezone(UTC):%Y-%m-%d}"
    if not rows:
        what = f"nothing has been removed since {day}" if only_removed else "there was nothing on it at that time"
        raise BadInput(what, place="version", rule="a version with entries")
    if len(rows) > MOST_ENTRIES:
        raise BadInput(
            f"a playlist has at most {MOST_ENTRIES:,} entries, this would have {len(rows):,}", place="version"
        )
    given = name_of(name) if name is not None else None
    if only_removed:
        usual, description = f"{title}: removed", f"What was removed from {title} after {day}."
    else:
        usual, description = f"{title}, {day}", f"{title} as it was seen on {day}, version {chosen.version_no}."
    kind = "removed" if only_removed else "restored"
    return _keep(
        connection,
        user_id=user_id,
        key=f"/{kind}/{playlist_id}/{chosen.version_no}/{given or ''}",
        name=given or name_of(usual),
        description=description,
        rows=rows,
        now=now,
    )


def keep_contents(
    connection: Connection, *, user_id: int, name: str, description: str, content_ids: Sequence[int], now: datetime
) -> MadeList:
    """Make a list of contents, in order; the name identifies the list. Raises BadInput and Transient."""
    if not content_ids:
        raise BadInput("no plays match", place="period", rule="a period with plays")
    named = name_of(name)
    rows = [{"kind": "track", "content_id": content_id} for content_id in content_ids]
    return _keep(
        connection,
        user_id=user_id,
        key=f"/plays/{named}",
        name=named,
        description=description,
        rows=rows,
        now=now,
    )


def name_of(text: str) -> str:
    """A name on one line, cut to LONGEST_NAME. Raises BadInput if it has no visible characters."""
    seen = "".join(char if char.isprintable() else " " for char in storable_text(text))
    name = " ".join(seen.split())[:LONGEST_NAME].rstrip()
    if not name:
        raise BadInput("a list needs a name", place="name", rule=f"1 to {LONGEST_NAME} characters")
    return name


def _choose(versions: Sequence[KeptVersion], version_no: int | None, before: datetime | None) -> KeptVersion:
    """`versions` are newest first."""
    if version_no is not None:
        found = next((each for each in versions if each.version_no == version_no), None)
        if found is None:
            raise BadInput(f"the playlist has no version {version_no}", place="version", rule=f"1 to {len(versions)}")
        return found
    if before is None:
        return versions[-1]
    found = next((each for each in versions if each.seen_at < before), None)
    if found is None:
        first = f"{versions[-1].seen_at.astimezone(UTC):%Y-%m-%d}"
        raise BadInput(f"the playlist was first seen on {first}", place="at", rule="that day or a later one")
    return found


def _read(connection: Connection, statement: str, *, user_id: int, playlist_id: int, version_no: int) -> list[Row]:
    """Entries as keep_list takes them, without the service's entry ids, which belong to the source playlist."""
    with as_user(connection, user_id), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), (user_id, playlist_id, version_no)).fetchall()


def _keep(
    connection: Connection, *, user_id: int, key: str, name: str, description: str, rows: Iterable[Row], now: datetime
) -> MadeList:
    entries = [
        {
            "place": place,
            **{name: value for name, value in row.items() if value is not None},
            **({"added_at": row["added_at"].astimezone(UTC).isoformat()} if row.get("added_at") else {}),
        }
        for place, row in enumerate(rows)
    ]
    values = {
        "user_id": user_id,
        "key": key,
        "name": name,
        "description": description[:_LONGEST_DESCRIPTION],
        "entries": Jsonb(entries),
        "now": now,
    }

    def run() -> tuple[int, int, bool]:
        with as_user(connection, user_id):
            made = connection.execute(load_sql("playlists/keep_list"), values).fetchone()
        assert made is not None
        return made[0], made[1], made[2]

    try:
        playlist_id, version_no, is_new = retry_conflicts(run)
    except errors.ProgramLimitExceeded:
        raise BadInput(
            f"MYI keeps at most {MOST_LISTS:,} lists of its own for a user", place="lists", rule="reuse a name"
        ) from None
    except errors.ForeignKeyViolation:
        raise BadInput("a track has been removed since; try again", place="entries") from None
    return MadeList(
        playlist_id=playlist_id, name=name, version_no=version_no, entries=len(entries), is_new=is_new
    )  # fmt: skip
