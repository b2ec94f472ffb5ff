"""Which events are one play: each rule, its limits, and that a match is one to one."""

from __future__ import annotations

from typing import Any

import pytest

from myi_pipeline.catalogue.plays import ContentKind


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


def test_a_podcast_that_two_account_archives_tell_as_a_track_and_as_an_episode_is_one_play(marts: Any) -> None:
    """It is an episode, also when the extended history brings it; a row of the same archive is another play."""
    user = marts.add_user("ada")
    as_track = marts.add_content("Episode 1", "The Show")
    retitled = marts.add_content("Episode 2 (edited)", "The Show")
    episodes = [
        marts.add_content(f"Episode {number}", None, kind=ContentKind.EPISODE, album="The Show") for number in (1, 2)
    ]
    marts.add_play(user, "2024-03-01 10:00:00Z", as_track, 1_800_000, source=2, batch=1)
    marts.add_play(user, "2024-03-01 10:00:00Z", episodes[0], 1_800_000, source=2, batch=2)
    marts.add_play(user, "2024-03-01 11:00:00Z", retitled, 1_800_000, source=2, batch=1)
    marts.add_play(user, "2024-03-01 11:00:00Z", episodes[1], 1_800_000, source=2, batch=2)
    marts.add_play(user, "2024-03-01 12:00:00Z", as_track, 1_800_000, source=2, batch=2)
    marts.add_play(user, "2024-03-01 12:00:00Z", episodes[0], 1_800_000, source=2, batch=2)
    told = ["confirms_by_minute_as_track", "confirmed"]
    assert [decision for _, _, decision in decisions(marts)] == [*told, *told, "alone", "alone"]
    kinds = "select kind, artist_id is null from marts.fct_plays order by played_at, kind"
    expected = [("episode", True), ("episode", True), ("episode", True), ("track", False)]
    assert marts.read(kinds) == expected

    of_show = marts.add_content("Episode 1", None, kind=ContentKind.EPISODE, album="The Show", uri="spotify:episode:1")
    marts.add_play(user, "2024-03-01 10:00:59Z", of_show, 1_800_000, batch=3)
    marts.refreshed()
    assert marts.read(kinds) == expected


def test_a_row_of_account_data_that_has_lost_its_names_is_the_play_of_its_minute(marts: Any) -> None:
    """ "Unknown Artist" beside the extended history, beside other account data, and beside another removed track."""
    user = marts.add_user("ada")
    by_uri = marts.add_content("Song", uri="spotify:track:1")
    by_name = marts.add_content("Song")
    for hour, told in enumerate([[(1, by_uri)], [(2, by_name)], [(1, None)], [(2, by_name), (1, by_uri)]], 10):
        marts.add_play(user, f"2024-03-01 {hour}:00:00Z", None, 61_000, source=2, batch=1)
        for source, content in told:
            second = 0 if source == 2 else 41
            marts.add_play(user, f"2024-03-01 {hour}:00:{second:02}Z", content, 61_000, source=source, batch=1 + source)
    # In one archive, or without a length: nothing says that they are one.
    marts.add_play(user, "2024-03-01 15:00:00Z", None, 61_000, source=2, batch=1)
    marts.add_play(user, "2024-03-01 15:00:00Z", by_name, 61_000, source=2, batch=1)
    for source, batch in ((2, 3), (1, 2)):
        hour = 15 + source
        marts.add_play(user, f"2024-03-01 {hour}:00:00Z", None, 0, source=2, batch=1)
        marts.add_play(user, f"2024-03-01 {hour}:00:00Z", by_name, 0, source=source, batch=batch)
    marts.refreshed()
    found = marts.read("select local_hour, count(*), count(content_id) from marts.fct_plays group by 1 order by 1")
    assert found == [(10, 1, 1), (11, 1, 1), (12, 1, 0), (13, 1, 1), (15, 2, 1), (16, 2, 1), (17, 2, 1)]


def test_two_plays_of_one_archive_stay_two_whatever_other_archives_have_lost(marts: Any) -> None:
    """A removed track that may be either of two plays makes them not one, and takes one of them at most."""
    user = marts.add_user("ada")
    songs = [marts.add_content(f"Song {number}", f"Singer {number}") for number in (1, 2)]
    for batch, told in ((1, [None]), (2, [songs[0]]), (3, [songs[1]])):
        for content in told:
            marts.add_play(user, "2024-03-01 10:00:00Z", content, 61_000, source=2, batch=batch)
    # The archive that has lost one name holds the other play too.
    marts.add_play(user, "2024-03-01 11:00:00Z", None, 61_000, source=2, batch=1)
    marts.add_play(user, "2024-03-01 11:00:00Z", songs[0], 61_000, source=2, batch=1)
    marts.add_play(user, "2024-03-01 11:00:00Z", songs[1], 61_000, source=2, batch=2)
    # Neither of two lost names meets the one play that the extended history has, more than once.
    by_uri = marts.add_content("Song 1", "Singer 1", uri="spotify:track:1")
    for occurrence in (0, 1):
        marts.add_play(user, "2024-03-01 12:00:00Z", None, 61_000, source=2, batch=1, occurrence=occurrence)
    marts.add_play(user, "2024-03-01 12:00:10Z", by_uri, 61_000, batch=4)
    marts.refreshed()
    found = marts.read("select local_hour, count(*), count(content_id) from marts.fct_plays group by 1 order by 1")
    assert found == [(10, 2, 2), (11, 2, 2), (12, 2, 1)]


def test_a_song_with_an_edited_title_is_known_by_its_artist_and_its_length(marts: Any) -> None:
    user = marts.add_user("ada")
    remastered = marts.add_content("Song - Remastered 2015", "Singer", uri="spotify:track:1")
    as_it_was = marts.add_content("Song", "SINGER")
    of_another = marts.add_content("Song", "Another")
    for hour, (content, ms) in enumerate([(as_it_was, 61_000), (of_another, 61_000), (as_it_was, 29_999)], 10):
        marts.add_play(user, f"2024-03-01 {hour}:00:59Z", remastered, ms)
        marts.add_play(user, f"2024-03-01 {hour}:00:00Z", content, ms, source=2, batch=2)
    found = [decision for source, _, decision in decisions(marts) if source == 2]
    assert found == ["confirms_by_minute_artist_only", "alone", "alone"]


def test_an_edited_title_is_known_in_two_account_archives_and_of_an_episode_too(marts: Any) -> None:
    user = marts.add_user("ada")
    song, edited = marts.add_content("Song", "Singer"), marts.add_content("Song - Remastered 2015", "Singer")
    marts.add_play(user, "2024-03-01 10:00:00Z", song, 61_000, source=2, batch=1)
    marts.add_play(user, "2024-03-01 10:00:00Z", edited, 61_000, source=2, batch=2)
    kind = ContentKind.EPISODE
    episode = marts.add_content("Episode", None, kind=kind, album="The Show")
    by_uri = marts.add_content("Episode (edited)", None, kind=kind, album="The Show", uri="spotify:episode:1")
    marts.add_play(user, "2024-03-01 11:00:00Z", episode, 61_000, source=2, batch=1)
    marts.add_play(user, "2024-03-01 11:00:30Z", by_uri, 61_000, batch=3)
    marts.refreshed()
    found = "select local_hour, kind, source from marts.fct_plays order by 1"
    assert marts.read(found) == [(10, "track", "account_history"), (11, "episode", "extended_history")]


def test_two_songs_of_one_artist_in_one_minute_are_two_plays_where_an_archive_has_both(marts: Any) -> None:
    """Equal in length to the millisecond: the surer pair is taken first, and what is left has nothing to meet."""
    user = marts.add_user("ada")
    names = [marts.add_content(title, "Singer") for title in ("One", "Two")]
    uris = [marts.add_content(title, "Singer", uri=f"spotify:track:{title}") for title in ("One", "Two (Live)")]
    for content in names:
        marts.add_play(user, "2024-03-01 10:00:00Z", content, 61_000, source=2, batch=2)
    marts.add_play(user, "2024-03-01 10:00:10Z", uris[0], 61_000)
    # Each archive has two; of the second pair the title was edited.
    for content in names:
        marts.add_play(user, "2024-03-01 11:00:00Z", content, 61_000, source=2, batch=2)
    for content in uris:
        marts.add_play(user, "2024-03-01 11:00:10Z", content, 61_000)
    marts.refreshed()
    found = "select local_hour, c.title, confirmed_by from marts.fct_plays left join marts.dim_contents as c"
    assert marts.read(f"{found} using (content_id) order by 1, 2") == [
        (10, "One", "account_history"),
        (10, "Two", None),
        (11, "One", "account_history"),
        (11, "Two (Live)", "account_history"),
    ]


def test_plays_whose_times_postgres_hashes_alike_have_ids_of_their_own(marts: Any) -> None:
    """A timestamp is folded to 32 bits when it is hashed: of a million plays, two of one song had one id."""
    user = marts.add_user("ada")
    song = marts.add_content("Song", uri="spotify:track:1")
    times = ("2024-06-10 04:04:03Z", "2024-07-15 03:58:20Z")
    one, other = (f"timestamptz_hash_extended('{at}', 0)" for at in times)
    assert marts.sql(f"select {one} = {other}") == [(True,)]
    for at in times:
        marts.add_play(user, at, song, 61_000)
    marts.refreshed()
    assert len(marts.read("select distinct play_id from marts.fct_plays")) == 2


@pytest.mark.slow
def test_a_row_of_unknown_length_and_the_account_row_of_its_minute_are_one_play(marts: Any) -> None:
    """Whichever of the two does not tell it; the play has the length that is told, and counts once, also when a poll
    says that it was heard."""
    user = marts.add_user("ada")
    by_uri, by_name = marts.add_content("Song", "Artist", uri="spotify:track:1"), marts.add_content("song", "Artist")
    for day, extended, account in ((1, None, 180_000), (2, 180_000, None), (3, None, None)):
        marts.add_play(user, f"2024-03-0{day} 10:03:20Z", by_uri, extended)
        marts.add_play(user, f"2024-03-0{day} 10:03:00Z", by_name, account, source=2, batch=2)
    # One of two is the account's; another song in the minute, or the next minute, is another play.
    marts.add_play(user, "2024-03-04 10:03:20Z", by_uri, None)
    marts.add_play(user, "2024-03-04 10:03:40Z", by_uri, 180_000)
    marts.add_play(user, "2024-03-04 10:03:00Z", by_name, 180_000, source=2, batch=2)
    marts.add_play(user, "2024-03-05 10:03:20Z", marts.add_content("Other", "Artist"), None)
    marts.add_play(user, "2024-03-05 10:03:00Z", by_name, 180_000, source=2, batch=2)
    marts.add_play(user, "2024-03-06 10:04:00Z", by_uri, None)
    marts.add_play(user, "2024-03-06 10:03:00Z", by_name, 180_000, source=2, batch=2)
    marts.add_play(user, "2024-03-01 10:03:21Z", by_uri, None, source=3, batch=9)
    marts.refreshed()
    plays = marts.read(
        "select to_char(played_at, 'DD HH24:MI:SS'), source, ms_played, is_counted from marts.fct_plays order by 1, 2"
    )
    assert plays == [
        ("01 10:03:20", "extended_history", 180_000, True),
        ("02 10:03:20", "extended_history", 180_000, True),
        ("03 10:03:20", "extended_history", None, False),
        ("04 10:03:20", "extended_history", None, False),
        ("04 10:03:40", "extended_history", 180_000, True),
        ("05 10:03:00", "account_history", 180_000, True),
        ("05 10:03:20", "extended_history", None, False),
        ("06 10:03:00", "account_history", 180_000, True),
        ("06 10:04:00", "extended_history", None, False),
    ]
    assert marts.verify().is_good
