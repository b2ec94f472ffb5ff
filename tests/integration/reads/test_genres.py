"""Genres and decades against a count of plays; and of how many plays they are known."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from fractions import Fraction

import pytest

from myi_pipeline.web.api import models
from tests.integration.reads.conftest import Api, Filled

PLAYS = """
select local_date, content_id, coalesce(ms_played, 0), is_counted
from marts.fct_plays where user_id = %s and kind = 'track'
"""
BRIDGE = """
select b.track_id, g.name, b.sixths
from marts.bridge_track_genres as b inner join marts.dim_genres as g using (genre_id)
"""


def plays_of(filled: Filled, user: str) -> list[tuple[date, int, int, bool]]:
    return filled.read(PLAYS, filled.users[user])


def genres_of(filled: Filled) -> dict[int, list[tuple[str, Fraction]]]:
    genres = defaultdict(list)
    for track, name, sixths in filled.read(BRIDGE):
        genres[track].append((name, Fraction(sixths, 6)))
    return genres


@pytest.mark.parametrize(
    ("period", "day", "first", "last"),
    [
        ("all", None, date(1970, 1, 1), date(9999, 12, 31)),
        ("year", "2023-05-05", date(2023, 1, 1), date(2023, 12, 31)),
        ("month", "2023-05-05", date(2023, 5, 1), date(2023, 5, 31)),
        ("week", "2023-05-05", date(2023, 5, 1), date(2023, 5, 7)),
    ],
)
@pytest.mark.parametrize("user", ["ada", "bob"])
def test_genres_of_a_period_are_what_its_plays_say(
    api: Api, filled: Filled, user: str, period: str, day: str | None, first: date, last: date
) -> None:
    genres, counted, parts, total = genres_of(filled), Counter[str](), Counter[str](), 0
    heard: Counter[str] = Counter()
    known = Fraction(0)
    for local_date, track, ms_played, is_counted in plays_of(filled, user):
        if first <= local_date <= last:
            total += is_counted
            for name, part in genres[track]:
                counted[name] += is_counted
                heard[name] += ms_played
                parts[name] += part * is_counted  # type: ignore[assignment]
                known += part * is_counted
    query = {"period": period} | ({"date": day} if day else {})
    answer = api.get("/v1/me/genres", as_=user, **query)
    models.Genres.model_validate_json(answer.content)
    found = answer.json()
    assert (found["counted_plays"], found["known_plays"]) == (total, known)
    assert "CC BY-NC-SA 3.0" in found["licence"]
    rows = found["data"]
    wanted = {name: (counted[name], heard[name]) for name in counted if counted[name]}
    assert {row["name"]: (row["counted_plays"], row["ms_played"]) for row in rows} == wanted
    for row in rows:
        assert row["share"] == pytest.approx(float(parts[row["name"]] / known))
    assert [row["share"] for row in rows] == sorted((row["share"] for row in rows), reverse=True)
    if period == "all":
        assert {"ambient", "<b>folk</b>"} <= set(wanted)
        assert "seen live" not in wanted
        assert 0 < known < total


def test_the_years_of_a_genre_are_those_of_its_plays(api: Api, filled: Filled) -> None:
    genres = genres_of(filled)
    counted: Counter[tuple[int, str]] = Counter()
    for local_date, track, _, is_counted in plays_of(filled, "ada"):
        for name, _ in genres[track]:
            counted[local_date.year, name] += is_counted
    answer = api.get("/v1/me/genres/years", limit=2)
    models.GenreYears.model_validate_json(answer.content)
    rows = answer.json()["data"]
    names = {row["name"] for row in api.read("/v1/me/genres", limit=2)["data"]}
    assert {(row["year"], row["name"]): row["counted_plays"] for row in rows} == {
        key: count for key, count in counted.items() if key[1] in names and count
    }


def test_decades_hold_every_counted_play_once(api: Api, filled: Filled) -> None:
    years = dict(filled.read("select track_id, release_year from marts.dim_tracks"))
    songs = dict(filled.read("select track_id, recording_id from marts.dim_tracks"))
    # A song is as old as the oldest of its tracks that she heard.
    oldest: dict[int, int] = {}
    for _, track, _, _ in plays_of(filled, "ada"):
        if years[track] is not None:
            oldest[songs[track]] = min(years[track], oldest.get(songs[track], years[track]))
    counted: Counter[int | None] = Counter()
    for _, track, _, is_counted in plays_of(filled, "ada"):
        year = oldest.get(songs[track])
        counted[year // 10 * 10 if year is not None else None] += is_counted
    answer = api.get("/v1/me/decades")
    models.Decades.model_validate_json(answer.content)
    assert {row["decade"]: row["counted_plays"] for row in answer.json()["data"]} == counted
    assert {1960, 1990, None} == set(counted)
    of_year = api.read("/v1/me/decades", period="year", date="2023-01-01")["data"]
    assert 0 < sum(row["counted_plays"] for row in of_year) < sum(counted.values())
