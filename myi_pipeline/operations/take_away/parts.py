"""The parts of an export in the order in which they are written, and when each is taken back."""

from __future__ import annotations

from typing import Final

from myi_pipeline.archives import export_parts as archives
from myi_pipeline.catalogue import export_parts as catalogue
from myi_pipeline.notices import export_parts as notices
from myi_pipeline.onward import export_parts as onward
from myi_pipeline.people import export_parts as people
from myi_pipeline.playlists import export_parts as playlists
from myi_pipeline.polling import export_parts as polling
from myi_pipeline.postgres.parts import Part
from myi_pipeline.sharing import export_parts as sharing
from myi_pipeline.submissions import export_parts as submissions

# Before the events, which name them.
BEFORE_EVENTS: Final[tuple[Part, ...]] = (*archives.IMPORTS, *catalogue.NAMES)
# Accounts before their playlists; decisions last, since they are about everything else.
AFTER_EVENTS: Final[tuple[Part, ...]] = (
    *people.SETTINGS,
    *notices.PARTS,
    *people.ACCOUNTS,
    *archives.AFTER_EVENTS,
    *polling.PARTS,
    *submissions.PARTS,
    *onward.PARTS,
    *playlists.PARTS,
    *sharing.PARTS,
    *catalogue.DECISIONS,
    *people.DECISIONS,
    *playlists.DECISIONS,
)
PARTS: Final[tuple[Part, ...]] = (*BEFORE_EVENTS, *AFTER_EVENTS)
