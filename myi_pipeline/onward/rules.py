"""Which plays are sent on to a service, and when a play is one that was sent already: pure rules.

Nothing that a service told us goes back to it, nothing is sent twice, and nothing is sent before the service had time
to tell that it knows the play from another player.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# Which sources are a service's own.
OWN_SOURCES = {
    "lastfm": frozenset({"lastfm_api", "lastfm_export", "lastfm_export_minutes"}),
    "listenbrainz": frozenset({"listenbrainz_api", "listenbrainz_export"}),
}
# A player that scrobbles by itself does so when a track ends; so long after a play began the service was asked again.
SETTLES_AFTER = timedelta(minutes=30)
# Two reports of one listening differ by its length (one tells the beginning, one the end) and by clocks.
CLOCKS_DIFFER = timedelta(minutes=2)
UNKNOWN_LENGTH = timedelta(minutes=10)
# A service shows what it took some seconds later, on a bad day some minutes.
SHOWN_AFTER = timedelta(minutes=5)
# After so many times without an answer and without a trace.
MOST_ATTEMPTS = 5
# Older plays than when the wish was made are an import, and so is what comes in late.
IS_NEWS_FOR = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class Play:
    """A play of the marts. `began_at`: when it began, as far as that is known. `length` of the track."""

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
    """A play as the journal has it. `name` is its title, normalised."""

    onward_id: int
    play_id: int
    listened_at: datetime
    name: str


@dataclass(frozen=True)
class Planned:
    """`new` are to be journalled; `known` (onward_id, play_id) were sent as plays that have another number now."""

    new: tuple[Play, ...] = ()
    known: tuple[tuple[int, int], ...] = ()


def plan(
    plays: Sequence[Play],
    journal: Iterable[Journalled],
    *,
    standing: frozenset[int],
    service: str,
    since: datetime | None,
    until: datetime,
    name_of: dict[int, str],
) -> Planned:
    """`plays` are those that count, `standing` the numbers of all of them, hidden ones too; `name_of` their titles,
    normalised. Plays that began from `since` on and before `until` are taken.

    A journalled play whose number is gone is the nearest one of its name within a track's length: an archive told it
    again, and stands for it now.
    """
    entries = list(journal)
    told = {entry.play_id for entry in entries}
    lost = [entry for entry in entries if entry.play_id not in standing]
    known: list[tuple[int, int]] = []
    new: list[Play] = []
    for play in sorted(plays, key=lambda each: (each.began_at, each.play_id)):
        if play.play_id in told:
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


def _is_wanted(play: Play, *, service: str, since: datetime | None, until: datetime) -> bool:
    if not play.title or not play.artist or play.sources & OWN_SOURCES[service]:
        return False
    return (since is None or play.began_at >= since) and play.began_at < until
