"""What a ZIP must not hold, checked before a single byte is unpacked.

Belongs here: one rule a function-sized paragraph, each with its own sentence. Not here: what is checked again while
streaming, because it can only be known then (zip_member).
Invariant: a ZIP that breaks one rule is refused as a whole.
"""

from __future__ import annotations

import itertools
import stat
import unicodedata
from collections.abc import Sequence
from typing import Final

from myi_pipeline.core.errors import BadInput, UnsafeArchive
from myi_pipeline.history.kinds import is_archive
from myi_pipeline.history.limits import MIB, Limits
from myi_pipeline.history.zip_directory import ZipEntry

STORED: Final = 0
DEFLATED: Final = 8
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000


def check_entries(entries: Sequence[ZipEntry], *, place: str, limits: Limits) -> None:
    """Raises UnsafeArchive with the first rule that is broken."""
    _check_overlaps(entries, place)
    for entry in entries:
        _check_name(entry, place)
        _check_type(entry, place)
        _check_size(entry, place, limits)
    _check_total(entries, place, limits)
    _check_duplicates(entries, place)


def can_unpack(entry: ZipEntry) -> bool:
    """Whether the entry is packed in one of the two ways that ZIP tools agree on."""
    return entry.method in (STORED, DEFLATED)


def check_method(entry: ZipEntry, *, place: str) -> None:
    """Only for files that are read: others may be packed as they like."""
    if not can_unpack(entry):
        raise BadInput(
            f"{place}: {entry.name} is packed with a method (number {entry.method}) that is not supported. "
            "Unpack the archive and hand over the folder.",
            place=place,
            rule="stored or deflated entries",
        )


def _check_name(entry: ZipEntry, place: str) -> None:
    name = entry.name
    parts = name.rstrip("/").split("/")
    if not name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise _unsafe(place, "a file name is empty or holds control characters", "printable names")
    if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
        raise _unsafe(place, f"the path {name!r} is absolute or has backslashes", "relative paths")
    if ".." in parts:
        raise _unsafe(place, f"the path {name!r} leads out of the archive", "no '..' in paths")


def _check_type(entry: ZipEntry, place: str) -> None:
    if entry.flags & _ENCRYPTED:
        raise _unsafe(
            place,
            f"{entry.name!r} is encrypted, as Spotify's archives never are; unpack it and hand over the folder",
            "no encryption",
        )
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFLNK:
        raise _unsafe(place, f"{entry.name!r} is a symbolic link", "no symbolic links")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(place, f"{entry.name!r} is neither a file nor a folder", "files and folders")
    if not entry.is_folder and is_archive(entry.name):
        raise _unsafe(
            place,
            f"{entry.name!r} is an archive in the archive; unpack it and hand over the inner one",
            "no nested archives",
        )


def _check_size(entry: ZipEntry, place: str, limits: Limits) -> None:
    if entry.unpacked > limits.max_file_bytes:
        raise _unsafe(
            place,
            f"{entry.name!r} unpacks to {entry.unpacked:,} bytes; at most {limits.max_file_bytes:,} are taken",
            "max_file_bytes",
        )
    if entry.unpacked > max(MIB, entry.packed * limits.max_ratio):
        raise _unsafe(
            place, f"{entry.name!r} unpacks to more than {limits.max_ratio} times its packed size", "max_ratio"
        )
    if entry.method == STORED and entry.packed != entry.unpacked:
        raise _unsafe(place, f"{entry.name!r} is not packed but has two sizes", "honest sizes")


def _check_total(entries: Sequence[ZipEntry], place: str, limits: Limits) -> None:
    total = sum(entry.unpacked for entry in entries)
    if total > limits.max_total_bytes:
        raise _unsafe(
            place, f"it unpacks to {total:,} bytes; at most {limits.max_total_bytes:,} are taken", "max_total_bytes"
        )


def _check_duplicates(entries: Sequence[ZipEntry], place: str) -> None:
    seen: dict[str, ZipEntry] = {}
    for entry in entries:
        key = unicodedata.normalize("NFC", entry.name.rstrip("/")).casefold()
        other = seen.setdefault(key, entry)
        if other is not entry and not (other.is_folder and entry.is_folder):
            raise _unsafe(place, f"the name {entry.name!r} occurs twice", "distinct names, whatever their case")


def _check_overlaps(entries: Sequence[ZipEntry], place: str) -> None:
    ordered = sorted(entries, key=lambda entry: entry.start)
    for before, after in itertools.pairwise(ordered):
        if before.end > after.start:
            raise _unsafe(place, f"{before.name!r} and {after.name!r} share bytes", "no overlapping entries")


def _unsafe(place: str, what: str, rule: str) -> UnsafeArchive:
    return UnsafeArchive(f"{place}: refused, because {what}.", place=place, rule=rule)
