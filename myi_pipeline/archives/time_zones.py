"""In which zone the times of an archive are read whose player does not say where it was.

A `.scrobbler.log` with #TZ/UNKNOWN holds what the player's clock showed. A person says where that was; whoever says
nothing gets the zone in which their days are counted. What a log was read with stays with its import: read again in
another zone, it brings other plays, and those of before go.
"""

from __future__ import annotations

from myi_pipeline.archives.files import HistoryArchive
from myi_pipeline.people.manage_users import check_time_zone
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql


def choose_zone(connection: Connection, archive: HistoryArchive, *, user_id: int, time_zone: str | None) -> str | None:
    """Set `archive.time_zone`, and return it if a file of the archive needs one. `time_zone` is what a person asks for.

    Raises BadInput when it is no zone.
    """
    if time_zone is not None:
        check_time_zone(time_zone)
    if not archive.files_without_zone:
        return None
    row = connection.execute(
        load_sql("archives/imports/zone_of_import"), {"user_id": user_id, "sha256": archive.sha256}
    ).fetchone()
    assert row is not None
    own, chosen = row
    archive.time_zone = time_zone or chosen or own
    return archive.time_zone


def zone_note(archive: HistoryArchive) -> str | None:
    """What a person should know of the zone that was taken; None where no file needs one."""
    names = [file.name for file in archive.files_without_zone]
    if not names:
        return None
    which = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return (
        f"{which} does not say in which time zone the player was: its times were read as those of {archive.time_zone}."
        " If it was elsewhere, import the file again with the right zone: its plays move."
    )
