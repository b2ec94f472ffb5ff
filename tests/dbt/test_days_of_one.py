"""When one track, recording, artist or album was heard, as its page and the API read it, against every play counted by
hand: at the first and last moments of months and years, where clocks change, and where a listener has moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, get_args

import pytest

from myi_pipeline.catalogue.plays import ContentKind
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import Entity
from tests.dbt.conftest import emptied
from tests.dbt.test_time_zones import move

# In Berlin: where months and years end, winter time begins and summer time.
BERLIN = (
    "2021-12-31 22:59:59.999Z", "2021-12-31 23:00:00Z", "2023-02-28 22:59:59Z", "2023-02-28 23:00:00Z",
    "2024-02-29 22:59:59Z", "2024-03-31 00:59:59Z", "2024-03-31 01:00:00Z", "2024-03-31 21:59:59Z",
    "2024-03-31 22:00:00Z", "2024-04-01 22:30:00Z", "2024-10-27 00:30:00Z", "2024-10-27 01:30:00Z",
    "2024-10-31 22:30:00Z", "2024-10-31 23:30:00Z",
)  # fmt: skip
# Over the date line to the east on the first of a month and of a year, which begin twice; and back.
MOVES = (
    ("2024-05-10 00:00:00Z", "Asia/Tokyo"), ("2024-06-01 06:00:00Z", "Pacific/Honolulu"),
    ("2024-09-01 09:00:00Z", "Pacific/Kiritimati"), ("2025-01-01 06:00:00Z", "Pacific/Honolulu"),
)  # fmt: skip
MOVED = (
    "2024-05-31 14:59:59Z", "2024-05-31 15:00:00Z", "2024-06-01 05:59:59Z", "2024-06-01 06:00:00Z",
    "2024-06-01 09:59:59Z", "2024-06-01 10:00:00Z", "2024-09-01 08:59:59Z", "2024-09-01 09:00:00Z",
    "2024-12-31 09:59:59Z", "2024-12-31 10:00:00Z", "2025-01-01 05:59:59Z", "2025-01-01 06:00:00Z",
    "2025-01-01 10:00:00Z", "2025-03-07 12:00:00Z",
)  # fmt: skip
# Each play of an entity, with the zone's clock from the time zones themselves and not from the marts.
PLAYS = """
select
    play.played_at, here.clock::date, extract(hour from here.clock)::int,
    play.ms_played >= 30000, coalesce(play.ms_played, 0)
from raw.listening_events as play
inner join raw.contents as content using (content_id)
cross join lateral (
    select zone.time_zone from app.user_time_zones as zone
    where zone.user_id = play.user_id and zone.valid_from <= play.played_at order by zone.valid_from desc limit 1
) as zone
cross join lateral (select play.played_at at time zone zone.time_zone as clock) as here
where play.user_id = %s and content.{column} = %s and content.kind_id = 1
"""


@dataclass(frozen=True)
class Heard:
    marts: Any
    users: dict[str, int]
    ids: dict[Entity, int]

    def read(self, name: str, entity: Entity, user: str, **more: object) -> list[dict[str, Any]]:
        """The rows of a statement of the web, as the web asks."""
        with self.marts.warehouse.connect(Role.API) as api:
            api.execute("select set_config('app.user_id', %s, true)", (str(self.users[user]),))
            values = {"user_id": self.users[user], "id": self.ids[entity], **more}
            cursor = api.execute(load_sql(name, entity=entity), values)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def plays(self, entity: Entity, user: str) -> list[tuple[Any, ...]]:
        column = "content_id" if entity in ("track", "recording") else f"{entity}_id"
        return list(self.marts.sql(PLAYS.format(column=column), self.users[user], self.ids[entity]))


@pytest.fixture(scope="module")
def heard(marts_of_session: Any) -> Heard:
    marts = emptied(marts_of_session)
    marts.sql("select ops.ensure_event_partitions('2021-12-01', '2025-04-01')")
    users = {"ada": marts.add_user("ada", "Europe/Berlin"), "bob": marts.add_user("bob", "Pacific/Honolulu")}
    song = marts.add_content("Song", "Band", album="First", duration_ms=180_000)
    other = marts.add_content("Other", "Band", album="First")
    of_another_album = marts.add_content("Third", "Band", album="Second")
    episode = marts.add_content("Episode", "Show", kind=ContentKind.EPISODE)
    for since, zone in MOVES:
        move(marts, users["ada"], since, zone)
    for number, moment in enumerate(BERLIN + MOVED):
        # Every third is too short to count, and of every fifth the length is unknown.
        ms_played = None if number % 5 == 4 else 1_000 if number % 3 == 2 else 200_000
        for user in users.values():
            marts.add_play(user, moment, song, ms_played)
    for moment in BERLIN[::2] + MOVED[::3]:
        for content in (other, of_another_album, episode):
            marts.add_play(users["ada"], f"{moment[:-1]}+00:10", content)
    marts.refreshed()
    ((artist, album),) = marts.sql("select artist_id, album_id from raw.contents where content_id = %s", song)
    return Heard(marts, users, {"track": song, "recording": song, "artist": artist, "album": album})


def sums(plays: list[tuple[Any, ...]]) -> tuple[int, int, int]:
    return len(plays), sum(play[3] is True for play in plays), sum(play[4] for play in plays)


def by(plays: list[tuple[Any, ...]], key: Any) -> dict[Any, list[tuple[Any, ...]]]:
    found: dict[Any, list[tuple[Any, ...]]] = {}
    for play in plays:
        found.setdefault(key(play), []).append(play)
    return found


def figures(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["plays"], row["counted_plays"], row["ms_played"]


@pytest.mark.parametrize("user", ["ada", "bob"])
@pytest.mark.parametrize("entity", get_args(Entity))
def test_months_and_years_are_those_of_the_clock_at_the_time(heard: Heard, entity: Entity, user: str) -> None:
    plays = heard.plays(entity, user)
    expected = {("all", date(1970, 1, 1)): plays}
    expected |= {("year", start): own for start, own in by(plays, lambda play: play[1].replace(month=1, day=1)).items()}
    expected |= {("month", start): own for start, own in by(plays, lambda play: play[1].replace(day=1)).items()}
    assert [
        (row["period"], row["period_start"], *figures(row), row["first_played_at"], row["last_played_at"])
        for row in heard.read("entity_periods", entity, user)
    ] == [
        (*key, *sums(own), min(play[0] for play in own), max(play[0] for play in own))
        for key, own in sorted(expected.items())
    ]


@pytest.mark.parametrize("year", [None, 2024, 2019])
@pytest.mark.parametrize("entity", get_args(Entity))
def test_days_hours_and_the_longest_absence_are_those_of_the_clock_at_the_time(
    heard: Heard, entity: Entity, year: int | None
) -> None:
    plays = heard.plays(entity, "ada")
    span = (date(2024, 3, 31), date(2024, 6, 1))
    rows = heard.read("entity_days", entity, "ada", year=year, first_day=span[0], last_day=span[1])
    found = by([(row["part"], row) for row in rows], lambda each: each[0])

    def shown(part: str) -> dict[Any, tuple[int, int, int]]:
        return {row["starts_on"]: figures(row) for _, row in found.get(part, [])}

    days = by(plays, lambda play: play[1])
    assert shown("month") == {day: sums(own) for day, own in by(plays, lambda play: play[1].replace(day=1)).items()}
    assert shown("day") == {day: sums(own) for day, own in days.items() if day.year == (year or max(days).year)}
    assert shown("span") == {
        min(day for day in days if span[0] <= day <= span[1]): sums(
            [play for play in plays if span[0] <= play[1] <= span[1]]
        )
    }
    assert {(row["weekday"], row["hour"]): figures(row) for _, row in found["hour"]} == {
        key: sums(own) for key, own in by(plays, lambda play: (play[1].isoweekday(), play[2])).items()
    }
    last, next_day = max(pairwise(sorted(days)), key=lambda pair: (pair[1] - pair[0], -pair[0].toordinal()))
    assert next_day - last > timedelta(1)
    assert [(row["starts_on"], row["ends_on"]) for _, row in found["absence"]] == [(last, next_day)]


def test_only_tracks_have_an_artist_by_which_their_plays_are_read(heard: Heard) -> None:
    assert heard.marts.sql("select distinct kind from marts.fct_plays where artist_id is null") == [("episode",)]
    assert heard.marts.sql("select distinct kind from marts.fct_plays where artist_id is not null") == [("track",)]
