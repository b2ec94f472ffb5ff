"""Settings: where archives lie that people hand in, and what Dagster captures of runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.artifacts import storage_options, storage_place


def _path_in_s3(text: str) -> str:
    place = storage_place(text)
    if not place.startswith("s3://") or "/" not in place.removeprefix("s3://"):
        raise ValueError("must be a bucket and a path in it, such as s3://bucket/logs")
    return place


class UploadSettings(BaseSettings):
    """Where uploads and compute logs lie: on this machine, or where every host reaches them."""

    uploads: Annotated[str, AfterValidator(storage_place)] | None = Field(
        default=None,
        description="Archives to import, a folder for each user: in a folder, or in a bucket as s3://bucket/path, gs://"
        " or az://; MYI_HOME/uploads.",
    )
    uploads_options: Annotated[SecretStr, AfterValidator(storage_options)] | None = Field(
        default=None,
        description="How that bucket is reached, as name=value joined by &: endpoint, region, access_key_id and so on.",
    )
    compute_logs: Annotated[str, AfterValidator(_path_in_s3)] | None = Field(
        default=None,
        description="What Dagster captures of runs: a bucket as s3://bucket/path; MYI_HOME/dagster/storage.",
    )
    compute_logs_options: Annotated[SecretStr, AfterValidator(storage_options)] | None = Field(
        default=None,
        description="How that bucket is reached: endpoint, region, access_key_id, secret_access_key, session_token.",
    )
