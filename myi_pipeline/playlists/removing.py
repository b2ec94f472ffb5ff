"""Removing a list that is no service's: one from a file, from Spotify's account data, or made by MYI.

As for a playlist that has left its service's library, another version marks it as gone, and its history is kept. It
comes back when its file is imported again, or when it is made again. Both roles that serve people may call this: a
database function checks who owns the playlist.
"""

from __future__ import annotations

from datetime import datetime

from myi_pipeline.errors import BadInput
from myi_pipeline.people.audit import Event, record
from myi_pipeline.playlists.kept import no_playlist
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers.accounts import Provider


class ListOfService(BadInput):
    """The playlist belongs to an account at a service, and only goes when it goes there."""


def remove_list(
    connection: Connection, *, user_id: int, playlist_id: int, now: datetime, address: str | None = None
) -> bool:
    """Whether it was there: removing it once more changes nothing. Migrations of it go on with the version that they
    were planned with, as when a playlist leaves its service.

    `connection` is in autocommit. Raises ListOfService, BadInput (its place is "playlist") if the user has no such
    playlist, and Transient.
    """
    values = {"user_id": user_id, "playlist_id": playlist_id, "now": now}

    def run() -> tuple[str | None, bool] | None:
        with as_user(connection, user_id):
            found = connection.execute(load_sql("playlists/remove_list"), values).fetchone()
            if found is not None and found[1]:
                detail = {"playlist": playlist_id}
                record(connection, Event.PLAYLIST_REMOVED, user_id=user_id, address=address, detail=detail)
        return None if found is None else (found[0], bool(found[1]))

    removed = retry_conflicts(run)
    if removed is None:
        raise no_playlist(playlist_id)
    service, is_new = removed
    if service is not None:
        raise ListOfService(
            f"this playlist belongs to an account at {Provider(service).label}: delete it there, and it will be marked"
            " as gone here",
            place="playlist",
            rule="a playlist from a file, or made by MYI",
        )
    return is_new
