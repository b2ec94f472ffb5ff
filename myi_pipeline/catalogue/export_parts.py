"""The catalogue data in an export: names and facts of everything that one user's rows refer to, and the user's own
decisions on which tracks are one song.

Genres and tags are from MusicBrainz, under CC BY-NC-SA 3.0; the manifest of an export says so.
"""

from __future__ import annotations

from typing import Final

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.parts import Part, run_statements
from myi_pipeline.postgres.sql_files import load_statements

WANTED: Final = {
    "wanted_contents": "content_id", "wanted_artists": "artist_id", "wanted_albums": "album_id",
    "wanted_contexts": "context_id",
}  # fmt: skip

NAMES: Final = (
    Part(name="catalogue/artists", tables=(), read="catalogue/parts/artists"),
    Part(name="catalogue/albums", tables=(), read="catalogue/parts/albums"),
    Part(name="catalogue/contents", tables=(), read="catalogue/parts/contents"),
    Part(name="catalogue/aliases", tables=(), read="catalogue/parts/aliases"),
    Part(name="catalogue/contexts", tables=(), read="catalogue/parts/contexts"),
    Part(name="catalogue/musicbrainz_recordings", tables=(), read="catalogue/parts/musicbrainz_recordings"),
    Part(name="catalogue/musicbrainz_votes", tables=(), read="catalogue/parts/musicbrainz_votes"),
    Part(name="catalogue/found_recordings", tables=(), read="catalogue/parts/found_recordings"),
)
DECISIONS: Final = (
    Part(
        name="decisions/recordings",
        tables=("app.recording_decisions",),
        read="catalogue/parts/recording_decisions",
        bring="catalogue/parts/bring_recording_decisions",
    ),
)


def make_wanted_tables(connection: Connection) -> None:
    """To be called before the transaction of the export begins, because that is read-only."""
    for table, column in WANTED.items():
        connection.execute(f"create temporary table {table} ({column} int primary key)")


def fill_wanted_tables(connection: Connection, *, user_id: int) -> None:
    for statement in load_statements("catalogue/parts/wanted"):
        connection.execute(statement, {"user_id": user_id} if "%(" in statement else None)


def bring_names(connection: Connection, *, import_id: int) -> None:
    """Intern everything that the staged parts name, in one transaction. The table `batch_here` maps the export's batch
    numbers to those of this installation.
    """
    with connection.transaction():
        run_statements(connection, "catalogue/parts/bring_names", {"import_id": import_id})
        run_statements(connection, "catalogue/load/alias_names", {})
        run_statements(connection, "catalogue/parts/bring_musicbrainz", {})
