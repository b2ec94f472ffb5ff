"""The file of an archive that came over the network, once it is imported.

Belongs here: finding it again in the uploads folder, and deleting it at a person's word. Not here: taking it in
(take_upload). Invariant: nothing is deleted but what take_upload put there for this very content of this very user.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from myi_pipeline.services.take_upload import place_suffix
from myi_pipeline.settings import Settings


def uploaded_file(settings: Settings, *, user_key: str, sha256: str) -> Path | None:
    """Where it lies: a ZIP, or a folder with one JSON file. None when it is gone, or came another way."""
    suffix = place_suffix(sha256)
    for path in sorted((settings.uploads_folder / user_key).glob(f"[!.]*{suffix}*")):
        is_ours = path.name.endswith(f"{suffix}.zip") if path.is_file() else path.name.endswith(suffix)
        if is_ours and not path.is_symlink():
            return path
    return None


def forget_upload(settings: Settings, *, user_key: str, sha256: str) -> bool:
    """Delete it. False when there is none. Raises OSError."""
    path = uploaded_file(settings, user_key=user_key, sha256=sha256)
    if path is None:
        return False
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return True
