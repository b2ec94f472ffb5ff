"""Keeps the playlists that an archive of listening history also holds, as Spotify's account data does.

They are kept after the archive's plays, so that an archive of another person, which waits for a confirmation, leaves no
playlists either. Repeating it changes nothing, also where archives of several years are imported again, one after
another.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from myi_pipeline.errors import BadInput
from myi_pipeline.people.manage_users import get_user
from myi_pipeline.playlists.file_lists import StoredList, store_readings
from myi_pipeline.playlists.files import read_lists_beside_plays
from myi_pipeline.postgres.connections import Role, Warehouse


@dataclass(frozen=True, kw_only=True)
class KeptPlaylists:
    """`files`: those that were read; `refused`: why the playlists cannot be read, if they cannot."""

    files: tuple[str, ...] = ()
    lists: tuple[StoredList, ...] = ()
    refused: str | None = None

    @property
    def sentence(self) -> str | None:
        """For people; None if the archive holds no playlists."""
        if self.refused is not None:
            return f"the playlists were not read: {self.refused}"
        if not self.lists:
            return None
        new = sum(each.is_new for each in self.lists)
        return f"{len(self.lists):,} playlist{'' if len(self.lists) == 1 else 's'} kept, {new:,} of them new or changed"


def keep_playlists(warehouse: Warehouse, paths: Sequence[Path], *, user_key: str, now: datetime) -> KeptPlaylists:
    """Playlists that cannot be read do not refuse the plays beside them. Raises Transient if the database is busy."""
    try:
        readings = read_lists_beside_plays(paths)
        if not readings:
            return KeptPlaylists()
        with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
            user_id = get_user(connection, user_key=user_key).user_id
            lists = store_readings(connection, user_id=user_id, readings=readings, now=now, skips_known=True)
    except BadInput as error:
        return KeptPlaylists(refused=str(error))
    return KeptPlaylists(files=tuple(reading.place for reading in readings), lists=lists)


def import_archive_playlists(warehouse: Warehouse, paths: Sequence[Path], *, user_key: str) -> str | None:
    """The same with the machine's clock; returns what to tell people about it."""
    return keep_playlists(warehouse, paths, user_key=user_key, now=datetime.now(UTC)).sentence
