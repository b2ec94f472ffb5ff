"""Settings: where MYI stores files that people can download."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import Positive, absolute_folder

OBJECT_STORES = ("s3", "gs", "az")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}\Z")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*/?\Z")
_OPTION = re.compile(r"[a-z][a-z0-9_]{1,63}\Z")


def storage_place(text: str) -> str:
    """A folder, or a bucket and a path in it. Raises ValueError."""
    scheme, separator, _ = text.partition("://")
    if not separator:
        return str(absolute_folder(text))
    if scheme not in OBJECT_STORES:
        raise ValueError("must be a folder, or begin with s3://, gs:// or az://")
    parts = urlsplit(text)
    is_whole = _BUCKET.match(parts.netloc) and _PREFIX.match(parts.path) and not parts.query and not parts.fragment
    if not is_whole or {".", ".."} & set(parts.path.split("/")):
        raise ValueError(f"must be a bucket, optionally with a path, such as {scheme}://bucket/myi")
    return text.rstrip("/")


def is_object_store(place: str | Path) -> bool:
    return str(place).partition("://")[0] in OBJECT_STORES


def storage_options(text: SecretStr) -> SecretStr:
    """Raises ValueError."""
    options_of(text.get_secret_value())
    return text


def options_of(text: str) -> dict[str, str]:
    """Names and values of `name=value&name=value`, with %XX in values.

    Raises ValueError without repeating any value.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=40)
    except ValueError:
        pairs = []
    if not pairs or not all(_OPTION.match(name) for name, _ in pairs):
        raise ValueError("must be options such as region=eu-central-1&access_key_id=..., joined by &")
    return dict(pairs)


class ArtifactSettings(BaseSettings):
    """Where exports are stored, for how long, and how many."""

    artifacts: Annotated[str, AfterValidator(storage_place)] | None = Field(
        default=None,
        description="Where exports are stored until they are downloaded: a folder, or a bucket as s3://bucket/path,"
        " gs:// or az://; default: MYI_HOME/artifacts.",
    )
    artifacts_options: Annotated[SecretStr, AfterValidator(storage_options)] | None = Field(
        default=None,
        description="Options for that bucket, as name=value joined by &: endpoint, region, access_key_id and so on.",
    )
    artifacts_days: Positive = Field(default=7, description="Exports are deleted after this many days.")
    artifacts_quota_bytes: Positive = Field(
        default=1024**3, description="Maximum bytes of one user's exports; the oldest are deleted first."
    )
