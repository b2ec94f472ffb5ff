"""What a file lost of a playlist, found by reading it back: a table of what each format can hold could be wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Final

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files.formats import FORMATS
from myi_pipeline.playlists.files.records import Limits, Playlist, Source
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry

# MYI's own files may be larger than those it accepts from elsewhere.
_LIMITS: Final = Limits(max_bytes=2**31, max_entries=1_000_000)
_OF_LISTS: Final = ("name", "description", "creator", "url", "image_url", "created_at")
_OF_TRACKS: Final = tuple(field.name for field in fields(ListedTrack))


def not_said(playlist: Playlist, data: bytes, *, format_key: str, file_stem: str) -> dict[str, int]:
    """Name of each fact that is missing from the file or differs in it -> how often.

    `playlist`: the file does not describe the playlist at all. `entries`: by how many their number differs.
    """
    try:
        read = FORMATS[format_key].reads(Source(place=file_stem, data=data, name=file_stem, limits=_LIMITS))
    except BadInput:
        return {"playlist": 1}
    return _differences(playlist, read)


def _differences(playlist: Playlist, read: Sequence[Playlist]) -> dict[str, int]:
    if len(read) != 1:
        return {"playlist": 1}
    (found,) = read
    lost = Counter(
        name for name in _OF_LISTS if getattr(playlist, name) and getattr(playlist, name) != getattr(found, name)
    )
    if differing := abs(len(playlist.entries) - len(found.entries)):
        lost["entries"] = differing
    for original, written in zip(playlist.entries, found.entries, strict=False):
        lost.update(_lost_of(original, written))
    return dict(sorted(lost.items()))


def _lost_of(original: PlaylistEntry, written: PlaylistEntry) -> Iterator[str]:
    for name in _OF_TRACKS:
        value = getattr(original.track, name)
        if value not in (None, "", ()) and value != getattr(written.track, name):
            yield name
    for name in ("added_at", "added_by"):
        if getattr(original, name) is not None and getattr(original, name) != getattr(written, name):
            yield name
