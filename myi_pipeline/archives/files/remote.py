"""A file that is not on this machine and is read by its ranges."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast

from myi_pipeline.archives.files.members import CHUNK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """`read_at(position, count)` gives its bytes, fewer than `count` only at its end; what that raises, reading raises.

    A Member by itself, if it is a play file and no ZIP.
    """

    name: str
    size: int
    read_at: Callable[[int, int], bytes]

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """As Path.open."""
        return cast(BinaryIO, RemoteHandle(self))

    def chunks(self) -> Iterator[bytes]:
        """See Member."""
        for position in range(0, self.size, CHUNK_BYTES):
            yield self.read_at(position, CHUNK_BYTES)


class RemoteHandle(io.RawIOBase):
    """A position in a RemoteFile; a read is never short but at its end."""

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self.file, self._position = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.file.size}[whence]
        if position < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = position
        return position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self.file.size - self._position)
        data = self.file.read_at(self._position, left if size is None or size < 0 else min(size, left))
        self._position += len(data)
        return data


def read_at(handle: BinaryIO, position: int, count: int) -> bytes:
    """Without a use of the handle's position, which others share. Raises OSError, and what RemoteFile.read_at does."""
    remote: object = handle
    if isinstance(remote, RemoteHandle):
        return remote.file.read_at(position, count)
    return os.pread(handle.fileno(), count, position)
