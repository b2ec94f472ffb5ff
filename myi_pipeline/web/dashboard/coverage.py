"""What is known, what may be missing, and why: the page, its bars of years, and a text for each reason of a gap.

A reason without a text is shown by its name: everything that the marts report as possibly missing is on this page.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import groupby
from operator import attrgetter

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.polling.obstacles import polling_outlook
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.polling_news import poll_news
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.coverage import GapRow, coverage_gaps, covered_spans, find_login, known_part
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import moment
from myi_pipeline.web.reads.summary import EVERYTHING, is_late, sums_of
from myi_pipeline.web.site import TheSite

router = APIRouter()


@router.get("/coverage")
async def coverage(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    now = datetime.now(UTC)
    login = await find_login(site.pools, person.user_id)
    outlook = await site.pools.in_thread(polling_outlook, user_id=person.user_id)

    async def build(marts: Marts) -> Mapping[str, object]:
        (whole,) = await sums_of(marts, EVERYTHING)
        gaps = await coverage_gaps(marts)
        zone = person.zones
        first = whole.first_heard
        groups = groups_of(gaps)
        return {
            "whole": whole,
            "groups": groups,
            "covered": {kind: list(spans) for kind, spans in groupby(await covered_spans(marts), attrgetter("kind"))},
            "evident": sum(len(group.spans) for group in groups if group.is_evident),
            "years": years_of(gaps, first=first, now=now, zone=zone)
            if first is not None and moment(first, zone) < now
            else [],
        }

    return await show_marts(
        request, person, site, "coverage.html", build, login=login, outlook=outlook, now=now,
        news=poll_news(outlook, now, person.time_zone),
    )  # fmt: skip


_ARCHIVE = "An extended archive that covers this time closes it."


@dataclass(frozen=True)
class GapWords:
    """`title` for a heading, `why` and `mend` as sentences."""

    title: str
    why: str
    mend: str


WORDS = {
    "between_archives": GapWords(
        "Between archives", "No archive covers this time, and Spotify was not polled then.", _ARCHIVE
    ),
    "missing_files": GapWords(
        "Files of an archive are missing",
        "The files of a Spotify archive are numbered, and some numbers in between were not uploaded.",
        "Upload the missing files, or the whole ZIP as Spotify sent it.",
    ),
    "other_kinds_only": GapWords(
        "Archives without music",
        "Only files of videos, podcasts or audiobooks cover this time; they contain no music.",
        _ARCHIVE,
    ),
    "after_last_archive": GapWords(
        "Since the last archive",
        "Nothing has arrived since the newest archive.",
        "Upload a newer archive, and connect Spotify so that new plays arrive automatically.",
    ),
    "not_polled": GapWords(
        "Before or between polling", "No archive covers this time, and polling had not begun or had stopped.", _ARCHIVE
    ),
    "after_polling": GapWords(
        "Since Spotify was disconnected",
        "The login was disconnected, and no archive has been added since.",
        "Connect Spotify again; an extended archive fills the gap.",
    ),
    "window_overflow": GapWords(
        "More than Spotify shows",
        "Spotify shows the last 50 plays. More than that were played between two polls.",
        _ARCHIVE,
    ),
    "outage": GapWords(
        "Polls failed", "Spotify could not be polled for longer than its list of plays reaches back.", _ARCHIVE
    ),
    "login_ended": GapWords(
        "The login had ended",
        "Spotify ends every login after six months, or when it is revoked.",
        "Connect Spotify again; " + _ARCHIVE[0].lower() + _ARCHIVE[1:],
    ),
    "paused": GapWords(
        "Polling was paused", "Somebody paused it here.", "Resume polling; " + _ARCHIVE[0].lower() + _ARCHIVE[1:]
    ),
    "late_plays": GapWords(
        "Plays that came late",
        "Offline plays appeared hours later; others of that time may have left Spotify’s list unnoticed.",
        _ARCHIVE,
    ),
    "refused_items": GapWords(
        "An entry that could not be read", "Spotify’s list contained an entry that could not be read as a play.",
        _ARCHIVE,
    ),
    "polled_only": GapWords(
        "Known only from polling",
        "Every poll succeeded. Offline plays that appeared late may still be missing.",
        "Nothing needs to be done; the next extended archive confirms this time.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class GapGroup:
    """All spans with one reason. `is_evident`: something is known to be missing or is not covered."""

    reason: str
    words: GapWords
    is_evident: bool
    spans: Sequence[tuple[datetime, datetime | None]]


def groups_of(gaps: Sequence[GapRow]) -> list[GapGroup]:
    """Grouped by reason: evident ones first, then by latest span, newest first."""
    found: dict[tuple[bool, str], list[GapRow]] = {}
    for gap in gaps:
        found.setdefault((gap.is_evident, gap.reason), []).append(gap)
    groups = [
        GapGroup(reason, _words(reason), evident, [(row.gap_start, row.gap_end) for row in reversed(rows)])
        for (evident, reason), rows in found.items()
    ]
    return sorted(groups, key=lambda group: (group.is_evident, group.spans[0][0]), reverse=True)


def _words(reason: str) -> GapWords:
    return WORDS.get(reason) or GapWords(reason.replace("_", " ").capitalize(), "Plays may be missing here.", _ARCHIVE)


# A bar is as wide as its year has days; this is the minimum width of a short gap.
_LEAST_DAYS = 1.5
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Part:
    """From day `x` of the year, `width` days; `kind` is known, gap or polled."""

    x: float
    width: float
    kind: str
    label: str


@dataclass(frozen=True)
class YearBar:
    """`days` is the width of the bar; `known_days` of its `asked_days` are known."""

    year: int
    days: int
    parts: Sequence[Part]
    known_days: int
    asked_days: int


def years_of(gaps: Sequence[GapRow], *, first: date, now: datetime, zone: tzinfo) -> list[YearBar]:
    """The years of the zone from the day of the first play to now, newest first; `gaps` are those of the mart."""
    there = [gap.in_zone(zone) for gap in gaps]
    return [_bar(year, there, first, now, zone) for year in range(now.astimezone(zone).year, first.year - 1, -1)]


def _bar(year: int, gaps: Sequence[GapRow], first: date, now: datetime, zone: tzinfo) -> YearBar:
    begins, ends = moment(date(year, 1, 1), zone), moment(date(year, 12, 31), zone, is_end=True)
    begins_known, ends_known = max(begins, moment(first, zone)), min(ends, now)
    days = 366 if isleap(year) else 365

    def part(start: datetime, end: datetime, kind: str, label: str) -> Part:
        width = max((end - start) / _DAY, _LEAST_DAYS)
        return Part(min((start - begins) / _DAY, days - width), width, kind, label)

    parts = [part(begins_known, ends_known, "known", f"{year}: known")]
    for gap in gaps:
        start, end = max(gap.gap_start, begins_known), min(gap.gap_end or now, ends_known)
        if start >= end:
            continue
        words = WORDS.get(gap.reason)
        said = f"{words.title if words else gap.reason}: {_date(gap.gap_start)} to {_date(gap.gap_end)}"
        parts.append(part(start, end, "gap" if gap.is_evident else "polled", said))
    # As on the page of the year.
    january, december = date(year, 1, 1), date(year, 12, 31)
    since = first if first.year == year and is_late(first, january) else None
    evident = [gap for gap in gaps if gap.is_evident]
    known = known_part(evident, first=january, last=min(december, now.astimezone(zone).date()), since=since, zone=zone)
    return YearBar(year, days, parts, known.known_days, known.asked_days)


def _date(value: datetime | None) -> str:
    return "now" if value is None else f"{value.day} {value:%B %Y}"
