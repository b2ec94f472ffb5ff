"""What became of every play that Spotify could have shown, by the simulator's truth.

Belongs here: judging plays in raw and recorded gaps against a listener's truth. Not here: polling. Invariant: each
listed play since the span began is counted once: in raw, in a gap, or one of three ways of being in neither.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from myi_pipeline.simulator.live import LiveListener
from myi_pipeline.simulator.live.clock import to_ms
from myi_pipeline.simulator.live.listener import WINDOW
from myi_pipeline.simulator.live.plays import LivePlay

# Plays of one offline session surface within ten minutes of each other.
_SYNC_MS = 601_000


@dataclass(frozen=True)
class Verdict:
    """Plays: `kept` in raw; `in_gaps` missing and said to be; `silent` missing although a page told of it.

    Of offline sessions of which no page ever showed a part, which lie in spans that the marts call `polled_only`:
    `between`, what the API showed between two polls only, and `never`, what surfaced behind the window and was shown to
    nobody. `doubled`: rows beyond one a play.
    """

    plays: int = 0
    kept: int = 0
    in_gaps: int = 0
    silent: int = 0
    between: int = 0
    never: int = 0
    doubled: int = 0
    gaps: int = 0
    gap_hours: float = 0.0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def judge(
    listener: LiveListener,
    *,
    kept: Iterable[datetime],
    gaps: Sequence[tuple[datetime, datetime]],
    since: datetime,
    until: datetime,
) -> Verdict:
    """`kept` are the times in raw; `since` the span's begin, `until` the last poll."""
    since_ms, until_ms = to_ms(since), to_ms(until)
    in_raw = Counter(to_ms(moment) for moment in kept)
    spans = [(to_ms(start), to_ms(end)) for start, end in gaps]
    listed = [
        play
        for play in listener.live_plays(until_ms=until_ms, since_ms=since_ms - 5 * 86_400_000)
        if play.is_listed and play.surfaces_ms <= listener.seen_ms(until_ms)
    ]
    traced = _with_trace(listener, listed, in_raw)
    shown = shown_plays(listener, listed)
    counts: Counter[str] = Counter()
    wanted: Counter[int] = Counter()
    for play in listed:
        if play.reported_ms < since_ms:
            continue
        counts["plays"] += 1
        wanted[play.reported_ms] += 1
        if wanted[play.reported_ms] <= in_raw[play.reported_ms]:
            counts["kept"] += 1
        elif any(start <= play.reported_ms <= end for start, end in spans):
            counts["in_gaps"] += 1
        elif not play.is_offline or play in traced:
            counts["silent"] += 1
        else:
            counts["between" if play in shown else "never"] += 1
    rows = {moment: count for moment, count in in_raw.items() if moment >= since_ms}
    counts["doubled"] = sum(max(0, count - wanted[moment]) for moment, count in rows.items())
    hours = sum(end - start for start, end in spans) / 3_600_000
    return Verdict(**counts, gaps=len(spans), gap_hours=hours)


def _with_trace(listener: LiveListener, listed: Sequence[LivePlay], in_raw: Counter[int]) -> set[LivePlay]:
    """Offline plays of sessions of which a page showed at least one play."""
    sessions: list[list[LivePlay]] = []
    was_offline = False
    if not listed:
        return set()
    # Between two plays of one session nothing else was played, listed or not; and they surface together.
    for play in listener.live_plays(until_ms=listed[-1].end_ms, since_ms=listed[0].start_ms):
        if play.is_offline and was_offline and sessions and _is_one_sync(sessions[-1][0], play):
            sessions[-1].append(play)
        elif play.is_offline:
            sessions.append([play])
        was_offline = play.is_offline
    shown = (session for session in sessions if any(each.is_listed and each.reported_ms in in_raw for each in session))
    return {play for session in shown for play in session}


def _is_one_sync(one: LivePlay, other: LivePlay) -> bool:
    return abs(one.surfaces_ms - other.surfaces_ms) <= _SYNC_MS


def shown_plays(listener: LiveListener, plays: Sequence[LivePlay]) -> set[LivePlay]:
    """Those that the API showed at any moment, polled or not."""
    events = sorted((_visible_from(listener, play.surfaces_ms), play.reported_ms, play) for play in plays)
    window: list[tuple[int, LivePlay]] = []
    shown: set[LivePlay] = set()
    for place, (moment, reported, play) in enumerate(events):
        insort(window, (reported, play))
        del window[:-WINDOW]
        if place + 1 == len(events) or events[place + 1][0] > moment:
            shown.update(each for _, each in window)
    return shown


def _visible_from(listener: LiveListener, surfaces_ms: int) -> int:
    """When a play that surfaces now begins to be shown: after a stale spell, if one lies over it."""
    moment = surfaces_ms
    while listener.seen_ms(moment) < surfaces_ms:
        moment += 60_000
    return moment
