"""Which plays are sent on to a service, and which have already been sent: rules without I/O.

Plays that come from a service are not sent back to it, nothing is sent twice, and nothing is sent before polls would
have shown that another player already reported the play to the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from myi_pipeline.catalogue.sources import TRAITS
from myi_pipeline.providers.scrobbles import Service

# The sources of plays that come from a service, as named in the marts.
_OWN_SOURCES = {
    service: frozenset(source.name.lower() for source, traits in TRAITS.items() if traits.service is service)
    for service in Service
}
# A player that scrobbles does so when a track ends; the service has been polled again this long after the start.
SETTLES_AFTER = timedelta(minutes=30)
# Two reports of one play may differ by its length (one has the start, the other the end) and by clocks.
CLOCKS_DIFFER = timedelta(minutes=2)
UNKNOWN_LENGTH = timedelta(minutes=10)
# A service lists accepted plays after some seconds, on a bad day some minutes.
SHOWN_AFTER = timedelta(minutes=5)
# Given up after this many attempts without an answer or a listed play.
MOST_ATTEMPTS = 5
# Plays from before the wish, and plays that arrive later than this, are sent as an import.
IS_NEWS_FOR = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class Play:
    """A play in the marts. `began_at`: its start or, if unknown, its end. `duration_ms`: length of the track."""

    play_id: int
    began_at: datetime
    sources: frozenset[str]
    title: str | None
    artist: str | None
    album: str | None = None
    duration_ms: int | None = None
    uri: str | None = None
    isrc: str | None = None

    @property
    def tolerance(self) -> timedelta:
        length = timedelta(milliseconds=self.duration_ms) if self.duration_ms else UNKNOWN_LENGTH
        return length + CLOCKS_DIFFER


@dataclass(frozen=True)
class Journalled:
    """A play in the journal. `name` is its normalised title."""

    onward_id: int
    play_id: int
    listened_at: datetime
    name: str


@dataclass(frozen=True)
class Planned:
    """`new`: plays to add to the journal; `known` (onward_id, play_id): plays in the journal with a new id."""

    new: tuple[Play, ...] = ()
    known: tuple[tuple[int, int], ...] = ()


def plan(
    plays: Sequence[Play],
    journal: Iterable[Journalled],
    *,
    existing: frozenset[int],
    service: Service,
    since: datetime | None,
    until: datetime,
    name_of: dict[int, str],
) -> Planned:
    """What to send of the plays that began from `since` on and before `until`. `plays` are the counted ones, `existing`
    the ids of all plays, including hidden ones, `name_of` their normalised titles.

    If the id of a play in the journal no longer exists, an archive has replaced the play: the nearest play with the
    same name, within the length of the track, is assumed to be the same one.
    """
    entries = list(journal)
    journalled = {entry.play_id for entry in entries}
    lost = [entry for entry in entries if entry.play_id not in existing]
    known: list[tuple[int, int]] = []
    new: list[Play] = []
    for play in sorted(plays, key=lambda each: (each.began_at, each.play_id)):
        if play.play_id in journalled:
            continue
        near = [
            entry
            for entry in lost
            if entry.name == name_of[play.play_id] and abs(entry.listened_at - play.began_at) <= play.tolerance
        ]
        if near:
            nearest = min(near, key=lambda entry: abs(entry.listened_at - play.began_at))
            lost.remove(nearest)
            known.append((nearest.onward_id, play.play_id))
        elif _is_wanted(play, service=service, since=since, until=until):
            new.append(play)
    return Planned(tuple(new), tuple(known))


def _is_wanted(play: Play, *, service: Service, since: datetime | None, until: datetime) -> bool:
    if not play.title or not play.artist or play.sources & _OWN_SOURCES[service]:
        return False
    return (since is None or play.began_at >= since) and play.began_at < until
