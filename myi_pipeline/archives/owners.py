"""Whose an archive is: whether another user of this installation has it already, by its files or by its rows.

Every way into raw (a command, the uploads folder, an upload over the network) asks this. The answer names no user. An
archive whose import has begun, or that somebody has confirmed, is not asked about again.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple
from zlib import crc32

from myi_pipeline.archives.files import HistoryArchive, HistoryFile
from myi_pipeline.catalogue.plays import PlayRecord, Source
from myi_pipeline.errors import BrokenFile
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# Below this a file holds hardly more than brackets, and everybody's would be the same.
_SMALLEST_MEMBER_BYTES: Final = 100
# 40,000 rows are read in half a second; a whole export of ten years has 120,000 to 240,000 in 8 to 20 files.
MOST_READ: Final = 40_000
MOST_KEPT: Final = 200
_LONGEST_S: Final = 3.0


class SampledRow(NamedTuple):
    """What distinguishes users' rows: `source` is a number of raw.sources, `content_key` 32 hex digits."""

    source: int
    played_at: datetime
    ms_played: int | None
    content_key: str


@dataclass(frozen=True, kw_only=True)
class ArchiveFingerprint:
    """An archive by what is compared with those of others: its hash, its play files by size and CRC-32, some rows."""

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
    """The message about an archive that another user has. It reveals neither the user nor how that was found."""
    return (
        f"{archive_name}: another user here has this archive, or a part of it. If it belongs to this user as well,"
        " confirm that; until then nothing is imported."
    )


def sample_rows(archive: HistoryArchive, *, clock: Callable[[], float] = time.monotonic) -> tuple[SampledRow, ...]:
    """At most MOST_KEPT rows of each source, in an order that has nothing to do with their times.

    The first rows of each file are looked at, and those are taken that say how long which content was heard. The same
    rows give the same sample, however they are packed or spread over files, if the archive has no more than MOST_READ.
    A broken file gives those before its break. The archive may be read again afterwards.
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


def _sample_file(
    archive: HistoryArchive, file: HistoryFile, kept: _Smallest, *, most: int, is_over: Callable[[], bool]
) -> None:
    try:
        for number, item in enumerate(islice(archive.read(file), most)):
            if number % 1_000 == 999 and is_over():
                return
            # Skips of 0 ms come many in a second; scrobbles tell no length, and come one by one.
            if isinstance(item, PlayRecord) and item.content is not None and item.ms_played != 0:
                kept.add(SampledRow(file.source, item.played_at, item.ms_played, item.content.key))
    except BrokenFile:
        return


class _Smallest:
    """The MOST_KEPT rows with the smallest digests: a choice that does not depend on the order in which they come."""

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
