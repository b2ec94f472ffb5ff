"""The playlist data in an export: every version of each playlist, decisions on single tracks, past migrations, and
the playlists kept in sync."""

from __future__ import annotations

from typing import Final

from myi_pipeline.postgres.parts import Part

PARTS: Final = (
    Part(name="playlists/lists", tables=("raw.playlists",), read="playlists/parts/lists"),
    Part(name="playlists/versions", tables=("raw.playlist_versions",), read="playlists/parts/versions"),
    Part(
        name="playlists/entries",
        tables=("raw.playlist_items",),
        read="playlists/parts/entries",
        bring="playlists/parts/bring_playlists",
    ),
    # Exported for the record but never imported: a migration needs accounts that are signed in here.
    Part(name="playlists/moves", tables=("app.migrations",), read="playlists/parts/moves"),
    Part(name="playlists/move_entries", tables=("app.migration_items",), read="playlists/parts/move_entries"),
    # Imported as paused.
    Part(
        name="playlists/in_sync",
        tables=("app.saved_migrations",),
        read="playlists/parts/in_sync",
        bring="playlists/parts/bring_in_sync",
    ),
)
DECISIONS: Final = (
    Part(
        name="decisions/matches",
        tables=("app.match_decisions",),
        read="playlists/parts/match_decisions",
        bring="playlists/parts/bring_match_decisions",
    ),
)
