"""A user's place in the uploads folder, made with the user so that a first archive has somewhere to go."""

from __future__ import annotations

import logging
from pathlib import Path

from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)


def make_uploads_folder(settings: Settings, user_key: str) -> Path:
    """Make MYI_UPLOADS/<user_key>, closed to other accounts; one that cannot be made is reported and no more."""
    folder = settings.uploads_folder / user_key
    try:
        settings.uploads_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        log.warning("the folder %s could not be made (%s): archives cannot be dropped there", folder, error.strerror)
    return folder
