"""All settings together, the folders derived from them, and passing them to a child process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Self

import platformdirs
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from myi_pipeline.settings.artifacts import ArtifactSettings, is_object_store
from myi_pipeline.settings.backups import BackupSettings
from myi_pipeline.settings.database import DatabaseSettings
from myi_pipeline.settings.kinds import Folder, Positive
from myi_pipeline.settings.musicbrainz import MusicBrainzSettings
from myi_pipeline.settings.notices import NoticeSettings
from myi_pipeline.settings.operations import OperationsSettings
from myi_pipeline.settings.parts import PartSettings
from myi_pipeline.settings.playlist_services import PlaylistServiceSettings
from myi_pipeline.settings.services import ServiceSettings
from myi_pipeline.settings.site import SiteSettings
from myi_pipeline.settings.spotify import SpotifySettings
from myi_pipeline.settings.uploads import UploadSettings

PREFIX = "MYI_"
# Docker, Podman and Kubernetes mount secrets as files.
FILE_SUFFIX = "_FILE"


def default_home() -> Path:
    """For a normal user, the platform's user data folder; for root, a system folder, which outlives root's home."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/myi") if sys.platform == "linux" else platformdirs.site_data_path("myi")
    return platformdirs.user_data_path("myi", appauthor=False)


class ArchiveSettings(BaseSettings):
    """Limits of an archive. archives.files.Limits has the same names and defaults, and the reasons."""

    archive_max_entries: Positive = Field(default=10_000, description="Maximum number of files in an archive.")
    archive_max_file_bytes: Positive = Field(
        default=256 * 1024**2, description="Maximum unpacked bytes of one file in an archive."
    )
    archive_max_total_bytes: Positive = Field(
        default=2 * 1024**3, description="Maximum unpacked bytes of a whole archive."
    )
    archive_max_ratio: Positive = Field(
        default=250, description="Maximum compression ratio of a file: unpacked bytes per packed byte."
    )
    archive_max_row_bytes: Positive = Field(default=1024**2, description="Maximum bytes of one row of a history file.")
    archive_max_text_chars: Positive = Field(
        default=2_000, description="Maximum length of a name in a play; plays with longer ones are quarantined."
    )
    archive_max_unknown_keys: Positive = Field(
        default=100,
        description="Maximum number of different unknown keys and unreadable values that are counted by name.",
    )
    archive_max_folder_depth: Positive = Field(
        default=32, description="Maximum folder depth at which history files are found."
    )


# Pydantic collects fields from the last base to the first.
class Settings(
    PartSettings, OperationsSettings, SiteSettings, ArchiveSettings, MusicBrainzSettings, PlaylistServiceSettings,
    ServiceSettings, SpotifySettings, BackupSettings, ArtifactSettings, DatabaseSettings, NoticeSettings,
    UploadSettings,
):  # fmt: skip
    """All settings of MYI. The variables are MYI_ and the field names in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    home: Folder = Field(default_factory=default_home, description="Where MYI stores its database, secrets and state.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # Only load_settings reads the environment: an object made in code depends on nothing else.
        return (init_settings,)

    @model_validator(mode="after")
    def _places_fit(self) -> Self:
        if self.celery_broker_url is not None and self.database_url is None:
            raise ValueError(
                "MYI_CELERY_BROKER_URL: needs MYI_DATABASE_URL, because workers do not reach the embedded Postgres"
            )
        # Both have a folder for each user: one by id, the other by key, which may be a number.
        if self.uploads is not None and is_object_store(self.uploads) and self.uploads == self.artifacts:
            raise ValueError("MYI_UPLOADS: exports are stored there (MYI_ARTIFACTS); name another path in the bucket")
        return self

    @property
    def uploads_folder(self) -> Path:
        """With an object store: where archives lie for as long as they are looked into."""
        if self.uploads is None or is_object_store(self.uploads):
            return self.home / "uploads"
        return Path(self.uploads)

    @property
    def uploads_place(self) -> str:
        """The folder, or the address of the object store."""
        return str(self.uploads or self.uploads_folder)

    @property
    def artifacts_folder(self) -> Path | None:
        """None if they are in an object store, at `artifacts`."""
        if self.artifacts is None:
            return self.home / "artifacts"
        return None if is_object_store(self.artifacts) else Path(self.artifacts)

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
        """The file that `myi docs build` makes."""
        return self.home / "dbt" / "docs" / "index.html"

    @property
    def secrets_folder(self) -> Path:
        return self.home / "secrets"

    def environment(self) -> dict[str, str]:
        """Variables with which a child process loads the same settings. Secret."""
        values: dict[str, str] = {}
        for name in type(self).model_fields:
            value: Any = getattr(self, name)
            if value is not None:
                variable = PREFIX + name.upper()
                if isinstance(value, SecretStr) and name + FILE_SUFFIX.lower() not in type(self).model_fields:
                    # It may have come from a file whose name the child inherits; this value takes precedence.
                    values |= {variable: value.get_secret_value(), variable + FILE_SUFFIX: ""}
                else:
                    values[variable] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        return values
