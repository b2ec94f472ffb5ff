"""Settings: backups, and the Postgres programs that make them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from myi_pipeline.settings.artifacts import storage_options, storage_place
from myi_pipeline.settings.kinds import Folder, listed

_KEEP = re.compile(r"([1-9][0-9]{0,3})([hdwmy])\Z")
KEEP_UNITS = ("h", "d", "w", "m", "y")


class BackupPace(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


def keep_counts(text: str) -> dict[str, int]:
    """How many backups of each unit `7d,4w,12m` keeps. Raises ValueError."""
    counts: dict[str, int] = {}
    for part in listed(text):
        found = _KEEP.match(part)
        if found is None or found[2] in counts:
            raise ValueError("must be numbers of h, d, w, m or y, each unit once, such as 7d,4w,12m")
        counts[found[2]] = int(found[1])
    if not counts:
        raise ValueError("must keep something, such as 7d,4w,12m")
    return counts


def _keep(text: str) -> str:
    keep_counts(text)
    return text


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class BackupSettings(BaseSettings):
    """Where backups go, how often, how long they are kept, and what seals the secrets in them."""

    backup: Annotated[str, AfterValidator(storage_place)] | None = Field(
        default=None,
        description="Where `myi up` backs up to: a folder, or a bucket as s3://bucket/path, gs:// or az://; without it"
        " only `myi backup PLACE` makes backups.",
    )
    backup_options: Annotated[SecretStr, AfterValidator(storage_options)] | None = Field(
        default=None,
        description="Options for that bucket, as name=value joined by &: endpoint, region, access_key_id and so on.",
    )
    backup_every: Annotated[BackupPace, BeforeValidator(_lower)] = Field(
        default=BackupPace.DAY, description="How often `myi up` backs up to MYI_BACKUP: hour, day or week."
    )
    backup_keep: Annotated[str, AfterValidator(_keep)] = Field(
        default="7d,4w,12m",
        description="Which backups are kept: the newest of each of that many hours (h), days, weeks, months and years.",
    )
    backup_passphrase: SecretStr | None = Field(
        default=None, description="Passphrase that seals the secrets in a backup."
    )
    backup_passphrase_file: Folder | None = Field(
        default=None, description="File whose first line is that passphrase, instead of MYI_BACKUP_PASSPHRASE."
    )
    backup_without_secrets: bool = Field(
        default=False, description="Leave the secrets out of backups; then no passphrase is needed."
    )
    postgres_programs: Folder | None = Field(
        default=None,
        description="Folder with pg_dump and pg_restore for an external Postgres; default: those on PATH, or MYI's"
        " own.",
    )

    @model_validator(mode="after")
    def _one_passphrase(self) -> Self:
        if self.backup_passphrase is not None and self.backup_passphrase_file is not None:
            raise ValueError("MYI_BACKUP_PASSPHRASE: cannot be combined with MYI_BACKUP_PASSPHRASE_FILE")
        return self
