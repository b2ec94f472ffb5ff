"""Where Dagster keeps what it captures of runs: in MYI_HOME/dagster/storage, or in the bucket of MYI_COMPUTE_LOGS.

A bucket is reached by dagster-aws' own manager. Captured is what a run's process writes, and its logs are masked before
they are written (logs.py), wherever they go.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import StringSource
from dagster._config import UserConfigSchema
from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

from myi_pipeline.errors import Permanent
from myi_pipeline.settings import load_settings
from myi_pipeline.settings.artifacts import options_of
from myi_pipeline.storage.object_store import s3_client


class ComputeLogs(LocalComputeLogManager):
    """What dagster.yaml names; `home` is DAGSTER_HOME. Becomes the one or the other."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {"home": StringSource}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> ComputeLogManager:
        """Raises Permanent without dagster-aws where a bucket is set."""
        folder = str(Path(config_value["home"]) / "storage")
        settings = load_settings()
        if settings.compute_logs is None:
            return cls(folder, inst_data=inst_data)
        options = settings.compute_logs_options
        given = options_of(options.get_secret_value()) if options is not None else {}
        return _in_bucket(settings.compute_logs, given, folder, inst_data)


def _in_bucket(
    place: str, options: Mapping[str, str], folder: str, inst_data: ConfigurableClassData | None
) -> ComputeLogManager:
    try:
        from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
    except ImportError:
        raise Permanent("MYI_COMPUTE_LOGS needs dagster-aws: install 'myi-pipeline[aws]'") from None
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    manager = S3ComputeLogManager(
        bucket,
        # Until a run ends, and then no longer.
        local_dir=folder,
        prefix=prefix,
        region=options.get("region"),
        inst_data=inst_data,
    )
    # Its own client takes keys from variables of other programs alone.
    manager._s3_session = s3_client(options)
    return manager
