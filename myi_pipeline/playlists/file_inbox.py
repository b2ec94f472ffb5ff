"""Playlist files that the site receives: read at once, and stored by another process, as the site may not do that.

A file that was accepted is committed before the answer is sent, and leaves the inbox once its playlists are stored. The
result is the same if that is interrupted at any point and repeated, or done by several processes at once: what is
stored already is no change.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.errors import BadInput, MyiError
from myi_pipeline.playlists.file_lists import check_names, store_readings
from myi_pipeline.playlists.files import Limits, Reading, read_open_file
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.postgres.wake_ups import Wake, wake

log = structlog.get_logger(__name__)

# A list of 10,000 tracks has one to three megabytes. Larger files are imported by the command.
MOST_BYTES: Final = 16 * 2**20
LIMITS: Final = Limits(
    max_bytes=MOST_BYTES, max_unpacked_bytes=4 * MOST_BYTES, max_entries=50_000, max_playlists=2_000,
    max_lines=500_000, max_values=1_500_000, max_members=2_000,
)  # fmt: skip
# Per user. More than this means that nothing empties the inbox.
MOST_WAITING_BYTES: Final = 4 * MOST_BYTES
LONGEST_NAME: Final = 200


class InboxFull(BadInput):
    """Too many files of this user are waiting to be stored."""


@dataclass(frozen=True, kw_only=True)
class KeptFiles:
    """Files whose playlists were stored, new versions, and files put off. `is_done`: nothing is waiting."""

    files: int = 0
    new: int = 0
    put_off: int = 0
    is_done: bool = True


def name_of_file(given: str) -> str:
    """A file's name without folders, by which its playlists are recognised on the next import. Raises BadInput."""
    last = storable_text(given).replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in last if char.isprintable()).strip()
    if not name or len(name) > LONGEST_NAME:
        raise BadInput(
            f"the file needs a name of 1 to {LONGEST_NAME} characters",
            place="name",
            rule=f"1 to {LONGEST_NAME} characters",
        )
    return name


def read_upload(content: bytes, *, name: str) -> tuple[Reading, ...]:
    """What `myi playlists import` reads of this file, within narrower limits. Raises BadInput."""
    readings = read_open_file(io.BytesIO(content), place=name, limits=LIMITS)
    check_names([(Path(name), reading) for reading in readings])
    return readings


def accept_file(connection: Connection, *, user_id: int, name: str, content: bytes) -> None:
    """Leave a file that was read. Both roles that serve people may call this. Raises InboxFull."""
    with as_user(connection, user_id):
        row = connection.execute(
            "select ops.accept_playlist_file(%s, %s, %s, %s)", (user_id, name, content, MOST_WAITING_BYTES)
        ).fetchone()
    if row is None or not row[0]:
        raise InboxFull("earlier files of yours are still waiting to be stored; try again later", place="file")


def keep_files(
    connection: Connection,
    *,
    now: Callable[[], datetime],
    at_most_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> KeptFiles:
    """Store the playlists of waiting files, oldest first, and begin no more after `at_most_s` seconds. For the role
    `ingest`, in autocommit. A file that fails is put off; only the loss of the connection raises.
    """
    files = new = put_off = after_id = 0
    began = clock()
    while True:
        if at_most_s is not None and clock() - began >= at_most_s:
            return KeptFiles(files=files, new=new, put_off=put_off, is_done=False)
        row = connection.execute(load_sql("playlists/inbox_next"), {"after_id": after_id}).fetchone()
        if row is None:
            return KeptFiles(files=files, new=new, put_off=put_off)
        after_id, user_id, name, content = row
        try:
            readings = read_upload(content, name=name)
            stored = store_readings(connection, user_id=user_id, readings=readings, now=now())
        except BadInput as error:
            # It was read before it was accepted: another version of MYI accepted it, with other rules.
            log.warning("playlist_file_refused", file=after_id, user_id=user_id, rule=error.rule)
        except Exception as error:
            if connection.broken or connection.closed:
                raise
            # Texts of other errors may contain anything, so only those of MYI are shown.
            reason = str(error) if isinstance(error, MyiError) else type(error).__name__
            log.error("playlist_file_not_stored", file=after_id, user_id=user_id, reason=reason)
            connection.execute(load_sql("playlists/inbox_put_off"), {"file_id": after_id, "error": reason})
            put_off += 1
            continue
        else:
            files += 1
            new += sum(each.is_new for each in stored)
            if any(each.is_new for each in stored):
                wake(connection, Wake.CHANGES)
        connection.execute("delete from ops.playlist_file_inbox where file_id = %s", (after_id,))
