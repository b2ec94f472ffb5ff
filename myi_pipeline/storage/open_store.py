"""The stores that are named in the settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from myi_pipeline.settings import Settings
from myi_pipeline.settings.artifacts import is_object_store, options_of
from myi_pipeline.storage.backups import BackupStore, BucketBackups, FolderBackups
from myi_pipeline.storage.folder import FolderStore
from myi_pipeline.storage.object_store import Bucket, ObjectStore
from myi_pipeline.storage.stored_files import FileStore
from myi_pipeline.storage.uploads_bucket import UploadsBucket


def open_store(settings: Settings) -> FileStore:
    """Does not connect yet. Raises Permanent if obstore is needed and not installed."""
    folder = settings.artifacts_folder
    if folder is not None:
        return FolderStore(folder)
    assert settings.artifacts is not None
    return ObjectStore(settings.artifacts, _options(settings.artifacts_options))


def open_uploads(settings: Settings) -> UploadsBucket | None:
    """None: uploads are in a folder. Does not connect yet. Raises Permanent as above."""
    if settings.uploads is None or not is_object_store(settings.uploads):
        return None
    return UploadsBucket(settings.uploads, _options(settings.uploads_options))


def open_compute_logs(settings: Settings) -> Bucket | None:
    """None: Dagster stores them in a folder. Raises Permanent as above."""
    if settings.compute_logs is None:
        return None
    return Bucket(settings.compute_logs, _options(settings.compute_logs_options), setting="MYI_COMPUTE_LOGS")


def open_backups(place: str, *, options: SecretStr | None, scratch: Path) -> BackupStore:
    """The store of backups; `place` as in MYI_BACKUP. Does not connect yet. Raises Permanent as above."""
    if not is_object_store(place):
        return FolderBackups(Path(place))
    return BucketBackups(place, _options(options), scratch=scratch)


def record_buckets(settings: Settings, *, backups: str | None = None) -> tuple[Bucket, ...]:
    """Where the record of who was erased is kept beside backups and exports, of those that are in an object store;
    `backups` is a place of backups to look at as well. None: the record is in MYI_HOME alone. Raises Permanent as
    above."""
    places = {
        place: (setting, options)
        for place, setting, options in (
            (backups, "MYI_BACKUP", settings.backup_options),
            (settings.backup, "MYI_BACKUP", settings.backup_options),
            (settings.artifacts, "MYI_ARTIFACTS", settings.artifacts_options),
        )
        if place is not None and is_object_store(place)
    }
    return tuple(Bucket(place, _options(options), setting=setting) for place, (setting, options) in places.items())


def _options(options: SecretStr | None) -> dict[str, str]:
    return options_of(options.get_secret_value()) if options is not None else {}
