"""All settings together, the folders that follow from them, and their way to a child process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from myi_pipeline.settings.database import DatabaseSettings
from myi_pipeline.settings.kinds import Folder, Positive
from myi_pipeline.settings.musicbrainz import MusicBrainzSettings
from myi_pipeline.settings.operations import OperationsSettings
from myi_pipeline.settings.services import ServiceSettings
from myi_pipeline.settings.site import SiteSettings
from myi_pipeline.settings.spotify import SpotifySettings

PREFIX = "MYI_"


def default_home() -> Path:
    """As a normal user the platform's user data folder; as root a system folder, which outlives root's own home."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/myi") if sys.platform == "linux" else platformdirs.site_data_path("myi")
    return platformdirs.user_data_path("myi", appauthor=False)


class ArchiveSettings(BaseSettings):
    """What an archive may hold. archives.files.Limits has the same names and defaults, and the reasons."""

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
        default=32, description="Deepest level of folders at which a history file is found."
    )


# Fields come from the last base to the first.
class Settings(
    OperationsSettings, SiteSettings, ArchiveSettings, MusicBrainzSettings, ServiceSettings, SpotifySettings,
    DatabaseSettings,
):  # fmt: skip
    """Everything a person can decide about MYI from outside. Variables are the field names in capitals after MYI_."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    home: Folder = Field(default_factory=default_home, description="Where MYI keeps its database, secrets and state.")
    uploads: Folder | None = Field(
        default=None, description="Folder with one sub-folder of archives per user; MYI_HOME/uploads."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment enters through load_settings alone: an object made in code depends on nothing else.
        return (init_settings,)

    @property
    def uploads_folder(self) -> Path:
        return self.uploads or self.home / "uploads"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def dbt_target(self) -> Path:
        return self.home / "dbt" / "target"

    @property
    def dbt_logs(self) -> Path:
        return self.home / "dbt" / "logs"

    @property
    def dbt_socket(self) -> Path:
        """Where `myi up` serves a warm dbt."""
        return self.home / "dbt" / "warm" / "dbt.sock"

    @property
    def docs_page(self) -> Path:
        """What `myi docs build` makes; one file."""
        return self.home / "dbt" / "docs" / "index.html"

    @property
    def secrets_folder(self) -> Path:
        return self.home / "secrets"

    def environment(self) -> dict[str, str]:
        """The variables that make a child process load the same settings. Secret."""
        values: dict[str, str] = {}
        for name in type(self).model_fields:
            value: Any = getattr(self, name)
            if value is not None:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                values[PREFIX + name.upper()] = text
        return values
