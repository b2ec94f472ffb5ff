"""The queries of docs/analysts.md, as they stand there: run by the analyst, and held against figures that Python
computes from the plays that were put in (drawn_listening). None of the expectations reads a mart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import combinations, groupby, pairwise
from statistics import median
from typing import Any

import pytest

from myi_pipeline.postgres.connections import Role
from tests.architecture.repository import DOCS
from tests.dbt.conftest import Marts
from tests.dbt.drawn_listening import (
    ANOTHERS,
    ASKED_AT,
    MINE,
    PLAYLISTS,
    RANKED,
    SILENCE,
    SONGS,
    TOTAL_TRACKS,
    ZONE,
    Heard,
    counted,
    days,
    gaps_within,
    grouped,
    listen,
    midnight,
    month_after,
    months,
    ms,
    seconds,
    tracks,
    unknown,
)

Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def listening(marts_of_session: Marts) -> Marts:
    """The marts of both listeners."""
    return listen(marts_of_session)


def rounded(value: Fraction | float, digits: int) -> Decimal:
    """As SQL rounds."""
    exact = value if isinstance(value, Fraction) else Fraction(value)
    whole = Decimal(exact.numerator) / Decimal(exact.denominator)
    return whole.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def hours(milliseconds: Fraction | int, digits: int = 1) -> Decimal:
    return rounded(Fraction(milliseconds) / 3_600_000, digits)


def percent(part: Fraction | int, whole: Fraction | int) -> Decimal | None:
    return rounded(100 * Fraction(part) / whole, 1) if whole else None


def average_of_seven_days() -> list[Row]:
    plays_on = dict(grouped(MINE, lambda each: each.day))
    rows = []
    for number, day in enumerate(days()):
        week = days()[max(0, number - 6) : number + 1]
        plays = [each for date_ in week for each in plays_on.get(date_, [])]
        incomplete = sum(bool(gaps_within(midnight(date_), midnight(date_ + timedelta(days=1)))) for date_ in week)
        mean = hours(Fraction(ms(plays), 7), 2) if len(week) == 7 else None
        rows.append((day, hours(ms(plays_on.get(day, [])), 2), mean, unknown(plays), incomplete))
    return rows


def discovery_curve() -> list[Row]:
    firsts: dict[tuple[str, str], date] = {}
    for each in tracks(MINE):
        for key in (("artist", each.song.artist), ("track", each.song.title)):
            firsts.setdefault(key, each.month)
    rows = []
    for month in months():
        new, so_far = (
            [
                sum(kind == wanted and is_of(first) for (kind, _), first in firsts.items())
                for wanted in ("artist", "track")
            ]
            for is_of in (month.__eq__, month.__ge__)
        )
        rows.append((month, *new, *so_far))
    return rows


def skips_by() -> list[Row]:
    told = [each for each in tracks(MINE) if each.skipped is not None]
    switches = {True: "on", False: "off", None: "unknown"}
    splits: dict[str, Callable[[Heard], str]] = {
        "hour": lambda each: f"{each.local.hour:02}",
        "platform": lambda each: each.context.family if each.context else "unknown",
        "shuffle": lambda each: switches[each.shuffle],
    }
    return [
        (split, value, len(plays), skipped, percent(skipped, len(plays)))
        for split, key in splits.items()
        for value, plays in grouped(told, key)
        for skipped in [sum(bool(each.skipped) for each in plays)]
    ]


def countries() -> list[Row]:
    def country(each: Heard) -> str:
        return each.context.country if each.context and each.context.country != "ZZ" else "unknown"

    rows = [
        (
            name,
            len(plays),
            hours(ms(plays)),
            unknown(plays),
            len({each.day for each in plays}),
            plays[0].day,
            plays[-1].day,
        )
        for name, plays in grouped(MINE, country)
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def albums() -> list[Row]:
    rows = []
    for (artist, album), plays in grouped(tracks(MINE), lambda each: (each.song.artist, each.song.album)):
        heard = len({each.song for each in plays if each.counts})
        known = sum(song.album == album for song in SONGS)
        total = TOTAL_TRACKS.get(album)
        share = min(Decimal(100), rounded(Fraction(100 * heard, total), 1)) if total else None
        if heard:
            rows.append((artist, album, heard, known, total, share, counted(plays)))
    return sorted(rows, key=lambda row: (row[5] is None, -(row[5] or 0), -row[2], row[0], row[1]))


def longest_repeats() -> list[Row]:
    runs = [list(run) for _, run in groupby((each for each in MINE if each.counts), key=lambda each: each.song)]
    runs = [run for run in runs if len(run) > 1 and run[0].is_track]
    runs.sort(key=lambda run: (-len(run), run[0].played_at))
    return [
        (run[0].song.title, run[0].song.artist, len(run), run[0].day, run[-1].day,
         bool(gaps_within(run[0].played_at, run[-1].played_at)))
        for run in runs[:10]
    ]  # fmt: skip


AGAIN = ((1, "within an hour"), (24, "within a day"), (168, "within a week"), (720, "within 30 days"))


def first_replays() -> list[Row]:
    found: dict[str, list[Fraction]] = {}
    firsts = [
        plays for _, plays in grouped((each for each in tracks(MINE) if each.counts), lambda each: each.song.title)
    ]
    for plays in firsts:
        if len(plays) == 1:
            found.setdefault("not yet", [])
            continue
        waited = seconds(plays[1].played_at - plays[0].played_at) / 3600
        words = next((words for most, words in AGAIN if waited <= most), "later")
        found.setdefault(words, []).append(waited)
    alone = sum(len(plays) == 1 for plays in firsts)
    rows = [
        (words, number, percent(number, len(firsts)), rounded(median(waits), 1) if waits else None)
        for words, waits in found.items()
        for number in [len(waits) or alone]
    ]
    return sorted(rows, key=lambda row: (row[3] is None, row[3]))


def silences() -> list[Row]:
    found = [
        (other.started_at - one.played_at, one.played_at, other.started_at)
        for one, other in pairwise(MINE)
        if other.started_at - one.played_at > timedelta(days=2)
    ]
    rows = []
    for length, start, end in sorted(found, key=lambda silence: (-silence[0], silence[1]))[:10]:
        missing = sum((seconds(part) for part in gaps_within(start, end)), Fraction(0))
        local = [moment.astimezone(ZONE).replace(tzinfo=None, microsecond=0) for moment in (start, end)]
        rows.append((*local, rounded(seconds(length) / 86_400, 1), percent(missing, seconds(length))))
    return rows


def podcasts() -> list[Row]:
    rows = []
    for month, plays in grouped(MINE, lambda each: each.month):
        music, episodes, chapters, removed = (
            ms(each for each in plays if each.song.kind == kind) for kind in ("track", "episode", "chapter", "unknown")
        )
        share = percent(episodes, music + episodes)
        rows.append((month, hours(music), hours(episodes), hours(chapters), hours(removed), share, unknown(plays)))
    return rows


def year_over_year() -> list[Row]:
    of_month = {month: ms(plays) for month, plays in grouped(MINE, lambda each: each.month)}

    def is_complete(month: date) -> bool:
        return month > MINE[0].day and not gaps_within(midnight(month), midnight(month_after(month)))

    rows: list[Row] = []
    for month, now in of_month.items():
        before = month.replace(year=month.year - 1)
        if before not in of_month:
            rows.append((month, hours(now), None, None, None if is_complete(month) else False))
            continue
        then = of_month[before]
        both = is_complete(month) and is_complete(before)
        rows.append((month, hours(now), hours(then), percent(now - then, then), both))
    return rows


def years() -> list[Row]:
    return [
        (year, len({each.day for each in plays}), len(plays), counted(plays),
         unknown(plays), hours(ms(plays)))
        for year, plays in grouped(MINE, lambda each: each.day.year)
    ]  # fmt: skip


def top_artists() -> list[Row]:
    rows: list[Row] = []
    for month, plays in grouped((each for each in tracks(MINE) if each.day.year == 2024), lambda each: each.month):
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
    for month, plays in grouped(tracks(MINE), lambda each: each.month):
        artists = {each.song.artist for each in plays}
        new = artists - known
        known |= artists
        rows.append((month, len(artists), len(new), percent(len(new), len(artists))))
    return rows


def skips() -> list[Row]:
    told = grouped((each for each in tracks(MINE) if each.skipped is not None), lambda each: each.song.artist)
    rows = [
        (artist, len(plays), skipped, percent(skipped, len(plays)))
        for artist, plays in told
        if (skipped := sum(bool(each.skipped) for each in plays)) is not None and len(plays) >= 20
    ]
    return sorted(rows, key=lambda row: (-row[3], -row[1], row[0]))


def hours_of_the_week() -> list[Row]:
    return [
        (*key, counted(plays), hours(ms(plays), 2))
        for key, plays in grouped(MINE, lambda each: (each.day.isoweekday(), each.local.hour))
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
    rows = []
    for month in months():
        starts, ends = midnight(month), midnight(month_after(month))
        parts = gaps_within(starts, ends)
        missing = sum((seconds(part) for part in parts), Fraction(0))
        share = 100 - 100 * missing / seconds(ends - starts)
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


def life_of_a_song() -> list[Row]:
    by_song = [
        (counted(plays), ms(plays), song) for song, plays in grouped(tracks(MINE), lambda each: SONGS.index(each.song))
    ]
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
    recent = [
        each for each in tracks(MINE) if ASKED_AT - timedelta(days=28) < each.played_at <= ASKED_AT and each.counts
    ]
    plays_of = Counter(each.song.artist for each in recent)
    return [
        (rank, artist, 1 + sum(other > plays_of[artist] for other in plays_of.values()) if artist in plays_of else None,
         plays_of[artist])
        for rank, artist in enumerate(RANKED, start=1)
    ]  # fmt: skip


def shared_songs() -> list[Row]:
    found = [
        (one, other, len(shared), rounded(Fraction(100 * len(shared), min(map(len, (mine, theirs)))), 0))
        for (one, mine), (other, theirs) in combinations(PLAYLISTS.items(), 2)
        if (shared := set(mine) & set(theirs))
    ]
    return sorted(found, key=lambda row: (-row[2], *row[:2]))


# Each heading of the page: the columns that its query shows, and what they hold.
TWELVE: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "The average of seven days": (
        ("local_date", "hours", "hours_a_day", "plays_of_unknown_length", "incomplete_days"), average_of_seven_days),
    "The discovery curve": (("month", "new_artists", "new_songs", "artists_so_far", "songs_so_far"), discovery_curve),
    "How many of a month's artists were new": (("month", "artists", "new_artists", "new_percent"), new_artists),
    "Skips by hour, platform and shuffle": (("split_by", "value", "plays", "skipped", "skipped_percent"), skips_by),
    "Listening by country": (
        ("country", "plays", "hours", "plays_of_unknown_length", "days", "first_day", "last_day"), countries),
    "How much of each album was heard": (
        ("artist", "album", "tracks_heard", "tracks_known", "total_tracks", "heard_percent", "counted_plays"), albums),
    "How long sessions are": (("month", "sessions", "plays_a_session", "median_minutes", "longest_minutes"), sessions),
    "The longest repeats": (("song", "artist", "times", "first_day", "last_day", "spans_a_gap"), longest_repeats),
    "How soon a new track is played again": (("again", "tracks", "percent", "median_hours"), first_replays),
    "The longest silences, and whether they are real": (
        ("silent_from", "silent_to", "days", "unknown_percent"), silences),
    "Podcasts against music": (
        ("month", "music_hours", "podcast_hours", "audiobook_hours", "hours_of_unknown_content", "podcast_percent",
         "plays_of_unknown_length"), podcasts),
    "Year over year": (("month", "hours", "hours_a_year_before", "change_percent", "is_complete"), year_over_year),
}  # fmt: skip
MORE: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "What each year came to": (
        ("year", "days_with_music", "plays", "counted_plays", "plays_of_unknown_length", "hours"), years),
    "The three artists of each month": (("month", "rank", "artist", "counted_plays", "minutes"), top_artists),
    "Whose tracks are skipped": (("artist", "plays", "skipped", "skipped_percent"), skips),
    "The hours of the week": (("weekday", "hour", "counted_plays", "hours"), hours_of_the_week),
    "The longest streaks": (("streak_start", "streak_end", "days", "plays", "plays_a_day"), streaks),
    "How complete each month is": (("month", "gaps", "hours_in_gaps", "covered_percent"), completeness),
    "The life of a song": (
        ("song", "artist", "month", "months_since_first", "counted_plays", "counted_plays_so_far"), life_of_a_song),
    "Spotify's ranks beside your own": (("spotify_rank", "artist", "own_rank", "counted_plays"), ranks),
    "Which playlists share songs": (
        ("playlist", "other_playlist", "shared_songs", "percent_of_the_shorter"), shared_songs),
}  # fmt: skip
WORKED = TWELVE | MORE


def queries(heading: str) -> dict[str, str]:
    """The queries below a heading of the page, by their own headings."""
    text = (DOCS / "analysts.md").read_text(encoding="utf-8")
    below = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^### (.+?)\n.*?^```sql\n(.*?)^```$", below, re.DOTALL | re.MULTILINE))


def test_the_page_answers_twelve_questions_and_each_of_its_queries_is_worked_here() -> None:
    assert list(queries("Twelve questions")) == list(TWELVE)
    assert list(queries("More worked queries")) == list(MORE)
    assert len(TWELVE) == 12


@pytest.mark.parametrize("heading", WORKED)
def test_a_query_of_the_page_says_what_the_plays_say(listening: Marts, heading: str) -> None:
    columns, expected = WORKED[heading]
    query = (queries("Twelve questions") | queries("More worked queries"))[heading]
    with listening.warehouse.connect(Role.ANALYST) as connection:
        cursor = connection.execute(query.encode())
        assert tuple(column.name for column in cursor.description or ()) == columns
        found = cursor.fetchall()
    assert len(found) > 1
    assert found == expected()


def test_what_was_heard_of_a_show_is_counted_by_week_month_year_and_in_all(listening: Marts) -> None:
    starts: dict[str, Callable[[Heard], date]] = {
        "week": lambda each: each.day - timedelta(days=each.day.weekday()),
        "month": lambda each: each.month,
        "year": lambda each: each.day.replace(month=1, day=1),
        "all": lambda each: date(1970, 1, 1),
    }
    of_shows = [each for each in MINE if each.song.kind in ("episode", "chapter")]
    expected = {
        (period, *key, len(plays), counted(plays), ms(plays), plays[0].played_at, plays[-1].played_at)
        for period, start in starts.items()
        for key, plays in grouped(of_shows, lambda each, start=start: (start(each), each.song.album))
    }
    query = (
        "select period, period_start, show.name, plays, counted_plays, ms_played, first_played_at, last_played_at"
        " from marts.agg_period_shows inner join marts.dim_shows as show using (show_id)"
        " inner join marts.dim_users using (user_id) where user_key = 'me'"
    )
    found = listening.read(query)
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_drawn_plays_hold_what_makes_the_queries_differ() -> None:
    """Else a query that forgets a condition would still be right."""
    assert {each.skipped for each in MINE} == {each.shuffle for each in MINE} == {True, False, None}
    assert {each.song.kind for each in MINE} == {"track", "episode", "chapter", "unknown"}
    assert any(each.ms_played is None for each in MINE)
    assert any(each.played_at.date() != each.day for each in MINE)
    assert 0 < counted(MINE) < len(MINE)
    assert {row[2] for row in new_artists()} - {0} != {row[1] for row in new_artists()}
    assert {row[3] for row in completeness()} - {Decimal("100.0")}
    assert len({row[2] for row in ranks()}) == len(RANKED)
    assert ANOTHERS[0].song != MINE[0].song or ANOTHERS[0].played_at != MINE[0].played_at
    # Silent days, gaps and unknown lengths in the average of seven days.
    assert set(days()) - {each.day for each in MINE}
    assert {row[4] for row in average_of_seven_days()} >= {0, 1, 7}
    assert any(row[3] for row in average_of_seven_days())
    assert {row[0] for row in skips_by()} == {"hour", "platform", "shuffle"}
    assert "unknown" in {row[0] for row in countries()}
    assert {row[5] for row in albums()} >= {None, Decimal(100)}
    assert any(row[2] > 2 for row in longest_repeats())
    assert len(first_replays()) > 3
    assert {row[3] == 0 for row in silences()} == {True, False}
    assert {row[4] for row in year_over_year()} == {True, False, None}
    assert any(row[2] is not None for row in year_over_year())
