"""One song counted as one, in lists, on pages and in the API; and what a person says about it, unseen by others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.dashboard.conftest import Browser
from tests.integration.reads.conftest import Api, Filled

# The two tracks that ada heard most are made one recording, as a refresh would do it, and apart again.
MERGE = """
update marts.dim_tracks set recording_id = {one}, recording_reason = 'same_isrc' where track_id = {other};
delete from marts.agg_period_recordings_stored where recording_id in ({one}, {other});
insert into marts.agg_period_recordings_stored (
    ms_played, first_played_at, last_played_at, user_id, period_start, recording_id, plays, counted_plays
)
select
    sum(ms_played), min(first_played_at), max(last_played_at), user_id, period_start, {one}, sum(plays),
    sum(counted_plays)
from marts.agg_period_tracks_stored where track_id in ({one}, {other}) group by user_id, period_start
"""
PART = """
update marts.dim_tracks set recording_id = track_id, recording_reason = 'alone' where track_id in ({one}, {other});
delete from marts.agg_period_recordings_stored where recording_id in ({one}, {other});
insert into marts.agg_period_recordings_stored (
    ms_played, first_played_at, last_played_at, user_id, period_start, recording_id, plays, counted_plays
)
select ms_played, first_played_at, last_played_at, user_id, period_start, track_id, plays, counted_plays
from marts.agg_period_tracks_stored where track_id in ({one}, {other})
"""


@pytest.fixture
def pair(filled: Filled) -> Iterator[tuple[int, int]]:
    rows = filled.read(
        "select track_id from marts.agg_period_tracks where user_id = %s and period = 'all'"
        " order by counted_plays desc, ms_played desc, track_id limit 2",
        filled.users["ada"],
    )
    one, other = rows[0][0], rows[1][0]
    filled.sql(MERGE.format(one=one, other=other))
    yield one, other
    filled.sql(PART.format(one=one, other=other))
    filled.sql("delete from app.recording_decisions")
    filled.sql("delete from ops.changed_users")


def listed(api: Api, **query: Any) -> dict[int, int]:
    return {row["id"]: row["plays"] for row in api.read("/v1/me/top/tracks", limit=500, **query)["data"]}


def test_a_list_by_recordings_adds_up_what_a_list_by_tracks_shows_apart(api: Api, pair: tuple[int, int]) -> None:
    one, other = pair
    for query in ({}, {"period": "year", "date": "2023-06-01"}, {"from": "2022-03-05", "to": "2023-07-09"},
                  {"period": "month", "date": "2023-06-01"}):  # fmt: skip
        tracks, songs = listed(api, **query), listed(api, by="recording", **query)
        # As before for whoever does not ask for it.
        assert tracks == listed(api, by="track", **query)
        assert songs.get(one, 0) == tracks.get(one, 0) + tracks.get(other, 0)
        assert other not in songs
    single, song = api.read(f"/v1/me/tracks/{other}"), api.read(f"/v1/me/tracks/{other}", by="recording")
    assert (single["id"], song["id"]) == (other, one)
    assert song["plays"] == single["plays"] + api.read(f"/v1/me/tracks/{one}")["plays"]
    rows = api.read(f"/v1/me/tracks/{other}/recording")["data"]
    assert {row["track_id"] for row in rows} == {one, other}
    assert api.get(f"/v1/me/tracks/{other}", by="song").status_code == 422


def test_pages_show_songs_and_single_tracks_on_request(browser: Browser, pair: tuple[int, int]) -> None:
    one, other = pair
    songs, tracks = browser.page("/top"), browser.page("/top", by="track")
    assert f"/tracks/{one}" in songs.links("/tracks/")
    assert f"/tracks/{other}" not in songs.links("/tracks/")
    assert f"/tracks/{other}?by=track" in tracks.links("/tracks/")
    song, single = browser.page(f"/tracks/{other}"), browser.page(f"/tracks/{other}", by="track")
    assert song.tiles() != single.tiles()
    assert song.tiles() == browser.page(f"/tracks/{one}").tiles()
    assert "same recording code" in song.text


def test_a_person_says_what_is_one_song_and_takes_it_back_and_others_see_nothing_of_it(
    browser: Browser, filled: Filled, pair: tuple[int, int]
) -> None:
    one, other = pair
    ada = browser.clients["ada"]
    assert ada.post(f"/tracks/{one}/apart", data={"track": str(other)}).status_code == 303
    page = browser.page(f"/tracks/{one}")
    assert "You said on" in page.text
    # The next refresh is asked for.
    assert filled.sql("select 1 from ops.changed_users where user_id = %s", filled.users["ada"])
    (number,) = filled.sql("select decision_id from app.recording_decisions")[0]

    bob = browser.clients["bob"]
    assert bob.post(f"/tracks/{one}/take-back", data={"decision": str(number)}).status_code == 404
    assert ada.post(f"/tracks/{one}/take-back", data={"decision": str(number)}).status_code == 303
    assert filled.sql("select 1 from app.recording_decisions") == []
    assert "A decision about a song was taken back" in browser.page("/account").text


def test_nobody_decides_about_what_they_never_heard(browser: Browser, filled: Filled, pair: tuple[int, int]) -> None:
    one, _ = pair
    (unheard,) = filled.read(
        "select track_id from marts.dim_tracks where track_id not in"
        " (select track_id from marts.agg_period_tracks_stored where user_id = %s) limit 1",
        filled.users["bob"],
    )[0]
    bob = browser.clients["bob"]
    for form in ({"track": str(unheard)}, {"track": "0"}, {"track": "x"}, {}):
        assert bob.post(f"/tracks/{one}/apart", data=form).status_code == 404
    answer = bob.post("/v1/me/recording-decisions", json={"decision": "apart", "track_id": unheard})
    assert answer.status_code == 404
    wrong = bob.post("/v1/me/recording-decisions", json={"decision": "same", "track_id": one})
    assert wrong.status_code == 422


def test_the_api_takes_decisions_of_a_browser_and_none_of_a_token(
    api: Api, browser: Browser, pair: tuple[int, int]
) -> None:
    one, other = pair
    wish = {"decision": "same", "track_id": one, "other_track_id": other}
    token = {"authorization": f"Bearer {api.tokens['ada']}"}
    assert api.client.post("/v1/me/recording-decisions", json=wish, headers=token).status_code == 403
    ada = browser.clients["ada"]
    made = ada.post("/v1/me/recording-decisions", json=wish)
    assert made.status_code == 201, made.text
    assert made.json()["other_track_id"] == other
    found = ada.get("/v1/me/recording-decisions", headers={"accept": "application/json"}).json()["data"]
    assert [each["id"] for each in found] == [made.json()["id"]]
    assert ada.delete(f"/v1/me/recording-decisions/{made.json()['id']}").status_code == 204
    assert ada.delete(f"/v1/me/recording-decisions/{made.json()['id']}").status_code == 404
