"""The queries of docs/analysts.md, as they stand there: run by the analyst, and held against figures that Python
computes from the plays that were put in.

The plays are drawn once: two listeners, half a year, a hole between two archives, some of unknown length. Each
expectation is written from the definitions in docs/marts.md, and none reads a mart.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from myi_pipeline.postgres.connections import Role
from tests.architecture.repository import DOCS
from tests.dbt.conftest import Marts, emptied

ZONE = ZoneInfo("Europe/Berlin")
SILENCE = timedelta(minutes=30)
ASKED_AT = datetime(2024, 5, 20, 9, tzinfo=UTC)
RANKED = ("Beta", "Nobody's", "Alpha")

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Song:
    title: str
    artist: str
    album: str


@dataclass(frozen=True)
class Heard:
    song: Song
    played_at: datetime
    ms_played: int | None
    skipped: bool | None

    @property
    def started_at(self) -> datetime:
        return self.played_at - timedelta(milliseconds=self.ms_played or 0)

    @property
    def source(self) -> int:
        return 3 if self.ms_played is None else 1

    @property
    def day(self) -> date:
        return self.played_at.astimezone(ZONE).date()

    @property
    def month(self) -> date:
        return self.day.replace(day=1)

    @property
    def counts(self) -> bool:
        # What Spotify lists as recently played counts; nothing here is known to be shorter than a minute.
        return self.ms_played is None or self.ms_played >= 30_000


SONGS = [
    Song(f"{artist} {number}", artist, f"{artist} album {number % 2}")
    for artist, tracks in (("Alpha", 5), ("Beta", 4), ("Gamma", 3), ("Delta", 2), ("Epsilon", 1))
    for number in range(tracks)
]
# The archives end and begin here.
HOLE = (datetime(2024, 2, 20, 12, tzinfo=UTC), datetime(2024, 3, 10, 6, 30, tzinfo=UTC))


def draw(seed: int, plays: int) -> list[Heard]:
    """Plays one after another, in bursts with nights and idle days between; no new artist comes in the first weeks."""
    dice = random.Random(seed)
    heard: list[Heard] = []
    at = datetime(2023, 12, 29, 20, tzinfo=UTC)
    while len(heard) < plays:
        at += timedelta(seconds=dice.choices(
            (dice.randint(0, 1_700), dice.randint(1_900, 72_000), dice.randint(90_000, 300_000)), (75, 21, 4)
        )[0])  # fmt: skip
        ms_played = dice.randint(2_000, 400_000)
        at += timedelta(seconds=ms_played // 1000 + 1)
        if HOLE[0] < at < HOLE[1]:
            at = HOLE[1]
        known = SONGS[: 9 + len(heard) // 60]
        skipped = dice.choices((True, False, None), (25, 60, 15))[0]
        heard.append(Heard(dice.choice(known), at.replace(microsecond=0), ms_played, skipped))
    # Polled, so far from the archive that none of its rows can be the same play.
    days = (heard[-1].played_at + timedelta(days=40 + number) for number in range(3))
    return heard + [Heard(SONGS[0], day, None, None) for day in days]


MINE, ANOTHERS = draw(7, 560), draw(8, 120)


@pytest.fixture(scope="module")
def listening(marts_of_session: Marts) -> Marts:
    """The marts of both listeners."""
    marts = marts_of_session
    # Only the second of two refreshes of one session is incremental; which one this is does not matter here.
    if not marts.sql("select completed_run_id from ops.mart_state where completed_run_id is not null"):
        marts.refreshed()
    emptied(marts)
    songs = {song: marts.add_content(song.title, song.artist, uri=f"spotify:track:{number}", album=song.album)
             for number, song in enumerate(SONGS)}  # fmt: skip
    stranger = marts._intern("artists", "artist_key", RANKED[1], "name", RANKED[1])
    with marts.warehouse.connect(Role.OWNER) as connection:
        for key, heard in (("me", MINE), ("another", ANOTHERS)):
            query = "insert into app.users (user_key, time_zone) values (%s, %s) returning user_id"
            found = connection.execute(query, (key, ZONE.key)).fetchone()
            assert found is not None
            _put(connection, found[0], heard, songs)
            for rank, artist in enumerate(RANKED, start=1):
                connection.execute(
                    "insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, artist_id, taken_at)"
                    " select %s, %s, 'artist', 'short_term', %s, artist_id, %s from raw.artists where name = %s",
                    (found[0], ASKED_AT.date(), rank, ASKED_AT, artist),
                )
    assert stranger
    marts.refreshed()
    return marts


def _put(connection: psycopg.Connection[Any], user_id: int, heard: Sequence[Heard], songs: dict[Song, int]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into raw.listening_events"
            " (user_id, played_at, content_id, ms_played, skipped, source_id, batch_id)"
            " values (%s, %s, %s, %s, %s, %s, 1)",
            [
                (user_id, each.played_at, songs[each.song], each.ms_played, each.skipped, each.source)
                for each in heard
            ],
        )  # fmt: skip
    archived = [each.played_at for each in heard if each.ms_played is not None]
    spans = ((archived[0], HOLE[0]), (HOLE[1], max(archived[-1], HOLE[1])))
    for number, span in enumerate(spans):
        connection.execute(
            "with import as (insert into app.imports (user_id, sha256, archive_name, kind)"
            " values (%s, sha256(%s), 'a', 'extended_history') returning import_id)"
            " insert into raw.covered_spans (user_id, import_id, source_id, covered_from, covered_to)"
            " select %s, import_id, 1, %s, %s from import",
            (user_id, bytes([number]), user_id, *span),
        )


def rounded(value: Fraction | float, digits: int) -> Decimal:
    """As SQL rounds."""
    exact = value if isinstance(value, Fraction) else Fraction(value)
    whole = Decimal(exact.numerator) / Decimal(exact.denominator)
    return whole.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def ms(plays: Iterable[Heard]) -> int:
    return sum(each.ms_played or 0 for each in plays)


def grouped(plays: Iterable[Heard], key: Callable[[Heard], Any]) -> list[tuple[Any, list[Heard]]]:
    found: dict[Any, list[Heard]] = defaultdict(list)
    for each in plays:
        found[key(each)].append(each)
    return sorted(found.items())


def counted(plays: Iterable[Heard]) -> int:
    return sum(each.counts for each in plays)


def months() -> list[date]:
    first, last = MINE[0].month, MINE[-1].month
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [date(number // 12, number % 12 + 1, 1) for number in numbers]


def years() -> list[Row]:
    return [
        (year, len({each.day for each in plays}), len(plays), counted(plays),
         sum(each.ms_played is None for each in plays), rounded(Fraction(ms(plays), 3_600_000), 1))
        for year, plays in grouped(MINE, lambda each: each.day.year)
    ]  # fmt: skip


def top_artists() -> list[Row]:
    rows: list[Row] = []
    for month, plays in grouped((each for each in MINE if each.day.year == 2024), lambda each: each.month):
        artists = [(artist, counted(own), ms(own)) for artist, own in grouped(plays, lambda each: each.song.artist)]
        artists.sort(key=lambda artist: (-artist[1], -artist[2]))
        rows += [
            (month, rank, name, plays_of_it, rounded(Fraction(time, 60_000), 1))
            for rank, (name, plays_of_it, time) in enumerate(artists[:3], start=1)
        ]
    return rows


def new_artists() -> list[Row]:
    rows: list[Row] = []
    known: set[str] = set()
    for month, plays in grouped(MINE, lambda each: each.month):
        artists = {each.song.artist for each in plays}
        new = artists - known
        known |= artists
        rows.append((month, len(artists), len(new), rounded(Fraction(100 * len(new), len(artists)), 1)))
    return rows


def skips() -> list[Row]:
    told = grouped((each for each in MINE if each.skipped is not None), lambda each: each.song.artist)
    rows = [
        (artist, len(plays), skipped, rounded(Fraction(100 * skipped, len(plays)), 1))
        for artist, plays in told
        if (skipped := sum(bool(each.skipped) for each in plays)) is not None and len(plays) >= 20
    ]
    return sorted(rows, key=lambda row: (-row[3], -row[1], row[0]))


def hours_of_the_week() -> list[Row]:
    return [
        (*key, counted(plays), rounded(Fraction(ms(plays), 3_600_000), 2))
        for key, plays in grouped(MINE, lambda each: (each.day.isoweekday(), each.played_at.astimezone(ZONE).hour))
    ]


def streaks() -> list[Row]:
    plays_on = Counter(each.day for each in MINE)
    found: list[list[date]] = []
    for day in sorted(plays_on):
        if found and found[-1][-1] + timedelta(days=1) == day:
            found[-1].append(day)
        else:
            found.append([day])
    found.sort(key=lambda days: (-len(days), days[0]))
    rows = [(days, sum(plays_on[day] for day in days)) for days in found[:5]]
    return [(days[0], days[-1], len(days), plays, rounded(Fraction(plays, len(days)), 1)) for days, plays in rows]


def completeness() -> list[Row]:
    archived = [each.played_at for each in MINE if each.ms_played is not None]
    gaps = (HOLE, (archived[-1], datetime.max.replace(tzinfo=UTC)))
    rows = []
    for month in months():
        after = (month + timedelta(days=32)).replace(day=1)
        starts, ends = (datetime(day.year, day.month, 1, tzinfo=ZONE).astimezone(UTC) for day in (month, after))
        parts = [min(gap[1], ends) - max(gap[0], starts) for gap in gaps if gap[0] < ends and gap[1] > starts]
        missing = Fraction(round(sum(parts, timedelta()).total_seconds()))
        share = 100 - 100 * missing / round((ends - starts).total_seconds())
        rows.append((month, len(parts), rounded(missing / 3600, 1), rounded(share, 1)))
    return rows


def sessions() -> list[Row]:
    found: list[list[Heard]] = []
    for each in MINE:
        if found and each.started_at - found[-1][-1].played_at <= SILENCE:
            found[-1].append(each)
        else:
            found.append([each])
    rows = []
    for month in months():
        own = [session for session in found if session[0].month == month]
        if own:
            minutes = [
                Fraction((session[-1].played_at - session[0].started_at) // timedelta(milliseconds=1), 60_000)
                for session in own
            ]
            plays = Fraction(sum(map(len, own)), len(own))
            rows.append((month, len(own), *(rounded(part, 1) for part in (plays, median(minutes), max(minutes)))))
    return rows


def life_of_a_track() -> list[Row]:
    by_song = [(counted(plays), ms(plays), song) for song, plays in grouped(MINE, lambda each: SONGS.index(each.song))]
    song = SONGS[max(by_song)[2]]
    plays = [each for each in MINE if each.song == song]
    first = plays[0].day
    rows: list[Row] = []
    so_far = 0
    for month, own in grouped(plays, lambda each: each.month):
        so_far += counted(own)
        age = 12 * (month.year - first.year) + month.month - first.month
        rows.append((song.title, song.artist, month, age, counted(own), so_far))
    return rows


def ranks() -> list[Row]:
    recent = [each for each in MINE if ASKED_AT - timedelta(days=28) < each.played_at <= ASKED_AT and each.counts]
    plays_of = Counter(each.song.artist for each in recent)
    return [
        (rank, artist, 1 + sum(other > plays_of[artist] for other in plays_of.values()) if artist in plays_of else None,
         plays_of[artist])
        for rank, artist in enumerate(RANKED, start=1)
    ]  # fmt: skip


# Each heading of the page: the columns that its query shows, and what they hold.
WORKED: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "What each year came to": (
        ("year", "days_with_music", "plays", "counted_plays", "plays_of_unknown_length", "hours"), years),
    "The three artists of each month": (("month", "rank", "artist", "counted_plays", "minutes"), top_artists),
    "How many of a month's artists were new": (("month", "artists", "new_artists", "new_percent"), new_artists),
    "Whose tracks are skipped": (("artist", "plays", "skipped", "skipped_percent"), skips),
    "The hours of the week": (("weekday", "hour", "counted_plays", "hours"), hours_of_the_week),
    "The longest streaks": (("streak_start", "streak_end", "days", "plays", "plays_a_day"), streaks),
    "How complete each month is": (("month", "gaps", "hours_in_gaps", "covered_percent"), completeness),
    "Sessions by month": (("month", "sessions", "plays_a_session", "median_minutes", "longest_minutes"), sessions),
    "The life of a track": (
        ("track", "artist", "month", "months_since_first", "counted_plays", "counted_plays_so_far"), life_of_a_track),
    "Spotify's ranks beside your own": (("spotify_rank", "artist", "own_rank", "counted_plays"), ranks),
}  # fmt: skip


def queries() -> dict[str, str]:
    """The queries of the page by their headings."""
    _, _, worked = (DOCS / "analysts.md").read_text(encoding="utf-8").partition("## Ten worked queries\n")
    return dict(re.findall(r"^### (.+?)\n.*?^```sql\n(.*?)^```$", worked, re.DOTALL | re.MULTILINE))


def test_the_page_has_ten_queries_and_each_is_worked_here() -> None:
    assert list(queries()) == list(WORKED)
    assert len(WORKED) == 10


@pytest.mark.parametrize("heading", WORKED)
def test_a_query_of_the_page_says_what_the_plays_say(listening: Marts, heading: str) -> None:
    columns, expected = WORKED[heading]
    with listening.warehouse.connect(Role.ANALYST) as connection:
        cursor = connection.execute(queries()[heading].encode())
        assert tuple(column.name for column in cursor.description or ()) == columns
        found = cursor.fetchall()
    assert len(found) > 1
    assert found == expected()


def test_the_drawn_plays_hold_what_makes_the_queries_differ() -> None:
    """Else a query that forgets a condition would still be right."""
    assert {each.skipped for each in MINE} == {True, False, None}
    assert any(each.ms_played is None for each in MINE)
    assert any(each.played_at.date() != each.day for each in MINE)
    assert 0 < counted(MINE) < len(MINE)
    assert {row[2] for row in new_artists()} - {0} != {row[1] for row in new_artists()}
    assert {row[3] for row in completeness()} - {Decimal("100.0")}
    assert len({row[2] for row in ranks()}) == len(RANKED)
    assert ANOTHERS[0].song != MINE[0].song or ANOTHERS[0].played_at != MINE[0].played_at
