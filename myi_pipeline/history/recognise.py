"""Which of the files that were handed over are play files.

Belongs here: everything that is decided across files: recognition, limits in sum, copies. Not here: names (kinds).
Invariant: an archive without a single play file never gets past here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Final

from myi_pipeline.core.errors import BrokenFile, UnsafeArchive, WrongPackage
from myi_pipeline.history import kinds
from myi_pipeline.history.json_rows import JsonRows
from myi_pipeline.history.kinds import FileKind
from myi_pipeline.history.limits import Limits
from myi_pipeline.history.members import Member
from myi_pipeline.history.zip_member import ZipMember
from myi_pipeline.history.zip_safety import can_unpack, check_method

_SNIFFED_ROWS: Final = 10
_MAX_SNIFFED_FILES: Final = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What lies behind a path, before anybody looked at what it is."""

    name: str
    members: list[Member]
    left: list[str]  # never looked at: links, folders' special files
    sha256: bytes | None  # of the ZIP; None for plain files
    named: bool  # single files that a person chose: the content decides when the name does not


def recognise(found: Found, limits: Limits) -> tuple[list[tuple[Member, FileKind]], list[str]]:
    """Play files in natural order, and the names of the others. Raises WrongPackage when there is no play file."""
    plays: list[tuple[Member, FileKind]] = []
    others: list[str] = []
    by_name = [(member, kinds.kind_by_name(member.name)) for member in found.members]
    # Names decide where there are any; else the content does, and always for a file that a person chose.
    may_sniff = _MAX_SNIFFED_FILES if found.named or not any(kind for _, kind in by_name) else 0
    why = ""
    for member, name_kind in sorted(by_name, key=lambda found: kinds.natural_key(found[0].name)):
        kind = name_kind
        if kind is None and may_sniff and (found.named or member.name.lower().endswith(".json")):
            may_sniff -= 1
            kind, problem = _kind_by_content(member, limits)
            why = why or problem
        if kind is None:
            others.append(member.name)
        else:
            plays.append((member, kind))
    if not plays:
        what = kinds.describe_wrong([*others, *found.left])
        if found.named and why:
            what = f"{what} ({why})"
        raise WrongPackage(f"{found.name}: {what} {kinds.WANTED}", place=found.name, rule=kinds.WANTED)
    _check_plays(found, plays, limits)
    return plays, others


def _check_plays(found: Found, plays: list[tuple[Member, FileKind]], limits: Limits) -> None:
    for member, _ in plays:
        if isinstance(member, ZipMember):
            check_method(member.entry, place=found.name)
        if member.size > limits.max_file_bytes:
            raise UnsafeArchive(
                f"{member.name}: has {member.size:,} bytes; at most {limits.max_file_bytes:,} are taken.",
                place=member.name,
                rule="max_file_bytes",
            )
    if (total := sum(member.size for member, _ in plays)) > limits.max_total_bytes:
        raise UnsafeArchive(
            f"{found.name}: has {total:,} bytes; at most {limits.max_total_bytes:,} are taken.",
            place=found.name,
            rule="max_total_bytes",
        )


def _kind_by_content(member: Member, limits: Limits) -> tuple[FileKind | None, str]:
    """What the first rows say, and what is wrong with a file that has none."""
    if isinstance(member, ZipMember) and not can_unpack(member.entry):
        return None, ""
    rows: list[object] = []
    source = JsonRows(islice(member.chunks(), 2), place=member.name, max_row_bytes=limits.max_row_bytes)
    try:
        for batch in source:
            rows += batch[:_SNIFFED_ROWS]
    except BrokenFile as error:
        # Cut short on purpose at the end of what was taken, or broken before it.
        if not rows and error.offset < source.bytes_read:
            return None, str(error)
    return kinds.kind_by_rows(rows[:_SNIFFED_ROWS]), ""


def without_twins(
    plays: list[tuple[Member, FileKind]], *, hash_all: bool
) -> tuple[list[tuple[Member, FileKind]], list[bytes], list[str]]:
    """Drop files with the very content of an earlier one: rows of account data have nothing else to tell copies apart.

    Only files of one size can be twins, so others are hashed only when `hash_all` asks for it.
    """
    sizes = Counter(member.size for member, _ in plays)
    kept: list[tuple[Member, FileKind]] = []
    digests: list[bytes] = []
    twins: list[str] = []
    for member, kind in plays:
        if hash_all or sizes[member.size] > 1:
            digest = _content_digest(member)
            if digest in digests and member.size:
                twins.append(member.name)
                continue
            digests.append(digest)
        kept.append((member, kind))
    return kept, digests, twins


def _content_digest(member: Member) -> bytes:
    """The sha256 of a member; one that breaks is the equal of no other, and is reported when it is read."""
    digest = hashlib.sha256()
    try:
        for chunk in member.chunks():
            digest.update(chunk)
    except BrokenFile as error:
        digest.update(f"broken: {member.name} at {error.offset}".encode())
    return digest.digest()
