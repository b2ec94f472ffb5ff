"""One listener's figures for another: the only module that reads marts of somebody else (a test checks that).

The agreement is looked up with the requester's rights, before reading and again after, so nothing leaks if it ended
meanwhile. Only totals, lists and names that both share leave this module: no single play, no single day, no ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from myi_pipeline.errors import Gone
from myi_pipeline.people.user_time_zones import list_time_zones
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.sharing.household import Agreement, get_agreement
from myi_pipeline.sharing.rules import Part
from myi_pipeline.sharing.snapshots import Snapshot
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import today_in
from myi_pipeline.web.reads.top import Entity, TopArtistRow, TopRow, TopTrackRow, on_top, top_of_period, top_of_range
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.snapshots import Chosen, take_snapshot
from myi_pipeline.web.shown.spans import Span
from myi_pipeline.web.site import Site

_OVERVIEW: frozenset[Part] = frozenset(("figures", "over_time", "clock"))
_TOPS: frozenset[Part] = frozenset(("artists", "tracks", "albums"))
_FEWEST_DAYS = 7
# Both lists are searched up to this rank, and the first items that are in both are shown.
_ARTISTS_COMPARED, _SONGS_COMPARED, _TOLD = 300, 1_000, 25

# The artist's id, and the name without case.
_Song = tuple[int | None, str]


@dataclass(frozen=True)
class Common:
    """What both heard most, most loved first; songs with their artists, without either's counts."""

    artists: tuple[str, ...]
    songs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shown:
    """What another listener shows of some days.

    `snapshot` is None if nothing was heard or is shown; `common` unless both show it.
    """

    agreement: Agreement
    span: Span
    snapshot: Snapshot | None
    common: Common | None


async def read_of_other(site: Site, viewer: Visitor, agreement_id: int, span: Span) -> Shown:
    """Raises Problem 404 if there is no agreement between the two or it ended while reading, and 422 for days that are
    not a period.
    """
    agreement, other = await _agreed(site, viewer, agreement_id)
    span = shown_span(span, today_in(viewer.time_zone))
    # Play counts beside list entries belong to the overview.
    wanted = {"overview": _OVERVIEW, "tops": _TOPS}
    parts = frozenset[Part]().union(*(wanted[each] for each in agreement.theirs if each in wanted))

    async def read(marts: Marts) -> Snapshot:
        return await take_snapshot(marts, Chosen(kind="range", span=span, parts=parts), other)

    snapshot = None
    if parts:
        try:
            snapshot = _without_few_days(await site.pools.read(other.user_id, read))
        except Problem as problem:
            if problem.status_code != 404:
                raise
    common = await _common(site, viewer, other, span) if agreement.has_common else None
    # It may have ended, or show less, since reading began.
    now, _ = await _agreed(site, viewer, agreement_id)
    if now != agreement:
        raise Problem(409, "changed-meanwhile", "What is shown to you has just changed: reload the page.")
    return Shown(agreement, span, snapshot, common)


def shown_span(span: Span, today: date) -> Span:
    """The period to show.

    If less than a week of the period has passed, the previous one is shown. Arbitrary ranges are refused: comparing two
    would reveal single plays.
    """
    if span.period is None:
        raise Problem(422, "invalid-parameter", "Shared figures cover a week, a month, a year or all time.")
    if span.is_everything:
        return span
    if span.first > today:
        span = Span.of(span.period, today)
    is_short = (min(span.last, today) - span.first).days + 1 < _FEWEST_DAYS
    return (span.before() or span) if is_short else span


def _without_few_days(snapshot: Snapshot) -> Snapshot:
    """Drops the per-day chart for a history shorter than a week."""
    over_time = snapshot.over_time
    if over_time is None or over_time.by != "day" or len(over_time.bars) >= _FEWEST_DAYS:
        return snapshot
    return snapshot.model_copy(update={"over_time": None})


async def _agreed(site: Site, viewer: Visitor, agreement_id: int) -> tuple[Agreement, Visitor]:
    try:
        return await site.pools.in_thread(_look_up, user_id=viewer.user_id, agreement_id=agreement_id)
    except Gone:
        raise Problem(404, "not-found", "There is no such agreement.") from None


def _look_up(connection: Connection, *, user_id: int, agreement_id: int) -> tuple[Agreement, Visitor]:
    """The agreement, and the other user whose figures are read. Raises Gone."""
    agreement = get_agreement(connection, user_id=user_id, agreement_id=agreement_id, now=datetime.now(UTC))
    assert agreement.other_id is not None
    assert agreement.other_key is not None
    zones = list_time_zones(connection, user_id=agreement.other_id)
    ends = [each.valid_from for each in zones[1:]]
    earlier = tuple((zone.time_zone, end) for zone, end in zip(zones, ends, strict=False) if end is not None)
    other = Visitor(
        user_id=agreement.other_id,
        user_key=agreement.other_key,
        display_name=agreement.other_name,
        time_zone=zones[-1].time_zone,
        earlier_zones=earlier,
    )
    return agreement, other


async def _common(site: Site, viewer: Visitor, other: Visitor, span: Span) -> Common:
    async def read(marts: Marts) -> tuple[dict[int, _Loved], dict[_Song, _Loved]]:
        if (await marts.version()).number is None:
            return {}, {}
        return await _artists(marts, span), await _songs(marts, span)

    my_artists, my_songs = await site.pools.read(viewer.user_id, read)
    their_artists, their_songs = await site.pools.read(other.user_id, read)
    artists = sorted(
        my_artists.keys() & their_artists.keys(),
        key=lambda key: (-min(my_artists[key].share, their_artists[key].share), my_artists[key].name),
    )
    songs = sorted(
        my_songs.keys() & their_songs.keys(),
        key=lambda key: (-min(my_songs[key].share, their_songs[key].share), my_songs[key].name),
    )
    return Common(
        artists=tuple(my_artists[key].name for key in artists[:_TOLD]),
        songs=tuple((my_songs[key].name, my_songs[key].artist) for key in songs[:_TOLD]),
    )


@dataclass(frozen=True)
class _Loved:
    """`share` of all counted plays considered, so that the one who hears more does not outweigh the other."""

    name: str
    artist: str
    share: float


async def _artists(marts: Marts, span: Span) -> dict[int, _Loved]:
    rows = await _top(marts, "artist", span, _ARTISTS_COMPARED)
    whole = max(1, sum(row.counted_plays for row in rows))
    return {
        row.artist_id: _Loved(row.name, "", row.counted_plays / whole)
        for row in rows
        if isinstance(row, TopArtistRow) and row.name is not None
    }


async def _songs(marts: Marts, span: Span) -> dict[_Song, _Loved]:
    """Each may have heard a different track of a recording, so songs are compared by artist and name."""
    rows = await _top(marts, "recording", span, _SONGS_COMPARED)
    whole = max(1, sum(row.counted_plays for row in rows))
    return {
        (row.artist_id, row.name.casefold()): _Loved(row.name, row.artist_name or "", row.counted_plays / whole)
        for row in reversed(rows)
        if isinstance(row, TopTrackRow) and row.name is not None
    }


async def _top(marts: Marts, entity: Entity, span: Span, limit: int) -> Sequence[TopRow]:
    if span.period is not None:
        return on_top(await top_of_period(marts, entity, period=span.period, start=span.first, limit=limit))
    return on_top(await top_of_range(marts, entity, first_day=span.first, last_day=span.last, limit=limit))
