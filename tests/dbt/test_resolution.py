"""Which events are one play: each rule, its limits, and that a match is one to one."""

from __future__ import annotations

from typing import Any


def decisions(marts: Any) -> list[tuple[Any, ...]]:
    """Source, time and decision of every event, in order, after a refresh."""
    marts.refreshed()
    return marts.sql(
        "select source_id, to_char(played_at, 'HH24:MI:SS'), decision from intermediate.int_plays__resolved"
        " order by source_id, played_at, content_id, occurrence"
    )


def test_an_account_row_confirms_the_extended_row_of_its_minute(marts: Any) -> None:
    user = marts.add_user("ada")
    by_uri = marts.add_content("Song", "Artist", uri="spotify:track:1")
    by_name = marts.add_content("SONG", "artist ")
    marts.add_play(user, "2024-03-01 10:00:59Z", by_uri, 61_000)
    marts.add_play(user, "2024-03-01 10:00:00Z", by_name, 61_000, source=2, batch=2)
    assert decisions(marts) == [(1, "10:00:59", "confirmed"), (2, "10:00:00", "confirms_by_minute")]
    plays = marts.read("select played_at::text, content_id, source, confirmed_by from marts.fct_plays")
    assert plays == [("2024-03-01 10:00:59+00", by_uri, "extended_history", "account_history")]


def test_neighbouring_minutes_and_other_durations_never_match(marts: Any) -> None:
    user = marts.add_user("ada")
    by_uri = marts.add_content("Song", uri="spotify:track:1")
    by_name = marts.add_content("Song")
    marts.add_play(user, "2024-03-01 10:00:00Z", by_uri, 61_000)
    marts.add_play(user, "2024-03-01 09:59:00Z", by_name, 61_000, source=2)
    marts.add_play(user, "2024-03-01 10:00:00Z", by_name, 61_001, source=2)
    assert {decision for _, _, decision in decisions(marts)} == {"alone"}


def test_the_artist_only_breaks_ties(marts: Any) -> None:
    user = marts.add_user("ada")
    of_album_artist = marts.add_content("Intro", "Various", uri="spotify:track:1")
    of_artist = marts.add_content("Intro", "Singer", uri="spotify:track:2")
    named_singer = marts.add_content("Intro", "Singer")
    named_guest = marts.add_content("Intro", "Guest")
    for content in (of_album_artist, of_artist):
        marts.add_play(user, "2024-03-01 10:00:10Z", content, 40_000)
    for content in (named_singer, named_guest):
        marts.add_play(user, "2024-03-01 10:00:00Z", content, 40_000, source=2)
    found = decisions(marts)
    assert sorted(decision for source, _, decision in found if source == 2) == [
        "confirms_by_minute",
        "confirms_by_minute_title_only",
    ]
    pairs = marts.sql(
        "select a.content_id, e.content_id from intermediate.int_plays__resolved a"
        " join intermediate.int_plays__resolved e on e.user_id = a.user_id and e.event_id = a.play_id"
        " where a.source_id = 2 order by 1"
    )
    assert pairs == [(named_singer, of_artist), (named_guest, of_album_artist)]


def test_two_plays_in_one_minute_are_matched_one_to_one(marts: Any) -> None:
    user = marts.add_user("ada")
    by_uri = marts.add_content("Short", uri="spotify:track:1")
    by_name = marts.add_content("Short")
    marts.add_play(user, "2024-03-01 10:00:10Z", by_uri, 5_000)
    marts.add_play(user, "2024-03-01 10:00:40Z", by_uri, 5_000)
    for occurrence in range(3):
        marts.add_play(user, "2024-03-01 10:00:00Z", by_name, 5_000, source=2, occurrence=occurrence)
    found = decisions(marts)
    assert [decision for _, _, decision in found].count("confirms_by_minute") == 2
    assert [decision for _, _, decision in found].count("alone") == 1
    assert marts.read("select count(*) from marts.fct_plays") == [(3,)]


def test_a_removed_track_is_the_play_that_another_archive_still_names(marts: Any) -> None:
    user = marts.add_user("ada")
    song = marts.add_content("Song", uri="spotify:track:1")
    marts.add_play(user, "2024-03-01 10:00:10Z", None, 61_000, batch=1)
    marts.add_play(user, "2024-03-01 10:00:10Z", song, 61_000, batch=2)
    assert decisions(marts) == [(1, "10:00:10", "confirmed"), (1, "10:00:10", "unknown_content")]
    assert marts.read("select content_id, kind, confirmed_by from marts.fct_plays") == [(song, "track", None)]


def test_within_one_archive_a_removed_track_is_a_play_of_its_own(marts: Any) -> None:
    user = marts.add_user("ada")
    song = marts.add_content("Song", uri="spotify:track:1")
    marts.add_play(user, "2024-03-01 10:00:10Z", None, 61_000)
    marts.add_play(user, "2024-03-01 10:00:10Z", song, 61_000)
    assert {decision for _, _, decision in decisions(marts)} == {"alone"}
    assert marts.read("select kind from marts.fct_plays order by 1") == [("track",), ("unknown",)]


def test_one_archive_with_a_twin_and_a_removed_track_still_meets_the_other_archive(marts: Any) -> None:
    """Numbering both sides in the same order paired the removed track with its own archive's row, and so with none."""
    user = marts.add_user("ada")
    known, lost = marts.add_content("Known", uri="spotify:track:1"), marts.add_content("Lost", uri="spotify:track:2")
    marts.add_play(user, "2024-03-01 10:00:10Z", known, 0, batch=1)
    marts.add_play(user, "2024-03-01 10:00:10Z", None, 0, batch=1)
    marts.add_play(user, "2024-03-01 10:00:10Z", lost, 0, batch=2)
    assert sorted(decision for _, _, decision in decisions(marts)) == ["alone", "confirmed", "unknown_content"]


def test_an_account_row_lends_its_content_to_a_removed_track(marts: Any) -> None:
    user = marts.add_user("ada")
    named = marts.add_content("Song", "Artist")
    marts.add_play(user, "2024-03-01 10:00:10Z", None, 61_000)
    marts.add_play(user, "2024-03-01 10:00:00Z", named, 61_000, source=2)
    assert decisions(marts) == [(1, "10:00:10", "confirmed"), (2, "10:00:00", "unknown_content_by_minute")]
    plays = marts.read("select played_at::text, content_id, source from marts.fct_plays")
    assert plays == [("2024-03-01 10:00:10+00", named, "extended_history")]


def test_silence_lends_nothing(marts: Any) -> None:
    """Rows of 0 ms are skips of anything: equal durations say nothing there."""
    user = marts.add_user("ada")
    named = marts.add_content("Song", "Artist")
    marts.add_play(user, "2024-03-01 10:00:10Z", None, 0)
    marts.add_play(user, "2024-03-01 10:00:00Z", named, 0, source=2)
    assert {decision for _, _, decision in decisions(marts)} == {"alone"}


def test_a_play_never_holds_events_of_two_users(marts: Any) -> None:
    first, second = marts.add_user("ada"), marts.add_user("bob")
    by_uri, by_name = marts.add_content("Song", uri="spotify:track:1"), marts.add_content("Song")
    marts.add_play(first, "2024-03-01 10:00:10Z", by_uri, 61_000)
    marts.add_play(second, "2024-03-01 10:00:00Z", by_name, 61_000, source=2)
    assert {decision for _, _, decision in decisions(marts)} == {"alone"}
