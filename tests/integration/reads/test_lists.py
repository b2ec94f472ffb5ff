"""Lists against the marts: complete, in order, page by page, and only one's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from myi_pipeline.web.api import models
from tests.integration.reads.conftest import Api, Filled

ENTITIES = ("track", "artist", "album")
TOP_TRUTH = """
select {id} as id, sum(1)::int, sum(is_counted::int)::int, coalesce(sum(ms_played), 0)::bigint
from (select *, content_id as track_id from marts.fct_plays) as play
where user_id = %s and kind = 'track' and {id} is not null and local_date between %s and %s
group by 1
order by 3 desc, 4 desc, 1
"""


def top_truth(filled: Filled, entity: str, first: date, last: date, user: str = "ada") -> list[tuple[Any, ...]]:
    return filled.read(TOP_TRUTH.format(id=f"{entity}_id"), filled.users[user], first, last)


def shown(rows: list[dict[str, Any]], entity: str) -> list[tuple[Any, ...]]:
    return [(row[f"{entity}_id"], row["plays"], row["counted_plays"], row["ms_played"]) for row in rows]


@pytest.mark.parametrize(
    "path", [
        "plays", "sessions", "firsts?kind=track", "firsts?kind=recording", "top/tracks", "timeline?grain=day",
        "streaks",
    ],
)  # fmt: skip
def test_pages_of_any_size_make_the_same_list(api: Api, path: str) -> None:
    address = f"/v1/me/{path}"
    mark = "&" if "?" in address else "?"
    whole = [row for page in api.pages(f"{address}{mark}limit=500") for row in page]
    parts = [row for page in api.pages(f"{address}{mark}limit=37") for row in page]
    assert len(whole) > 60
    assert parts == whole


def test_every_play_is_listed_once_and_newest_first(api: Api, filled: Filled) -> None:
    rows = [row for page in api.pages("/v1/me/plays", limit=500) for row in page]
    query = "select play_id::text from marts.fct_plays as p where user_id = %s order by played_at desc, p.play_id desc"
    assert [row["play_id"] for row in rows] == [play for (play,) in filled.read(query, filled.users["ada"])]
    for row in rows:
        models.Play.model_validate(row)


def test_pages_stay_where_they_were_while_plays_arrive(api: Api, filled: Filled) -> None:
    """With offsets the second page would begin with rows of the first."""
    first = api.get("/v1/me/plays", limit=10)
    before = [row["play_id"] for page in api.pages("/v1/me/plays", limit=10) for row in page][10:20]
    newest = first.json()["data"][0]["played_at"]
    add = (
        "insert into marts.fct_plays_stored"
        " (user_id, play_id, played_at, local_date, local_hour, source_id, flags, kind, confirmed_by)"
        " select %s, n, %s::timestamptz + n * interval '1 s', '2024-12-31', 1, 1, 0, 'unknown', 'test'"
        " from generate_series(1, 25) as n"
    )
    filled.sql(add, filled.users["ada"], newest)
    try:
        assert api.get("/v1/me/plays", limit=10).json()["data"][0]["play_id"] == "25"
        second = api.get(first.links["next"]["url"]).json()
        assert [row["play_id"] for row in second["data"]] == before
    finally:
        filled.sql("delete from marts.fct_plays where confirmed_by = 'test'")


def test_plays_of_an_artist_and_of_a_content_are_all_of_them(api: Api, filled: Filled) -> None:
    artist_id, content_id, plays, own = filled.read(
        "select artist_id, max(content_id), count(*), count(*) filter (where content_id = any(select max(content_id)"
        " from marts.fct_plays where user_id = %s group by artist_id)) from marts.fct_plays"
        " where user_id = %s and artist_id is not null group by 1 order by 3 desc limit 1",
        filled.users["ada"], filled.users["ada"],
    )[0]  # fmt: skip
    by_artist = [row for page in api.pages("/v1/me/plays", artist_id=artist_id, limit=500) for row in page]
    assert len(by_artist) == plays
    assert {row["artist_id"] for row in by_artist} == {artist_id}
    both = api.read("/v1/me/plays", artist_id=artist_id, content_id=content_id, limit=500)["data"]
    assert 0 < len(both) == own
    assert api.read("/v1/me/plays", artist_id=artist_id + 1, content_id=content_id)["data"] == []


def test_plays_of_an_album_are_all_of_them_page_by_page(api: Api, filled: Filled) -> None:
    album_id, tracks = filled.read(
        "select album_id, count(distinct content_id) from marts.fct_plays where user_id = %s and album_id is not null"
        " group by 1 having count(*) > 15 order by 2 desc, 1 limit 1",
        filled.users["ada"],
    )[0]  # fmt: skip
    assert tracks > 1
    rows = [row for page in api.pages("/v1/me/plays", album_id=album_id, limit=4) for row in page]
    query = (
        "select play_id::text from marts.fct_plays as p where user_id = %s and album_id = %s"
        " order by played_at desc, p.play_id desc"
    )
    assert [row["play_id"] for row in rows] == [one for (one,) in filled.read(query, filled.users["ada"], album_id)]
    some = api.read("/v1/me/plays", album_id=album_id, track_id=rows[0]["track_id"], limit=500)["data"]
    assert some == [row for row in rows if row["track_id"] == rows[0]["track_id"]]
    assert api.read("/v1/me/plays", album_id=album_id, artist_id=2_147_483_647)["data"] == []
    assert api.get("/v1/me/plays", content_id=rows[0]["track_id"], track_id=2_147_483_647).status_code == 422


def test_days_begin_in_the_zone_that_is_named(api: Api, filled: Filled) -> None:
    query = "select count(*) from marts.fct_plays where user_id = %s and played_at >= %s and played_at < %s"
    day = date(2024, 7, 1)
    for zone in ("Europe/Berlin", "Pacific/Auckland", "America/Los_Angeles", None):
        at = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone or "Europe/Berlin"))
        (expected,) = filled.read(query, filled.users["ada"], at, at + timedelta(days=30))[0]
        named = {"time_zone": zone} if zone else {}
        rows = api.read("/v1/me/plays", limit=500, **{"from": "2024-07-01", "to": "2024-07-30", **named})["data"]
        assert len(rows) == expected
        offset = (at.utcoffset() if zone else timedelta(0)) or timedelta(0)
        assert {datetime.fromisoformat(row["played_at"]).utcoffset() for row in rows} == {offset}


def test_times_name_instants(api: Api) -> None:
    rows = api.read("/v1/me/plays", limit=50)["data"]
    third = rows[2]["played_at"]
    assert api.read("/v1/me/plays", limit=50, to=third)["data"][0]["played_at"] < third
    assert api.read("/v1/me/plays", limit=50, **{"from": third})["data"][-1]["played_at"] == third


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({}, date(1970, 1, 1), date(9999, 1, 1)),
        ({"period": "year", "date": "2023-05-05"}, date(2023, 1, 1), date(2023, 12, 31)),
        ({"period": "month", "date": "2024-02-29"}, date(2024, 2, 1), date(2024, 2, 29)),
        ({"period": "week", "date": "2025-01-01"}, date(2024, 12, 30), date(2025, 1, 5)),
        ({"from": "2022-02-03", "to": "2024-05-06"}, date(2022, 2, 3), date(2024, 5, 6)),
        ({"from": "2023-03-31", "to": "2023-04-01"}, date(2023, 3, 31), date(2023, 4, 1)),
        ({"from": "2023-01-01"}, date(2023, 1, 1), date(9999, 1, 1)),
    ],
)
def test_a_top_list_is_what_its_plays_add_up_to(
    api: Api, filled: Filled, entity: str, query: dict[str, str], first: date, last: date
) -> None:
    rows = [row for page in api.pages(f"/v1/me/top/{entity}s", limit=23, **query) for row in page]
    assert shown(rows, entity) == top_truth(filled, entity, first, last)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    model = {"track": models.TopTrack, "artist": models.TopArtist, "album": models.TopAlbum}[entity]
    for row in rows:
        model.model_validate(row)
    # Archives may leave a title out.
    assert sum(row["name"] is None for row in rows) <= 2


def test_a_list_cut_by_the_wrong_days_is_noticed(api: Api, filled: Filled) -> None:
    rows = [
        row for page in api.pages("/v1/me/top/tracks", **{"from": "2022-02-03", "to": "2024-05-06"}) for row in page
    ]
    assert shown(rows, "track") != top_truth(filled, "track", date(2022, 2, 4), date(2024, 5, 6))


def test_sessions_and_first_plays_are_those_of_the_marts(api: Api, filled: Filled) -> None:
    sessions = [row for page in api.pages("/v1/me/sessions", limit=500) for row in page]
    query = (
        "select session_id::text from marts.fct_sessions as s where user_id = %s"
        " order by ended_at desc, s.session_id desc"
    )
    assert [row["session_id"] for row in sessions] == [one for (one,) in filled.read(query, filled.users["ada"])]
    for kind in (*ENTITIES, "recording"):
        firsts = [row for page in api.pages("/v1/me/firsts", kind=kind, limit=500) for row in page]
        found = filled.read(
            "select entity_id, play_id::text from marts.fct_first_plays where user_id = %s and entity_kind = %s"
            " order by first_played_at desc, entity_id desc",
            filled.users["ada"], kind,
        )  # fmt: skip
        assert [(row["id"], row["play_id"]) for row in firsts] == found
        assert sum(row["name"] is None for row in firsts) <= 2


def test_a_cursor_is_good_for_its_own_list_alone(api: Api) -> None:
    cursor = api.read("/v1/me/plays", limit=5)["next"]
    for path, as_ in (
        (f"/v1/me/sessions?cursor={cursor}", "ada"),
        (f"/v1/me/plays?cursor={cursor}&from=2024-01-01", "ada"),
        (f"/v1/me/plays?cursor={cursor}", "bob"),
        (f"/v1/me/plays?cursor={cursor[:-1]}", "ada"),
    ):
        answer = api.get(path, as_=as_)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["place"] == "query.cursor"
    assert api.get(f"/v1/me/plays?cursor={cursor}&limit=7").status_code == 200


def test_nobody_sees_the_rows_of_another(api: Api, filled: Filled) -> None:
    mine = {row["play_id"] for page in api.pages("/v1/me/plays", limit=500) for row in page}
    theirs = {row["play_id"] for page in api.pages("/v1/me/plays", limit=500, as_="bob") for row in page}
    assert (
        len(theirs) == filled.read("select count(*) from marts.fct_plays where user_id = %s", filled.users["bob"])[0][0]
    )
    assert mine.isdisjoint(theirs)
    (only_hers,) = filled.read(
        "select max(content_id) from marts.fct_plays where user_id = %s and content_id not in"
        " (select content_id from marts.fct_plays where user_id = %s and content_id is not null)",
        filled.users["ada"], filled.users["bob"],
    )[0]  # fmt: skip
    assert api.get("/v1/me/plays", as_="bob", content_id=only_hers).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("limit=0", "query.limit"),
        ("limit=501", "query.limit"),
        ("limit=1.0", "query.limit"),
        ("limit=1_0", "query.limit"),
        ("from=2024-02-30", "query.from"),
        ("from=20240201", "query.from"),
        ("from=1700000000", "query.from"),
        ("from=2024-02-02&to=2024-02-01", "query.from"),
        ("time_zone=Mars/Olympus", "query.time_zone"),
        ("time_zone=../../etc/passwd", "query.time_zone"),
        ("time_zone=Europe", "query.time_zone"),
        ("artist_id=2147483648", "query.artist_id"),
        ("content_id=0", "query.content_id"),
        ("cursor=", "query.cursor"),
    ],
)
def test_a_value_that_cannot_be_is_named(api: Api, query: str, place: str) -> None:
    answer = api.get(f"/v1/me/plays?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [each["place"] for each in answer.json()["errors"]] == [place]


def test_far_times_are_no_accident(api: Api) -> None:
    everything = len(api.read("/v1/me/plays", limit=500)["data"])
    far = {"from": "0001-01-01T00:00:00+14:00", "to": "9999-12-31T23:59:59Z"}
    assert api.get("/v1/me/plays", **far).status_code in (200, 422)
    assert len(api.read("/v1/me/plays", limit=500, **{"from": "0001-01-02", "to": "9999-12-30"})["data"]) == everything
    assert datetime.now(UTC).year < 9999
