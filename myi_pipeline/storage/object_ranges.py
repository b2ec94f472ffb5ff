"""An object that is read at any place, as a file on a disk is, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from myi_pipeline.errors import Transient

_SHORTEST, _LONGEST = 256 * 1024, 4 * 1024 * 1024
_MOST_KEPT: Final = 4


class ObjectRanges:
    """The bytes of one object; `size` is how many it has. Not shared between threads.

    Each request fetches a window. Whoever reads on gets windows that double up to 4 MiB, whoever jumps a short one: the
    directory of a hostile ZIP decides where its reader goes, and should not decide how much is fetched. The last four
    windows are kept, 16 MiB at most.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], *, size: int) -> None:
        """`fetch` gives the bytes from the first position up to, and without, the second."""
        self.size = size
        self._fetch = fetch
        # Where each begins, the one that was used last at the end.
        self._kept: list[tuple[int, bytes]] = []
        self._length, self._fetched_to = 0, 0

    def read_at(self, position: int, count: int) -> bytes:
        """Fewer bytes than asked for only at the object's end. Raises what `fetch` does."""
        end, found = min(position + count, self.size), bytearray()
        while position < end:
            start, window = self._window(position)
            found += memoryview(window)[position - start : end - start]
            position = min(end, start + len(window))
        return bytes(found)

    def _window(self, position: int) -> tuple[int, bytes]:
        kept = next((each for each in self._kept if each[0] <= position < each[0] + len(each[1])), None)
        if kept is not None:
            self._kept.remove(kept)
        else:
            # Dropped first, so that there is never one more of them.
            del self._kept[: len(self._kept) - _MOST_KEPT + 1]
            kept = self._fetch_window(position)
        self._kept.append(kept)
        return kept

    def _fetch_window(self, position: int) -> tuple[int, bytes]:
        if self.size <= _LONGEST:
            position, length = 0, self.size
        elif self._fetched_to <= position < self._fetched_to + self._length:
            length = min(2 * self._length, _LONGEST)
        else:
            length = _SHORTEST
        end = min(position + length, self.size)
        data = self._fetch(position, end)
        if len(data) != end - position:
            raise Transient(f"the object store gave {len(data):,} bytes where {end - position:,} were asked for")
        self._length, self._fetched_to = length, end
        return position, data
