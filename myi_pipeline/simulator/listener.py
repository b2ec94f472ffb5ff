"""The synthetic listener: a shelf, habits, and the resulting plays. `plays` yields the same plays on every call."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from myi_pipeline.simulator.behaviour import raw_plays
from myi_pipeline.simulator.catalogue import Shelf, build_shelf
from myi_pipeline.simulator.plays import PLATFORMS, Manner, Place, RawPlay, TruePlay
from myi_pipeline.simulator.spec import ArchiveSpec, Catalogue

_ABROAD = ("ZZ", "NL", "ZZ", "JP")

_POPULARITY_SLOTS = 8192


def popularity(count: int, *, exponent: float) -> tuple[int, ...]:
    """A table of slots in which rank r has a share of about 1 / r**exponent, so that a draw is one look-up."""
    weights = [1 / (rank + 1) ** exponent for rank in range(count)]
    total, reached, ends = sum(weights), 0.0, []
    for weight in weights:
        reached += weight
        ends.append(reached / total)
    slots = max(_POPULARITY_SLOTS, count * 2)
    return tuple(min(bisect_left(ends, (slot + 0.5) / slots), count - 1) for slot in range(slots))


class Listener:
    """One person. Built once; `raw_plays` and `plays` may be called repeatedly and concurrently."""

    def __init__(self, spec: ArchiveSpec) -> None:
        self.spec = spec
        self.shelf: Shelf = build_shelf(spec)
        self.zone = ZoneInfo(spec.time_zone)
        countries = (spec.home_country, *_ABROAD)
        self.places = tuple(Place(old, new, country) for country in countries for old, new in PLATFORMS)
        # These two grow while plays are made, in the same order for the same plays.
        self.manners: list[Manner] = []
        self._manner_numbers: dict[Manner, int] = {}
        self.wheel = popularity(len(self.shelf.albums), exponent=0.9)
        self.unsteady = frozenset(i for name in ("unknown", "removed") for i in self.shelf.by_defect.get(name, ()))

    def manner(self, *manner: str | bool | None) -> int:
        """The number of a manner, which is added if it is new."""
        number = self._manner_numbers.get(manner)  # type: ignore[call-overload]
        if number is None:
            number = len(self.manners)
            self.manners.append(Manner(*manner))  # type: ignore[arg-type]
            self._manner_numbers[self.manners[number]] = number
        return int(number)

    def raw_plays(self) -> Iterator[RawPlay]:
        """The true plays in time order, as numbers: for writers."""
        return raw_plays(self)

    def plays(self, *, catalogue: Catalogue = "old") -> Iterator[TruePlay]:
        """The true plays in time order, with names from the given catalogue."""
        for raw in self.raw_plays():
            yield self.true_play(raw, catalogue=catalogue)

    def true_play(self, raw: RawPlay, *, catalogue: Catalogue) -> TruePlay:
        """The same play, with names. The old catalogue uses the old spelling of the platform."""
        thing, place, manner = (
            self.shelf.things[raw.thing],
            self.places[raw.place],
            self.manners[raw.manner],
        )
        unknown = thing.is_unknown(catalogue)
        return TruePlay(
            played_at=datetime.fromtimestamp(raw.played_at, UTC),
            ms_played=raw.ms_played,
            kind="unknown" if unknown else thing.kind,
            uri=None if unknown else thing.uri_in(catalogue),
            title=None if unknown else thing.title_in(catalogue),
            creator=None if unknown else thing.creator,
            collection=None if unknown else thing.collection,
            platform=place.platform_old if catalogue == "old" else place.platform_new,
            conn_country=place.country,
            reason_start=manner.reason_start,
            reason_end=manner.reason_end,
            shuffle=manner.shuffle,
            skipped=manner.skipped,
            offline=manner.offline,
            offline_at=_offline_at(raw.offline_stamp),
            incognito=manner.incognito,
            identity=raw.identity,
        )


def _offline_at(stamp: int | None) -> datetime | None:
    if not stamp:
        return None
    # 1e11 seconds are in the year 5138 and 1e11 ms in 1973, so the unit is never ambiguous.
    seconds = stamp / 1000 if stamp > 100_000_000_000 else stamp
    return datetime.fromtimestamp(seconds, UTC)


def build_listener(spec: ArchiveSpec) -> Listener:
    """The listener that a spec describes."""
    return Listener(spec)
