"""One entry of a ZIP, unpacked as a stream.

Belongs here: inflating, and every check that headers cannot give. Not here: anything about JSON.
Invariant: never more than the declared size comes out, and a stream that ends without error had the right CRC.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from myi_pipeline.core.errors import BrokenFile
from myi_pipeline.history.limits import MIB
from myi_pipeline.history.members import CHUNK_BYTES
from myi_pipeline.history.zip_directory import ZipEntry
from myi_pipeline.history.zip_safety import STORED


@dataclass(frozen=True, slots=True)
class ZipMember:
    """An entry of the ZIP behind `handle`, which stays open as long as the member is used."""

    handle: BinaryIO
    entry: ZipEntry
    max_ratio: int

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def size(self) -> int:
        return self.entry.unpacked

    def chunks(self) -> Iterator[bytes]:
        """See Member. Several members of one handle may be read in turns, but not by several threads."""
        entry = self.entry
        crc = 0
        produced = 0
        for piece, taken in self._stored() if entry.method == STORED else self._inflated():
            good = piece[: entry.unpacked - produced]
            crc = zlib.crc32(good, crc)
            produced += len(good)
            if good:
                yield good
            if len(good) < len(piece):
                raise self._broken(produced, "is longer than the ZIP's directory says", "honest sizes")
            if produced > max(MIB, taken * self.max_ratio):
                raise self._broken(
                    produced, f"unpacks to more than {self.max_ratio} times its packed size", "max_ratio"
                )
        if produced < entry.unpacked:
            raise self._broken(produced, "is shorter than the ZIP's directory says", "honest sizes")
        if crc != entry.crc:
            raise self._broken(produced, "does not have the checksum that the ZIP's directory gives", "a right CRC-32")

    def _packed(self) -> Iterator[bytes]:
        position, left = self.entry.data_start, self.entry.packed
        while left:
            try:
                # Not seek and read: the position of the handle is shared with other members, and with forked readers.
                data = os.pread(self.handle.fileno(), min(CHUNK_BYTES, left), position)
            except OSError as error:
                raise self._broken(0, f"cannot be read ({error.strerror})", "a readable file") from error
            if not data:
                return
            position += len(data)
            left -= len(data)
            yield data

    def _stored(self) -> Iterator[tuple[bytes, int]]:
        taken = 0
        for data in self._packed():
            taken += len(data)
            yield data, taken

    def _inflated(self) -> Iterator[tuple[bytes, int]]:
        """Unpacked pieces of at most CHUNK_BYTES, each with the packed bytes handed to the inflater so far."""
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        taken = produced = 0
        for data in self._packed():
            taken += len(data)
            while data and not inflater.eof:
                piece = self._inflate(inflater, data, produced)
                data = inflater.unconsumed_tail
                produced += len(piece)
                yield piece, taken - len(data)
        while not inflater.eof:
            # The inflater may still hold output for which it needs no more input.
            piece = self._inflate(inflater, b"", produced)
            if not piece:
                raise self._broken(produced, "ends too early inside the ZIP", "a whole deflate stream")
            produced += len(piece)
            yield piece, taken

    def _inflate(self, inflater: zlib._Decompress, data: bytes, produced: int) -> bytes:
        try:
            return inflater.decompress(data, CHUNK_BYTES)
        except zlib.error:
            raise self._broken(produced, "is damaged inside the ZIP", "a whole deflate stream") from None

    def _broken(self, offset: int, what: str, rule: str) -> BrokenFile:
        return BrokenFile(f"{self.name}, byte {offset:,}: the file {what}.", place=self.name, rule=rule, offset=offset)
