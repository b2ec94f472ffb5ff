"""The play files of an extended history while they fill up, and the counts of what is odd in them. A row and its
identical copies are in the same file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

from myi_pipeline.simulator.archive_truth import FileTruth
from myi_pipeline.simulator.bad_rows import BadRow
from myi_pipeline.simulator.listener import Listener
from myi_pipeline.simulator.plays import RawPlay
from myi_pipeline.simulator.spec import Catalogue, Vintage
from myi_pipeline.simulator.zip_writer import ZipWriter

_ROWS_PER_WRITE = 500


class PlayFile:
    """One file after the other of one sort (audio or video); it holds the rows of the current one."""

    def __init__(self, seed: int, *, video: bool, vintage: Vintage, prefix: str) -> None:
        self.seed = seed
        self.video = video
        self.vintage = vintage
        self.prefix = prefix
        self.number = 0
        self._start()

    def _start(self) -> None:
        self.rows: list[bytes] = []
        self.identical = 0
        self.bad: Counter[str] = Counter()
        self.first: int | None = None
        self.last = 0

    def add(self, row: bytes, played_at: int) -> None:
        self.rows.append(row)
        if self.first is None:
            self.first = played_at
        self.last = played_at

    def repeat(self, row: bytes) -> None:
        self.rows.append(row)
        self.identical += 1

    def add_bad(self, reason: BadRow, row: bytes) -> None:
        self.rows.append(row)
        self.bad[reason] += 1

    def write(self, archive: ZipWriter, *, more: bool) -> FileTruth:
        """Writes the current file and starts the next. `more`: whether another file of this sort will follow."""
        name = self.prefix + self._name(more=more)
        if self.vintage == "endsong":
            # The oldest exports hold their rows in no order at all, and their numbers say nothing either.
            Random(f"file {self.seed} {self.number}").shuffle(self.rows)
        truth = FileTruth(
            name=name,
            rows=len(self.rows),
            identical=self.identical,
            quarantined=dict(self.bad),
            unpacked_bytes=archive.add(name, self._parts()),
        )
        self.number += 1
        self._start()
        return truth

    def _parts(self) -> Iterator[bytes]:
        separator = b",\n  " if self.vintage == "2024" else b","
        yield b"["
        for start in range(0, len(self.rows), _ROWS_PER_WRITE):
            if start:
                yield separator
            yield separator.join(self.rows[start : start + _ROWS_PER_WRITE])
        yield b"]"

    def _name(self, *, more: bool) -> str:
        if self.vintage == "endsong":
            # Neighbours swap their numbers; the last one keeps its own when it has no neighbour.
            number = self.number ^ 1 if more or self.number % 2 else self.number
            return f"endsong_{number}.json"
        years = ""
        if self.first is not None:
            first, last = (datetime.fromtimestamp(second, UTC).year for second in (self.first, self.last))
            years = f"{first}" if first == last else f"{first}-{last}"
        sort = "Video" if self.video else "Audio"
        parts = [f"Streaming_History_{sort}", years or "2020"]
        if not self.video or more or self.number:
            parts.append(str(self.number))
        return "_".join(parts) + ".json"


class QuirkCounts:
    """Counts rows cheaply, by number, and says in the end what was odd about how many."""

    def __init__(self, listener: Listener, catalogue: Catalogue) -> None:
        self.listener = listener
        self.catalogue: Catalogue = catalogue
        self.things: defaultdict[int, int] = defaultdict(int)
        self.places: defaultdict[int, int] = defaultdict(int)
        self.manners: defaultdict[int, int] = defaultdict(int)
        self.plain: defaultdict[str, int] = defaultdict(int)
        self._second = 0
        self._thing = -1

    def count(self, play: RawPlay) -> None:
        """Counts one row; called a million times, hence no names where numbers will do."""
        played_at, ms, thing, place, manner, _, _, video = play
        self.things[thing] += 1
        self.places[place] += 1
        self.manners[manner] += 1
        if ms is None:
            self.plain["without_ms_played"] += 1
        elif ms < 30_000:
            self.plain["under_30_s"] += 1
            if ms == 0:
                self.plain["zero_ms"] += 1
        if video:
            self.plain["video"] += 1
        if played_at == self._second:
            self.plain["twins" if thing == self._thing else "same_second"] += 1
        self._second = played_at
        self._thing = thing

    def totals(self) -> Counter[str]:
        """Rows by quirk, identical copies and bad rows not counted."""
        total = Counter(self.plain)
        for index, count in self.things.items():
            thing = self.listener.shelf.things[index]
            if thing.is_unknown(self.catalogue):
                total["unknown_content"] += count
            else:
                total[thing.kind] += count
                if thing.defect not in ("", "removed"):
                    total[thing.defect] += count
        for index, count in self.places.items():
            if self.listener.places[index].country == "ZZ":
                total["country_zz"] += count
        for index, count in self.manners.items():
            manner = self.listener.manners[index]
            for quirk, found in (
                ("null_reason", manner.reason_start is None),
                ("empty_reason", manner.reason_start == ""),
                ("null_flags", manner.shuffle is None),
                ("skipped", manner.skipped is True),
                ("offline", manner.offline is True),
                ("incognito", manner.incognito is True),
            ):
                if found:
                    total[quirk] += count
        return total
