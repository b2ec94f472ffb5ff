"""One song counted as one, in lists, on pages and in the API; and what a person says about it, unseen by others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.dashboard.conftest import Browser, Element, Page
from tests.integration.dashboard.test_insights import numbers
from tests.integration.reads.conftest import Api, Filled

# The two tracks that ada heard most are made one recording, as a refresh would do it, and apart again.
MERGE = """
update marts.dim_tracks set recording_id = {one}, recording_reason = 'same_isrc' where track_id = {other};
update marts.fct_sessions set repeated_recording_id = {one} where repeated_recording_id = {other};
update marts.agg_period_tracks_stored set part_of_recording = {one} where track_id in ({one}, {other});
insert into marts.agg_period_recordings_merged (
    ms_played, first_played_at, last_played_at, user_id, period_start, recording_id, plays, counted_plays
)
select
    sum(ms_played), min(first_played_at), max(last_played_at), user_id, period_start, {one}, sum(plays),
    sum(counted_plays)
from marts.agg_period_tracks_stored where part_of_recording = {one} group by user_id, period_start
"""
PART = """
update marts.dim_tracks set recording_id = track_id, recording_reason = 'alone' where track_id in ({one}, {other});
update marts.fct_sessions set repeated_recording_id = repeated_track_id where repeated_recording_id = {one};
update marts.agg_period_tracks_stored set part_of_recording = 0 where part_of_recording = {one};
delete from marts.agg_period_recordings_merged where recording_id = {one}
"""


def section(page: Page, heading: str) -> Element:
    (found,) = (each for each in page.main.all("section") if each.attributes.get("aria-labelledby") == heading)
    return found


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
    assert "Your decision on" in page.text
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


def test_what_was_most_on_one_day_and_what_spotify_ranks_knows_songs(
    api: Api, browser: Browser, filled: Filled, pair: tuple[int, int]
) -> None:
    one, other = pair
    rows = filled.read(
        "select content_id, local_date, count(*) from marts.fct_plays where user_id = %s and is_counted"
        " and kind = 'track' and extract(year from local_date) = 2023 group by 1, 2",
        filled.users["ada"],
    )

    def best(by_song: bool) -> list[int]:
        days: Counter[tuple[int, Any]] = Counter()
        for track, day, times in rows:
            days[one if by_song and track == other else track, day] += times
        most: Counter[int] = Counter()
        for (track, _), times in days.items():
            most[track] = max(most[track], times)
        return [times for _, times in most.most_common(5) if times >= 3]

    assert numbers(browser.page("/insights", year=2023), "in-a-day") == best(by_song=True)
    ranked = api.read("/v1/me/ranks", kind="track")["data"]
    recordings = dict(filled.read("select track_id, recording_id from marts.dim_tracks"))
    assert [row["recording_id"] for row in ranked] == [recordings[row["id"]] for row in ranked]
    assert all(row["recording_id"] is None for row in api.read("/v1/me/ranks", kind="artist")["data"])


def test_a_song_is_heard_first_once_and_as_the_track_that_it_was_heard_as(
    api: Api, filled: Filled, pair: tuple[int, int]
) -> None:
    one, other = pair

    def firsts(kind: str) -> dict[int, dict[str, Any]]:
        rows = [row for page in api.pages("/v1/me/firsts", kind=kind, limit=500) for row in page]
        assert [row["first_played_at"] for row in rows] == sorted((r["first_played_at"] for r in rows), reverse=True)
        return {row["id"]: row for row in rows}

    tracks, songs = firsts("track"), firsts("recording")
    earlier, later = sorted((one, other), key=lambda track: tracks[track]["first_played_at"])
    recordings = dict(filled.read("select track_id, recording_id from marts.dim_tracks"))
    assert set(songs) == {recordings[track] for track in tracks}
    assert {row["kind"] for row in songs.values()} == {"track"}
    for name in ("play_id", "first_played_at", "name", "uri"):
        assert songs[one][name] == tracks[earlier][name]
        assert tracks[later][name] != tracks[earlier][name] or name == "name"


def test_a_song_stands_where_spotify_ranks_the_best_of_its_tracks(
    api: Api, browser: Browser, filled: Filled, pair: tuple[int, int]
) -> None:
    one, other = pair
    others = filled.read("select track_id from marts.dim_tracks where track_id not in (%s, %s) limit 1", one, other)
    listed = {"2024-06-01": (others[0][0], other, one), "2024-06-02": (one, others[0][0], other)}
    add = (
        "insert into marts.fct_top_ranks (user_id, snapshot_date, snapshot_at, entity_kind, term, rank, entity_id)"
        " values (%s, %s, %s, 'track', 'long_term', %s, %s)"
    )
    for day, tracks in listed.items():
        for rank, track in enumerate(tracks, start=1):
            filled.sql(add, filled.users["ada"], day, f"{day} 08:00Z", rank, track)
    try:
        query = {"kind": "track", "term": "long_term"}

        def ranked(**more: Any) -> list[tuple[str, int, int]]:
            rows = api.read("/v1/me/ranks", **query, **more)["data"]
            return [(row["snapshot_date"], row["rank"], row["id"]) for row in rows]

        assert [row[1:] for row in ranked()] == list(enumerate(listed["2024-06-02"], start=1))
        assert [row[1:] for row in ranked(by="recording")] == [(1, one), (2, others[0][0])]
        assert ranked(id=other) == [("2024-06-02", 3, other), ("2024-06-01", 2, other)]
        assert ranked(id=other, by="recording") == [("2024-06-02", 1, one), ("2024-06-01", 2, one)]
        assert api.get("/v1/me/ranks", by="song").status_code == 422
        song, single = browser.page(f"/tracks/{other}"), browser.page(f"/tracks/{other}", by="track")
        assert "Where Spotify ranked it" in song.text
        assert "2 June 2024 #1" in section(song, "ranks").text
        assert "2 June 2024 #3" in section(single, "ranks").text
    finally:
        filled.sql("delete from marts.fct_top_ranks where term = 'long_term' and entity_kind = 'track'")


def test_days_sessions_years_and_decades_count_songs(
    api: Api, browser: Browser, filled: Filled, pair: tuple[int, int]
) -> None:
    one, other = pair
    ada = filled.users["ada"]
    plays = filled.read(
        "select local_date, content_id from marts.fct_plays where user_id = %s and is_counted and kind = 'track'", ada
    )
    days: defaultdict[Any, Counter[int]] = defaultdict(Counter)
    for day, track in plays:
        days[day][track] += 1
    # A day on which the two together were heard more often than anything, and each of them was.
    day, times = next(
        (day, heard[one] + heard[other])
        for day, heard in sorted(days.items())
        if heard[one] and heard[other]
        and heard[one] + heard[other] > max((n for track, n in heard.items() if track not in (one, other)), default=0)
    )  # fmt: skip
    (item,) = (
        each
        for each in browser.page(f"/on-this-day/{day:%m-%d}").main.one("ol", class_="years-ago").all("li")
        if each.all("a")[0].text == f"{day:%Y}"
    )
    assert f"{times} times" in item.text
    (songs, tracks) = filled.read(
        "select count(distinct t.recording_id), count(*) from marts.agg_period_tracks_stored as p"
        " inner join marts.dim_tracks as t using (track_id) where p.user_id = %s and p.period_start = '2023-01-01'",
        ada,
    )[0]  # fmt: skip
    assert songs < tracks
    assert f"of {songs:,} songs" in browser.page("/year/2023").text
    decades = api.read("/v1/me/decades")["data"]
    (heard,) = filled.read(
        "select count(distinct t.recording_id) from marts.agg_period_tracks_stored as p"
        " inner join marts.dim_tracks as t using (track_id) where p.user_id = %s and p.period_start = '1970-01-01'",
        ada,
    )[0]  # fmt: skip
    assert sum(row["tracks"] for row in decades) == heard
    assert browser.page("/insights", year=2023).text != browser.page("/insights", year=2023, by="track").text
    assert f"/tracks/{one}?by=track" in browser.page("/insights", by="track").links("/tracks/")
    assert browser.clients["ada"].get("/insights?by=song").status_code == 422
