"""The archive that Spotify would send for a live listener: the same plays, written by the archive writers.

Rows are in the order of their ts, and no two plays of one content share a second.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from myi_pipeline.simulator.account import write_account_archive
from myi_pipeline.simulator.archive_truth import ArchiveTruth
from myi_pipeline.simulator.extended import write_extended_archive
from myi_pipeline.simulator.listener import Listener
from myi_pipeline.simulator.live.clock import to_ms
from myi_pipeline.simulator.live.listener import LiveListener
from myi_pipeline.simulator.live.plays import LivePlay
from myi_pipeline.simulator.plays import PLATFORMS, Manner, Place, RawPlay
from myi_pipeline.simulator.spec import ArchiveSpec

ArchiveKind = Literal["extended", "account"]
# A late sync can put the ts of an archive row up to this long after the end of its play.
_LATEST_SYNC_S = 10 * 86_400


class LiveArchive(Listener):
    """A live listener as a Listener for the archive writers: everything that Spotify knew at `until`."""

    def __init__(self, live: LiveListener, *, until: datetime, identical_rows: float = 0.0) -> None:
        self.live = live
        self.until = until
        self.spec = ArchiveSpec(
            seed=live.world.seed,
            listener=live.spec.key,
            first_day=live.spec.first_day,
            last_day=max(live.spec.first_day, until.astimezone(UTC).date()),
            plays=0,
            time_zone=live.spec.time_zone,
            home_country=live.spec.country,
            identical_rows=identical_rows,
        )
        self.shelf = live.world.shelf
        self.zone = ZoneInfo(live.spec.time_zone)
        self.places = tuple(Place(old, new, live.spec.country) for old, new in PLATFORMS)
        self.manners: list[Manner] = []
        self._manner_numbers: dict[Manner, int] = {}

    def raw_plays(self) -> Iterator[RawPlay]:
        """The plays in order of ts; late syncs are held back accordingly."""
        until_ms = to_ms(self.until)
        waiting: list[tuple[int, int, LivePlay]] = []
        last: dict[int, int] = {}
        for number, play in enumerate(self.live.live_plays(until_ms=until_ms)):
            while waiting and waiting[0][0] < play.start_ms // 1000:
                yield self._raw(waiting, last)
            # Plays that an offline device has not reported yet are in no archive.
            if play.surfaces_ms <= until_ms or not play.is_offline:
                heapq.heappush(waiting, (play.archived_s, number, play))
        while waiting:
            yield self._raw(waiting, last)

    def _raw(self, waiting: list[tuple[int, int, LivePlay]], last: dict[int, int]) -> RawPlay:
        second, _, play = heapq.heappop(waiting)
        # Only a late sync can end in the same second as another play of its content; times never decrease.
        second = max(second, last.get(-1, 0))
        if last.get(play.thing) == second:
            second += 1
        last[play.thing] = second
        last[-1] = second
        return RawPlay(
            played_at=second,
            ms_played=play.ms_played,
            thing=play.thing,
            place=self.live.spec.devices[play.device].platform,
            manner=self.manner(
                play.reason_start, play.reason_end, play.shuffle, play.skipped, play.is_offline, play.is_private
            ),
            offline_stamp=play.start_ms // 1000,
            lot=play.lot,
            video=False,
        )


def write_archive(
    path: Path, live: LiveListener, *, until: datetime, kind: ArchiveKind = "extended", **options: Any
) -> ArchiveTruth:
    """Writes what Spotify would send at `until`: the full history, or ('account') the last year to the minute.

    `options` go to the writer (vintage, since, names, ...).
    """
    listener = LiveArchive(live, until=until, identical_rows=options.pop("identical_rows", 0.0))
    day: date = until.astimezone(UTC).date()
    if kind == "account":
        return write_account_archive(path, listener, until=day, **options)
    return write_extended_archive(path, listener, until=day, identical_rows=listener.spec.identical_rows, **options)
