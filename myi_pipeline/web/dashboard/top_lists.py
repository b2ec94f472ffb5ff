"""Top lists: tracks, artists and albums of a week, a month, a year, of all time, or of any days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import choice_of, cursor_of, wrong
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.period_overview import Move, before_in_history, moves_of
from myi_pipeline.web.dashboard.periods import NAMES, asked_span
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.coverage import completeness_within, evident_gaps
from myi_pipeline.web.reads.cursors import After, BadCursor, Order
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import Period, period_start, today_in
from myi_pipeline.web.reads.summary import EVERYTHING, SpanByKindRow, heard_span, sums_by_kind
from myi_pipeline.web.reads.top import (
    BYS,
    OLDEST,
    By,
    Entity,
    Listed,
    ShowKind,
    TopRow,
    top_by_time,
    top_of_period,
    top_of_range,
    top_order,
    top_shows,
)
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.spans import Span
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()

_ON_A_PAGE = 50
_ENTITIES: Mapping[str, Entity] = {"tracks": "track", "artists": "artist", "albums": "album"}
# A tab of those that were ever heard.
_SHOWS = {"podcasts": ShowKind.PODCAST, "audiobooks": ShowKind.AUDIOBOOK}


@dataclass(frozen=True)
class AskedList:
    """The kind of a list, its days, and what ranks it."""

    what: str
    span: Span
    by: Listed = Listed.RECORDING
    ranked: By = "plays"

    @property
    def show_kind(self) -> ShowKind | None:
        """None for a list of music."""
        return _SHOWS.get(self.what)

    @property
    def music(self) -> Entity:
        """What a row of a list of music leads to; a recording is shown as one of its tracks."""
        return _ENTITIES[self.what]

    @property
    def entity(self) -> Entity:
        """What is ranked in a list of music."""
        return "recording" if self.music == "track" and self.by is Listed.RECORDING else self.music

    @property
    def shown(self) -> Entity | Literal["show"]:
        """What a row leads to."""
        return self.music if self.show_kind is None else "show"

    @property
    def _how(self) -> dict[str, str]:
        by = {"by": self.by.value} if self.by is not Listed.RECORDING and self.shown == "track" else {}
        return by | self._ranked

    @property
    def period(self) -> Period | None:
        return self.span.period

    @property
    def first(self) -> date:
        return self.span.first

    @property
    def last(self) -> date:
        return self.span.last

    @property
    def label(self) -> str:
        return self.span.label

    @property
    def order(self) -> Order:
        return top_order("show" if self.show_kind is not None else self.entity, self.ranked)

    @property
    def _ranked(self) -> dict[str, str]:
        return {} if self.ranked == "plays" else {"ranked": self.ranked}

    def most_of(self, row: TopRow) -> int:
        """The maximum of the bars below this row."""
        return row.ms_played if self.ranked == "time" else row.counted_plays

    def address(self, **changes: str) -> str:
        return f"/top?{urlencode({'what': self.what, **self.span.query, **self._how, **changes})}"

    def ranked_by(self, ranked: By) -> str:
        return replace(self, ranked=ranked).address()

    @property
    def onward(self) -> str:
        """The query of a row's link: the chosen days, and how songs are counted."""
        days = {} if self.span.is_everything else {**self.span.query, **self._ranked}
        found = {**days, **({"by": "track"} if self.shown == "track" and self.by is Listed.TRACK else {})}
        return f"?{urlencode(found)}" if found else ""

    def of_period(self, period: Period, at: date | None = None) -> str:
        """The same list for the period that contains `at`, by default today."""
        wanted = {"what": self.what, "period": period.value, **self._how}
        if at is not None and period is not Period.ALL:
            wanted["date"] = period_start(period, at).isoformat()
        return f"/top?{urlencode(wanted)}"

    @property
    def ways(self) -> list[tuple[str, str, bool]]:
        """The same list by recordings and by single tracks; empty if there is no choice."""
        if self.shown != "track":
            return []
        named = {Listed.RECORDING: "Songs", Listed.TRACK: "Single tracks"}
        return [(self.address(by=by.value), name, by is self.by) for by, name in named.items()]


@dataclass(frozen=True)
class Part:
    """What a list adds up: its kind of everything that was heard. `plays` are counted ones, as in its rows."""

    name: str
    ms_played: int
    plays: int


@router.get("/top")
async def top_lists(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """A page of one list."""
    today = today_in(person.time_zone)
    mistake = None
    try:
        asked = _asked(request, today)
    except Problem as problem:
        # Shown in the form, which keeps what was typed, above the unfiltered list.
        asked, mistake = AskedList("tracks", Span.of(Period.ALL, today)), problem.detail
    purpose = " ".join(
        str(each)
        for each in (person.user_id, "/top", asked.what, asked.by, asked.ranked, asked.period, asked.first, asked.last)
    )
    after, most = _after(site, person, purpose, cursor_of(request) if mistake is None else None)

    async def build(marts: Marts) -> Mapping[str, object]:
        last = min(asked.last, today.replace(month=12, day=31))
        found = await _read(marts, asked, last, after)
        rows = found[:_ON_A_PAGE]
        # Bars are relative to the value of the list's first row, which the cursor carries to the next pages.
        longest = most or (asked.most_of(rows[0]) if rows else 0)
        following = None
        if len(found) > len(rows):
            keys = [*asked.order.keys_of(rows[-1]), rows[-1].rank, longest]
            following = asked.address(cursor=site.cursors.seal(purpose, keys, user_id=person.user_id))
        heard = await heard_span(marts)
        whole, ever = await sums_by_kind(marts, ("whole", asked.first, asked.last), EVERYTHING)
        known = completeness_within(
            await evident_gaps(marts), first=max(asked.first, OLDEST), last=min(asked.last, today), zone=person.zones
        )
        return {
            "rows": rows,
            "moves": await _moves(marts, asked, rows, heard),
            "whats": _what_tabs(asked, ever),
            "most": longest,
            "next": following,
            "whole": whole,
            "part": _part(asked, whole),
            "known": known,
            "lately": _lately(asked, heard),
            **_steps(asked, heard, today),
        }

    answer = await show_marts(
        request, person, site, "top.html", build,
        mistake=mistake, typed={name: request.query_params.get(name, "") for name in ("from", "to")},
        asked=asked, today=today, first_page=asked.address() if after.seen else None,
        periods=_period_tabs(asked, today),
        bys=[(asked.ranked_by(by), f"By {by}", by == asked.ranked) for by in BYS],
    )  # fmt: skip
    answer.status_code = 200 if mistake is None else 422
    return answer


def _asked(request: Request, today: date) -> AskedList:
    what = choice_of(request, "what", (*_ENTITIES, *_SHOWS)) or "tracks"
    by = choice_of(request, "by", tuple(Listed)) or Listed.RECORDING
    return AskedList(what, asked_span(request, today), by, choice_of(request, "ranked", BYS) or "plays")


def _after(site: Site, person: Visitor, purpose: str, cursor: str | None) -> tuple[After, int]:
    """Where the page begins, and the value of the list's first row; 0 on the first page."""
    if cursor is None:
        return After(), 0
    try:
        *keys, seen, most = map(int, site.cursors.open(purpose, cursor, user_id=person.user_id))
    except BadCursor:
        raise wrong("This address is not a page of this list; begin with its first page.") from None
    return After(keys, seen), most


async def _read(marts: Marts, asked: AskedList, last: date, after: After) -> Sequence[TopRow]:
    limit = _ON_A_PAGE + 1
    if asked.show_kind is not None:
        return await top_shows(
            marts, asked.show_kind, first_day=asked.first, last_day=last, by=asked.ranked, after=after, limit=limit
        )
    entity = asked.entity
    if asked.ranked == "time":
        return await top_by_time(marts, entity, first_day=asked.first, last_day=last, after=after, limit=limit)
    if asked.period is not None:
        return await top_of_period(marts, entity, period=asked.period, start=asked.first, after=after, limit=limit)
    return await top_of_range(marts, entity, first_day=asked.first, last_day=last, after=after, limit=limit)


async def _moves(
    marts: Marts, asked: AskedList, rows: Sequence[TopRow], heard: tuple[date, date] | None
) -> Mapping[int, Move] | None:
    """Where each row of music stood in the period before."""
    if asked.show_kind is not None:
        return None
    before = before_in_history(asked.span, heard)
    return await moves_of(marts, rows, asked.music, asked.entity, span=asked.span, before=before, by=asked.ranked)


def _part(asked: AskedList, whole: SpanByKindRow) -> Part:
    match asked.show_kind:
        case ShowKind.PODCAST:
            return Part("podcasts", whole.podcast_ms_played, whole.podcast_counted_plays)
        case ShowKind.AUDIOBOOK:
            return Part("audiobooks", whole.audiobook_ms_played, whole.audiobook_counted_plays)
        case None:
            return Part("music", whole.music_ms_played, whole.music_counted_plays)


def _what_tabs(asked: AskedList, ever: SpanByKindRow) -> list[tuple[str, str, bool]]:
    """Music, and what else was ever heard."""
    heard = {"podcasts": ever.podcast_ms_played, "audiobooks": ever.audiobook_ms_played}
    whats = [*_ENTITIES, *(what for what in _SHOWS if heard[what] or what == asked.what)]
    return [(asked.address(what=what), what.capitalize(), what == asked.what) for what in whats]


def _period_tabs(asked: AskedList, today: date) -> list[tuple[str, str, bool]]:
    """A month leads to its year, a year to its latest month that has begun."""
    at = None if asked.period is Period.ALL else min(asked.last, today)
    return [(asked.of_period(each, at), name, each is asked.period) for each, name in NAMES.items()]


def _steps(asked: AskedList, heard: tuple[date, date] | None, today: date) -> dict[str, str | None]:
    """The previous and next period, if they may have plays."""
    period = asked.period
    if period is None or period is Period.ALL or heard is None:
        return {"before": None, "after": None}
    has_before, has_after = asked.first > heard[0], asked.last < today
    return {
        "before": asked.of_period(period, asked.first - timedelta(days=1)) if has_before else None,
        "after": asked.of_period(period, asked.last + timedelta(days=1)) if has_after else None,
    }


def _lately(asked: AskedList, heard: tuple[date, date] | None) -> tuple[str, date] | None:
    """The newest list of this kind, for an empty page."""
    if heard is None or asked.period is None:
        return None
    return asked.of_period(asked.period, heard[1]), heard[1]
