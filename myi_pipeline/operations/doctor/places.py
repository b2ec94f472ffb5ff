"""The places where files are kept: folders, disks and object stores."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import psutil

from myi_pipeline.errors import Permanent, Transient
from myi_pipeline.operations.doctor.check import Check, Status
from myi_pipeline.postgres.disk_space import MIB, FreeBytes, disk_guard, nearest_existing
from myi_pipeline.postgres.folders import why_no_folder
from myi_pipeline.settings import PREFIX, Settings
from myi_pipeline.settings.artifacts import is_object_store
from myi_pipeline.storage.object_store import Bucket, ObjectStore
from myi_pipeline.storage.open_store import open_compute_logs, open_store, open_uploads
from myi_pipeline.storage.uploads_bucket import UploadsBucket

GIB = 1024**3
# Above the floor: a fresh database takes 0.1 GiB and Postgres's log up to 4; ten years of listening take 0.1.
EARLY_WARNING_BYTES = 5 * GIB


def home(settings: Settings) -> Check:
    home = settings.home
    why = why_no_folder(home)
    if why is not None:
        return Check("home", Status.FAIL, why, f"create that folder, or set {PREFIX}HOME to another")
    there = nearest_existing(home)
    if there != home:
        if os.access(there, os.W_OK | os.X_OK):
            return Check("home", Status.OK, f"{home} (created at the first start)")
        return Check("home", Status.FAIL, f"{there} may not be written", "set MYI_HOME to a folder that may")
    if not home.is_dir() or not os.access(home, os.W_OK | os.X_OK):
        return Check("home", Status.FAIL, f"{home} may not be written", f"chown it, or set {PREFIX}HOME to another")
    if stat.S_IMODE(home.stat().st_mode) & 0o066:
        # Secrets and data have their own closed folders; uploads and logs rely on this one.
        return Check("home", Status.WARN, f"{home} is open to other users of this machine", f"chmod go-rw {home}")
    return Check("home", Status.OK, str(home))


def disk(settings: Settings, free: FreeBytes) -> Check:
    guard = disk_guard(settings, probe=free)
    folder, left = guard.tightest()
    found = f"{left / GIB:.1f} GiB free at {folder}"
    if left < max(guard.floor_bytes, MIB):
        stopped = "uploads, imports and refreshes wait (MYI_DISK_FLOOR_MB): " if guard.floor_bytes else ""
        return Check("disk", Status.FAIL, found, f"{stopped}free some space, or move MYI_HOME to a larger disk")
    if left < guard.floor_bytes + EARLY_WARNING_BYTES:
        return Check("disk", Status.WARN, found, "a large import may fill it: free some space")
    return Check("disk", Status.OK, found)


def uploads(settings: Settings) -> Check:
    folder = _folder("uploads", settings.uploads_folder, setting="MYI_UPLOADS", made="at the first start")
    if folder.status is Status.OK and not is_object_store(settings.uploads_place):
        folder = _shared(folder, settings, settings.uploads_folder, "MYI_UPLOADS")
    # With an object store the folder is where archives are looked into.
    if folder.status is not Status.OK or not is_object_store(settings.uploads_place):
        return folder
    check = _store("uploads", lambda: open_uploads(settings), "MYI_UPLOADS")
    bucket = open_uploads(settings) if check.status is Status.OK else None
    missing = bucket.needs_to_end_uploads() if bucket is not None else None
    if missing is None:
        return check
    return Check(
        "uploads", Status.WARN, f"uploads that broke off stay in the store as parts: {missing} is not installed",
        "install 'myi-pipeline[object-store]', or let a rule of the bucket end them",
    )  # fmt: skip


def exports(settings: Settings) -> Check:
    folder = settings.artifacts_folder
    if folder is not None:
        check = _folder("exports", folder, setting="MYI_ARTIFACTS", made="with the first export")
        return _shared(check, settings, folder, "MYI_ARTIFACTS") if check.status is Status.OK else check
    return _store("exports", lambda: open_store(settings), "MYI_ARTIFACTS")


def compute_logs(settings: Settings) -> Check:
    if settings.compute_logs is None:
        return Check("compute logs", Status.OK, str(settings.dagster_home / "storage"))
    if find_spec("dagster_aws") is None:
        return Check("compute logs", Status.FAIL, "dagster-aws is not installed", "install 'myi-pipeline[aws]'")
    return _store("compute logs", lambda: open_compute_logs(settings), "MYI_COMPUTE_LOGS")


def _store(name: str, opened: Callable[[], object], setting: str) -> Check:
    try:
        store = opened()
        assert isinstance(store, Bucket | ObjectStore | UploadsBucket)
        store.check()
    except (Permanent, Transient) as error:
        return Check(name, Status.FAIL, str(error), f"correct {setting} and {setting}_OPTIONS")
    return Check(name, Status.OK, f"{store.place} can be written to")


def _folder(name: str, folder: Path, *, setting: str, made: str) -> Check:
    why = why_no_folder(folder)
    if why is not None:
        return Check(name, Status.FAIL, why, f"create that folder, or set {setting} to another")
    if not folder.exists():
        if os.access(nearest_existing(folder), os.W_OK | os.X_OK):
            return Check(name, Status.OK, f"{folder} (made {made})")
        return Check(name, Status.FAIL, f"{folder} cannot be made", f"set {setting} to a folder that can")
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Check(name, Status.FAIL, f"{folder} may not be read and written", "make it this user's folder")
    return Check(name, Status.OK, str(folder))


def _shared(check: Check, settings: Settings, folder: Path, setting: str) -> Check:
    """The check, or a warning: where a broker gives runs to any host, each has to see uploads and exports, and every
    host has a MYI_HOME of its own. What is mounted in it, such as a volume of containers, can be everybody's."""
    home, place = settings.home.resolve(), folder.resolve()
    if settings.celery_broker_url is None or not place.is_relative_to(home):
        return check
    mounted = {Path(each.mountpoint) for each in psutil.disk_partitions(all=True)}
    if any(each in mounted for each in (place, *place.parents) if home in each.parents):
        return check
    found = f"{folder} is in MYI_HOME: workers on other hosts, to which MYI_CELERY_BROKER_URL leads, do not see it"
    mend = f"set {setting} to an object store, or on each host to a folder that all of them mount"
    return Check(check.name, Status.WARN, found, mend)
