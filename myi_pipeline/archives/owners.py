"""Who owns an archive: whether another user of this installation already has it, judged by its files or by its rows.

Every way into raw (a command, the uploads folder, an upload over the network) asks this. The answer names no user. An
archive whose import has begun, or that somebody has confirmed, is not checked again.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple
from uuid import UUID
from zlib import crc32

from myi_pipeline.archives.files import HistoryArchive, HistoryFile
from myi_pipeline.archives.files.export_package import EVENTS_FOLDER, ExportPackage
from myi_pipeline.catalogue.plays import PlayRecord, Source
from myi_pipeline.errors import BrokenFile
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# A smaller file contains hardly more than brackets, and would be the same for everybody.
_SMALLEST_MEMBER_BYTES: Final = 100
# 40,000 rows are read in half a second; a complete export of ten years has 120,000 to 240,000 in 8 to 20 files.
MOST_READ: Final = 40_000
MOST_KEPT: Final = 200
_LONGEST_S: Final = 3.0
# The maximum of an int4 column.
_MOST_MS: Final = 2**31 - 1


class SampledRow(NamedTuple):
    """What distinguishes users' rows: `source` is an id of raw.sources, `content_key` 32 hex digits."""

    source: int
    played_at: datetime
    ms_played: int | None
    content_key: str


@dataclass(frozen=True, kw_only=True)
class ArchiveFingerprint:
    """What is compared with other archives: the hash, the play files by size and CRC-32, and some rows."""

    sha256: bytes
    members: Sequence[tuple[int, int]]
    rows: Sequence[SampledRow] = ()


def may_begin(connection: Connection, archive: ArchiveFingerprint, *, user_id: int) -> bool:
    """Whether its import may begin for this user without a confirmation."""
    values = {
        "user_id": user_id,
        "sha256": archive.sha256,
        "sizes": [size for size, _ in archive.members],
        "crcs": [crc for _, crc in archive.members],
        "sources": [int(row.source) for row in archive.rows],
        "times": [row.played_at for row in archive.rows],
        "lengths": [row.ms_played for row in archive.rows],
        "content_keys": [row.content_key for row in archive.rows],
    }
    found = connection.execute(load_sql("archives/imports/may_begin"), values).fetchone()
    return bool(found and found[0])


def is_asked_about(connection: Connection, *, user_id: int, sha256: bytes) -> bool:
    """Whether its rows must be compared: there is another user, and this archive's import has not begun here."""
    found = connection.execute(
        load_sql("archives/imports/is_asked_about"), {"user_id": user_id, "sha256": sha256}
    ).fetchone()
    return bool(found and found[0])


def identifying_members(contents: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The play files that distinguish one archive from another, each once."""
    return tuple(sorted({content for content in contents if content[0] >= _SMALLEST_MEMBER_BYTES}))


def other_owner_message(archive_name: str) -> str:
    """The message about an archive that another user has. It reveals neither the user nor how that was found out."""
    return (
        f"{archive_name}: another user here has this archive or part of it. If it belongs to this user as well, confirm"
        " that; until then, nothing is imported."
    )


def sample_rows(archive: HistoryArchive, *, clock: Callable[[], float] = time.monotonic) -> tuple[SampledRow, ...]:
    """At most MOST_KEPT rows of each source, in an order unrelated to their times.

    Only the first rows of each file are read, and of these, only rows with a content are taken, without skips of 0 ms.
    The same rows give the same sample, however they are packed or spread over files, if the archive has no more than
    MOST_READ. A broken file yields the rows before its break. The archive may be read again afterwards.
    """
    until = clock() + _LONGEST_S
    by_source: dict[Source, _Smallest] = {}
    most = max(1, MOST_READ // max(1, len(archive.files)))
    for file in archive.files[:MOST_READ]:
        if clock() > until:
            break
        kept = by_source.setdefault(file.source, _Smallest())
        _sample_file(archive, file, kept, most=most, is_over=lambda: clock() > until)
    return tuple(row for source in sorted(by_source) for row in by_source[source].in_order())


def sample_export(package: ExportPackage, *, clock: Callable[[], float] = time.monotonic) -> tuple[SampledRow, ...]:
    """The same for an export: from the first events of each year. Raises BadInput for a row that is too long."""
    until = clock() + _LONGEST_S
    by_source: dict[int, _Smallest] = {}
    names = package.names(f"{EVENTS_FOLDER}/")
    for name in names[:MOST_READ]:
        for line in islice(package.lines(name), max(1, MOST_READ // len(names))):
            if clock() > until:
                break
            row = _sampled_event(line)
            if row is not None:
                by_source.setdefault(row.source, _Smallest()).add(row)
    return tuple(row for source in sorted(by_source) for row in by_source[source].in_order())


def _sampled_event(line: bytes) -> SampledRow | None:
    """None if it proves nothing, or is unreadable: importing the export will report that."""
    try:
        told = json.loads(line)
        source, played_at = Source[told["source"].upper()], datetime.fromisoformat(told["played_at"])
        ms_played = None if told["ms_played"] is None else int(told["ms_played"])
        if told["content"] is None or ms_played == 0 or played_at.tzinfo is None:
            return None
        if ms_played is not None and not 0 < ms_played <= _MOST_MS:
            return None
        return SampledRow(int(source), played_at, ms_played, UUID(told["content"]).hex)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _sample_file(
    archive: HistoryArchive, file: HistoryFile, kept: _Smallest, *, most: int, is_over: Callable[[], bool]
) -> None:
    try:
        for number, item in enumerate(islice(archive.read(file), most)):
            if number % 1_000 == 999 and is_over():
                return
            # There are many skips of 0 ms within a second; scrobbles have no length, but come one at a time.
            if isinstance(item, PlayRecord) and item.content is not None and item.ms_played != 0:
                kept.add(SampledRow(file.source, item.played_at, item.ms_played, item.content.key))
    except BrokenFile:
        return


class _Smallest:
    """The MOST_KEPT rows with the smallest digests: a choice that does not depend on their order."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, SampledRow]] = []
        self._kept: set[SampledRow] = set()

    def add(self, row: SampledRow) -> None:
        digest = crc32(f"{row.content_key}{row.played_at.timestamp()}{row.ms_played}".encode())
        if (len(self._heap) == MOST_KEPT and -digest <= self._heap[0][0]) or row in self._kept:
            return
        self._kept.add(row)
        if len(self._heap) < MOST_KEPT:
            heapq.heappush(self._heap, (-digest, row))
        else:
            self._kept.discard(heapq.heapreplace(self._heap, (-digest, row))[1])

    def in_order(self) -> list[SampledRow]:
        return [row for _, row in sorted(self._heap, reverse=True)]
