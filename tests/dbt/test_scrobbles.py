"""What scrobblers report: the play that another source knows better, or a play of its own; whatever they call it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.dbt.polled import ACCOUNT, LASTFM, LASTFM_API, LASTFM_MINUTES, LISTENBRAINZ, LOG, PUSHED, Person, at


def events(ada: Person) -> list[tuple[Any, ...]]:
    """Of every event that is not alone: source, start of the event that stands for the play, decision."""
    return list(
        ada.marts.sql(
            "select event.source_id, to_char(play.played_at, 'DD HH24:MI:SS'), event.decision"
            " from intermediate.int_plays__resolved as event"
            " inner join intermediate.int_plays__resolved as play"
            " on play.user_id = event.user_id and play.event_id = event.play_id"
            " where event.user_id = %s and event.decision <> 'alone' and not event.is_canonical"
            " order by event.played_at, event.source_id, event.event_id",
            ada.user,
        )
    )


def test_a_scrobble_is_part_of_the_archives_play_and_stands_alone_without_one(marts: Any) -> None:
    ada = Person(marts)
    ada.scrobbled("01 10:00:01", "01 12:00:00")
    marts.refreshed()
    assert ada.plays() == [
        ("01 10:00:01", "lastfm_export", None, None, True), ("01 12:00:00", "lastfm_export", None, None, True),
    ]  # fmt: skip
    assert marts.read("select count(*) from marts.fct_plays where started_at = played_at") == [(2,)]

    ada.archived("01 10:03:00", 180_000)
    marts.refreshed()
    assert ada.plays() == [
        ("01 10:03:00", "extended_history", "lastfm_export", 180_000, True),
        ("01 12:00:00", "lastfm_export", None, None, True),
    ]
    assert events(ada) == [(LASTFM, "01 10:03:00", "confirms_at_start")]


def test_two_scrobblers_of_one_listening_are_one_play_and_a_repeat_is_another(marts: Any) -> None:
    """The source that knows best stands for the play. A play that one of the two has missed is still one."""
    ada = Person(marts)
    ada.scrobbled("01 10:00:00", "01 10:00:45", "01 10:01:30", source=LASTFM)
    ada.scrobbled("01 10:00:03", "01 10:01:33", source=LISTENBRAINZ)
    ada.scrobbled("01 10:00:01", "01 10:00:46", "01 10:02:16", source=PUSHED, player="Pano Scrobbler")
    marts.refreshed()
    assert ada.plays() == [
        ("01 10:00:01", "submitted_listens", "lastfm_export, listenbrainz_export", None, True),
        ("01 10:00:46", "submitted_listens", "lastfm_export", None, True),
        ("01 10:01:30", "lastfm_export", "listenbrainz_export", None, True),
        ("01 10:02:16", "submitted_listens", None, None, True),
    ]


def test_players_that_push_to_one_endpoint_are_sources_of_their_own(marts: Any) -> None:
    ada = Person(marts)
    ada.scrobbled("01 10:00:00", "01 10:03:00", source=PUSHED, player="Jellyfin")
    ada.scrobbled("01 10:00:04", "01 10:03:04", source=PUSHED, player="Navidrome")
    ada.scrobbled("01 10:00:06", source=PUSHED, player="Navidrome")
    marts.refreshed()
    assert [play[:3] for play in ada.plays()] == [
        ("01 10:00:00", "submitted_listens", "submitted_listens"),
        ("01 10:00:06", "submitted_listens", None),
        ("01 10:03:00", "submitted_listens", "submitted_listens"),
    ]


SPELLINGS = (
    ("Señorita (feat. Someone)", "Beyoncé", "senorita", "Beyonce"),
    ("Song - Remastered 2011", "Queen", "Song", "Queen"),
    ("Song (Live)", "The Band", "Song [Live at Home]", "Band"),
    ("Don’t Stop", "A & B", "Don't stop", "A, B"),
    ("You and Me…", "A feat. B", "You & Me", "A"),
    ("夜に駆ける", "YOASOBI", "夜に駆ける", "ヨアソビ"),
    ("(I Can't) Wait", "A", "I CAN'T WAIT", "A"),
    ("???", "A", "???", "a"),
    ("Song (feat. B)", "A", "Song (feat. B) (Live) - Remastered 2011", "A"),
    ("ГРУППА", "A", "Группа", "A"),
)


def test_a_song_is_the_same_however_it_is_spelt(marts: Any) -> None:
    ada = Person(marts)
    for day, (title, creator, theirs, their_creator) in enumerate(SPELLINGS, 10):
        ada.archived(f"{day} 10:03:00", song=marts.add_content(title, creator, uri=f"spotify:track:{day}"))
        ada.scrobbled(f"{day} 10:00:02", song=marts.add_content(theirs, their_creator))
        ada.scrobbled(f"{day} 10:00:01", song=marts.add_content(f"Another {day}", creator))
    marts.refreshed()
    assert [play[1:3] for play in ada.plays()] == [
        ("lastfm_export", None), ("extended_history", "lastfm_export"),
    ] * len(SPELLINGS)  # fmt: skip


@pytest.mark.slow
def test_a_log_of_a_device_whose_clock_is_off_by_hours_meets_what_others_tell(marts: Any) -> None:
    """Once several plays have told by how much; in summer it is an hour more: nobody puts the device forward."""
    ada = Person(marts)
    off = timedelta(hours=5, seconds=40)
    for day in range(2, 9):
        song = marts.add_content(f"Song {day}")
        ada.scrobbled(at(f"0{day} 10:00:00"), song=song)
        ada.scrobbled(at(f"0{day} 10:00:02") + off, song=song, source=LOG, player="Rockbox")
    ada.scrobbled("20 10:00:00")
    ada.scrobbled(at("20 10:00:02") + off - timedelta(hours=1), source=LOG, player="Rockbox")
    # Heard in the morning and in the evening.
    evening = marts.add_content("Evening")
    ada.scrobbled("21 08:00:00", song=evening)
    ada.scrobbled("21 20:00:00", song=evening, source=LOG, player="Rockbox")
    marts.refreshed()
    assert marts.sql("select offset_s from intermediate.int_clocks__learnt where platform = 'Rockbox'") == [(18040,)]
    assert [play[1:3] for play in ada.plays()] == [
        *[("lastfm_export", "scrobbler_log")] * 8, ("lastfm_export", None), ("scrobbler_log", None),
    ]  # fmt: skip
    assert marts.verify().is_good


def test_minutes_and_names_are_enough(marts: Any) -> None:
    ada = Person(marts)
    marts.add_play(ada.user, at("01 10:03:00"), ada.song, 180_000, source=ACCOUNT)
    ada.scrobbled("01 10:00:00", source=LASTFM_MINUTES)
    ada.scrobbled("02 10:00:59", "02 10:03:59", source=LASTFM)
    ada.scrobbled("02 10:00:00", "02 10:03:00", source=LASTFM_MINUTES)
    marts.refreshed()
    assert [play[:3] for play in ada.plays()] == [
        ("01 10:03:00", "account_history", "lastfm_export_minutes"),
        ("02 10:00:59", "lastfm_export", "lastfm_export_minutes"),
        ("02 10:03:59", "lastfm_export", "lastfm_export_minutes"),
    ]


def test_a_pause_and_a_private_session_are_no_reason_for_a_second_play(marts: Any) -> None:
    ada = Person(marts)
    ada.archived("01 10:23:00", 180_000)
    ada.scrobbled("01 10:00:02")
    ada.archived("02 10:03:00", 180_000, private=True)
    ada.scrobbled("02 10:00:00")
    marts.refreshed()
    assert events(ada) == [
        (LASTFM, "01 10:23:00", "confirms_within_play"), (LASTFM, "02 10:03:00", "confirms_at_start"),
    ]  # fmt: skip


def test_a_scrobble_names_a_removed_track_and_lends_the_time_heard(marts: Any) -> None:
    ada = Person(marts)
    ada.archived("01 10:03:00", 180_000, song=None)
    ada.scrobbled("01 10:00:01")
    api = marts.add_content("Long", uri="spotify:track:long", duration_ms=240_000)
    ada.polled("02 10:04:00.5", song=api)
    ada.scrobbled("02 10:00:02", song=api, source=PUSHED, player="Jellyfin", ms_played=238_000)
    marts.refreshed()
    assert ada.plays() == [
        ("01 10:03:00", "extended_history", "lastfm_export", 180_000, True),
        ("02 10:04:00", "spotify_api", "submitted_listens", 238_000, True),
    ]
    assert marts.read("select count(*) from marts.fct_plays where content_id is null") == [(0,)]


def test_a_polled_play_and_its_scrobble_move_into_the_archives_play_together(marts: Any) -> None:
    """And out of it again, when the archive goes."""
    ada = Person(marts)
    song = marts.add_content("Known", uri="spotify:track:known", duration_ms=180_000)
    ada.polled("01 10:03:00.5", song=song)
    ada.scrobbled("01 10:00:00", song=marts.add_content("Known (Remastered)"))
    marts.refreshed()
    assert [play[:3] for play in ada.plays()] == [("01 10:03:00", "spotify_api", "lastfm_export")]
    ada.archived("01 10:03:00", song=song)
    marts.refreshed()
    assert [play[:3] for play in ada.plays()] == [("01 10:03:00", "extended_history", "spotify_api, lastfm_export")]
    marts.sql("delete from raw.listening_events where source_id = 1")
    marts.refreshed()
    assert [play[:3] for play in ada.plays()] == [("01 10:03:00", "spotify_api", "lastfm_export")]
    assert marts.verify().is_good


def test_another_export_with_corrected_names_tells_no_second_play(marts: Any) -> None:
    """Within one export two scrobbles of one second are two."""
    ada = Person(marts)
    corrected = marts.add_content("Song of ada (Remastered)")
    ada.scrobbled("01 10:00:00", batch=5)
    ada.scrobbled("01 10:00:00", batch=6, song=corrected)
    ada.scrobbled("02 10:00:00", batch=5)
    ada.scrobbled("02 10:00:00", batch=5, song=corrected)
    ada.archived("01 10:03:00")
    marts.refreshed()
    assert [play[:3] for play in ada.plays()] == [
        ("01 10:03:00", "extended_history", "lastfm_export"),
        ("02 10:00:00", "lastfm_export", None), ("02 10:00:00", "lastfm_export", None),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_scrobble_that_was_corrected_at_the_service_is_no_second_play(marts: Any) -> None:
    """Other names, same second: between two exports, and between an export and what is read from the account. Raw keeps
    both."""
    ada = Person(marts)
    another = marts.add_content("What it really was", "Somebody else")
    ada.scrobbled("01 10:00:00", "02 10:00:00", "04 10:00:00", batch=5)
    ada.scrobbled("01 10:00:00", batch=6, song=another)
    ada.scrobbled("02 10:00:00", source=LASTFM_API, song=another, batch=7)
    # A second later it is another play; what an export and the account name alike is one, whatever else they name.
    ada.scrobbled("02 10:00:01", source=LASTFM_API, song=another, batch=7)
    ada.scrobbled("04 10:00:00", source=LASTFM_API, batch=7)
    ada.scrobbled("04 10:00:00", source=LASTFM_API, song=another, batch=7)
    # Spotify knows it by the right name.
    ada.archived("05 10:03:00", song=another)
    ada.scrobbled("05 10:00:00", batch=5, song=another)
    ada.scrobbled("05 10:00:00", source=LASTFM_API, batch=7)
    wanted = [
        ("01 10:00:00", "lastfm_export", None),
        ("02 10:00:00", "lastfm_export", None),
        ("02 10:00:01", "lastfm_api", None),
        ("04 10:00:00", "lastfm_api", None),
        ("04 10:00:00", "lastfm_export", "lastfm_api"),
        ("05 10:03:00", "extended_history", "lastfm_export"),
    ]
    marts.refreshed()
    assert sorted(play[:3] for play in ada.plays()) == sorted(wanted, key=str)
    assert marts.sql("select count(*) from raw.listening_events") == [(11,)]
    marts.sql("delete from raw.listening_events where source_id = 4")
    marts.refreshed()
    assert [play[:2] for play in ada.plays()][1] == ("02 10:00:01", "lastfm_api")
    assert marts.verify().is_good


def test_a_device_writes_no_correction(marts: Any) -> None:
    """Two logs of two devices may have two songs of one second."""
    ada = Person(marts)
    ada.scrobbled("01 10:00:00", source=LOG, batch=5, player="one")
    ada.scrobbled("01 10:00:00", source=LOG, batch=6, player="two", song=marts.add_content("Another"))
    marts.refreshed()
    assert len(ada.plays()) == 2
