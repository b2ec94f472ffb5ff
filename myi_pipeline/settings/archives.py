"""Settings: limits on uploaded archives. archives.files.Limits has the same names and defaults, and the reasons."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import Positive


class ArchiveSettings(BaseSettings):
    """What an archive may hold."""

    archive_max_entries: Positive = Field(default=10_000, description="Most files that an archive may hold.")
    archive_max_file_bytes: Positive = Field(
        default=256 * 1024**2, description="Most unpacked bytes of one file of an archive."
    )
    archive_max_total_bytes: Positive = Field(
        default=2 * 1024**3, description="Most unpacked bytes of a whole archive."
    )
    archive_max_ratio: Positive = Field(default=250, description="Most unpacked bytes for one packed byte of a file.")
    archive_max_row_bytes: Positive = Field(default=1024**2, description="Most bytes of one row of a history file.")
    archive_max_text_chars: Positive = Field(
        default=2_000, description="Longest name of a play; longer ones are quarantined."
    )
    archive_max_unknown_keys: Positive = Field(
        default=100, description="Most different unknown keys and unreadable values that are counted by name."
    )
    archive_max_folder_depth: Positive = Field(
        default=32, description="Deepest folder in which a history file may lie."
    )
