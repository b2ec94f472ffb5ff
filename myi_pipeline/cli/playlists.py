"""`myi playlists`: playlists of linked accounts and in files, and how their tracks are matched."""

from __future__ import annotations

import typer

from myi_pipeline.cli import playlist_matching, playlists_in_files, playlists_made, playlists_of_user

app = typer.Typer(
    help="Playlists of linked accounts and in files: their history, formats, and how tracks are matched.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
playlists_of_user.add_commands(app)
playlists_in_files.add_commands(app)
playlists_made.add_commands(app)
playlist_matching.add_commands(app)
