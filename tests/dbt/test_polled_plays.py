"""Which archive row a polled play is: by a clock that nobody tells, one to one, across every border of time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.dbt.polled import ACCOUNT, API, Person, at

END, START, OTHER = "confirms_at_end", "confirms_at_start", "confirms_by_another_clock"


def test_a_polled_play_becomes_the_archives_play_once_that_is_there(marts: Any) -> None:
    ada = Person(marts)
    ada.polled("01 10:00:00.900")
    marts.refreshed()
    assert ada.plays() == [("01 10:00:00", "spotify_api", None, None, True)]
    polled_id = marts.read("select play_id from marts.fct_plays")

    ada.archived("01 10:00:00", 20_000)
    ada.archived("01 10:00:01", 29_000 + 1_000)
    marts.refreshed()
    assert ada.pairs() == [("01 10:00:00.900", "01 10:00:01", END)]
    assert ada.plays() == [
        ("01 10:00:00", "extended_history", None, 20_000, False),
        ("01 10:00:01", "extended_history", "spotify_api", 30_000, True),
    ]
    assert polled_id[0] not in marts.read("select play_id from marts.fct_plays")
    found = marts.sql(
        "select e.source_id, e.decision, e.is_canonical, e.play_id = a.event_id"
        " from intermediate.int_plays__resolved e, intermediate.int_plays__resolved a"
        " where a.confirmed_by is not null and e.play_id = a.play_id order by 1"
    )
    assert found == [(1, "confirmed", True, True), (3, END, False, True)]


def test_what_an_archive_never_shares_with_the_api_takes_no_polled_play(marts: Any) -> None:
    ada = Person(marts)
    ada.polled("02 10:00:00.2", "03 10:00:00.2", "04 10:00:00.2")
    ada.archived("02 10:00:00", private=True)
    ada.archived("03 10:00:00", song=marts.add_content("Another", uri="spotify:track:another"))
    ada.archived("04 12:00:00")
    marts.refreshed()
    assert ada.pairs() == []
    assert len(ada.plays()) == 6


def test_a_short_play_that_spotify_lists_is_one_play_and_a_long_one_is_always_preferred(marts: Any) -> None:
    """Rows of less than 30 s were no candidates, and so the archive's row of a listed one was a second play."""
    ada = Person(marts)
    ada.teach("end")
    # Listed alone: by its end, and by its start on a device of the other clock.
    ada.polled("01 10:00:12.4", "02 10:00:00.4")
    ada.archived("01 10:00:12", 12_000)
    ada.archived("02 10:00:12", 12_000)
    # Begun, begun again and heard: the list has the long one alone, by its start; then both.
    ada.polled("03 10:00:13.3", "04 10:00:12.3", "04 10:03:13.3")
    for day in ("03", "04"):
        ada.archived(f"{day} 10:00:12", 12_000)
        ada.archived(f"{day} 10:03:13", 180_000)
    # A skip long before the end of a play that the archive does not have is not that play.
    ada.polled("05 10:03:00.3")
    ada.archived("05 10:20:00", 8_000)
    # A length that the archive does not tell.
    ada.polled("06 10:03:00.3")
    marts.add_play(ada.user, at("06 10:03:00"), ada.song, None)
    marts.refreshed()
    assert ada.pairs() == [
        ("01 10:00:12.400", "01 10:00:12", END), ("02 10:00:00.400", "02 10:00:12", OTHER),
        ("03 10:00:13.300", "03 10:03:13", OTHER),
        ("04 10:00:12.300", "04 10:00:12", END), ("04 10:03:13.300", "04 10:03:13", END),
        ("06 10:03:00.300", "06 10:03:00", END),
    ]  # fmt: skip
    assert ada.plays()[:2] == [
        ("01 10:00:12", "extended_history", "spotify_api", 12_000, False),
        ("02 10:00:12", "extended_history", "spotify_api", 12_000, False),
    ]


def test_skips_of_a_song_never_crowd_out_the_play_of_it(marts: Any) -> None:
    ada = Person(marts)
    for second in range(12):
        ada.archived(f"01 10:00:{second:02}", 500)
    ada.archived("01 10:03:12", 180_000)
    ada.polled("01 10:00:06.4")
    marts.refreshed()
    assert [row for _, row, _ in ada.pairs()] == ["01 10:03:12"]


@pytest.mark.slow
def test_a_play_that_two_polls_told_otherwise_is_one_play(marts: Any) -> None:
    """Raw of earlier versions has such pairs: another id, a time moved by a millisecond, also over midnight."""
    ada = Person(marts)
    other_id = marts.add_content("Song of ada", uri="spotify:track:other", album="Another album")
    another = marts.add_content("Another song", uri="spotify:track:another")
    ada.polled("01 10:00:00.500")
    ada.polled("01 10:00:00.500", song=other_id)
    ada.polled("02 10:00:00.999", "02 10:00:01.000")
    ada.polled("02 23:59:59.999")
    # What is no such pair: a second later, and another song.
    ada.polled("05 10:00:00.500", "05 10:00:01.500")
    ada.polled("05 10:00:00.501", song=another)
    marts.refreshed()
    ada.polled("03 00:00:00.000", song=other_id)
    marts.refreshed()
    api = "spotify_api"
    assert [play[:2] for play in ada.plays()] == [
        ("01 10:00:00", api), ("02 10:00:00", api), ("02 23:59:59", api),
        ("05 10:00:00", api), ("05 10:00:00", api), ("05 10:00:01", api),
    ]  # fmt: skip

    # The archive comes, under yet another id of the song, and each pair is part of its row.
    third = marts.add_content("SONG of ada", uri="spotify:track:third")
    for end in ("01 10:00:00", "02 10:00:01", "03 00:00:00"):
        ada.archived(end, song=third)
    marts.refreshed()
    assert [play[:3] for play in ada.plays()[:3]] == [
        ("01 10:00:00", "extended_history", api), ("02 10:00:01", "extended_history", api),
        ("03 00:00:00", "extended_history", api),
    ]  # fmt: skip
    repeated = "select count(*), count(distinct play_id) from intermediate.int_plays__resolved where decision = %s"
    assert marts.sql(repeated, "polled_again") == [(3, 3)]

    # The first poll's event goes: what repeated it stands by itself.
    marts.sql("delete from raw.listening_events where source_id = 1")
    marts.sql("delete from raw.listening_events where played_at = %s", at("02 23:59:59.999"))
    marts.refreshed()
    assert [play[:2] for play in ada.plays()[:3]] == [("01 10:00:00", api), ("02 10:00:00", api), ("03 00:00:00", api)]
    assert marts.verify().is_good


def test_one_archive_row_confirms_one_polled_play_and_repeats_stay(marts: Any) -> None:
    """Rules of a tolerance in seconds merged both plays of a short track with one row, and lost one."""
    ada = Person(marts)
    ada.polled(*(at("01 10:00:00.3") + timedelta(seconds=31.5 * n) for n in (0, 1, 3)))
    for n in range(4):
        ada.archived((at("01 10:00:00") + timedelta(seconds=31.5 * n)).replace(microsecond=0), 30_500)
    marts.refreshed()
    assert [(api[-6:-4], row[-2:]) for api, row, _ in ada.pairs()] == [("00", "00"), ("31", "31"), ("34", "34")]
    assert len(ada.plays()) == 4


def test_the_clock_is_learnt_per_device_and_tells_repeats_apart(marts: Any) -> None:
    """Start and end of neighbours in a loop lie 1 s apart: by the wrong clock each play would be its neighbour."""
    ada = Person(marts)
    ada.teach("start", platform="speaker", late_s=2.4)
    ada.teach("end", platform="phone", days=(22, 23, 24))
    for n in range(5):
        began = at("01 10:00:00") + timedelta(seconds=33 * n)
        ada.archived(began + timedelta(seconds=32), 32_000, began=began, platform="speaker")
        began += timedelta(hours=2)
        ada.archived(began + timedelta(seconds=32), 32_000, began=began, platform="phone")
    # The first of the one and the last of the other were not polled.
    ada.polled(*(at("01 10:00:02.1") + timedelta(seconds=33 * n) for n in range(1, 5)))
    ada.polled(*(at("01 12:00:32.6") + timedelta(seconds=33 * n) for n in range(4)))
    marts.refreshed()
    assert marts.sql("select platform, clock, offset_s, votes from intermediate.int_clocks__learnt order by 1") == [
        ("", "end", 0, 3), ("phone", "end", 0, 3), ("speaker", "start", 0, 2),
    ]  # fmt: skip
    assert ada.pairs() == [
        ("01 10:00:35.100", "01 10:01:05", START), ("01 10:01:08.100", "01 10:01:38", START),
        ("01 10:01:41.100", "01 10:02:11", START), ("01 10:02:14.100", "01 10:02:44", START),
        ("01 12:00:32.600", "01 12:00:32", END), ("01 12:01:05.600", "01 12:01:05", END),
        ("01 12:01:38.600", "01 12:01:38", END), ("01 12:02:11.600", "01 12:02:11", END),
    ]  # fmt: skip


def test_a_clock_that_changes_takes_all_its_days_along(marts: Any) -> None:
    """A loop in January is matched again when an archive of April shows that the speaker says starts."""
    ada = Person(marts)
    for n in range(3):
        began = at("01 10:00:00") + timedelta(seconds=33 * n)
        ada.archived(began + timedelta(seconds=32), 32_000, began=began, platform="speaker")
    ada.polled("01 10:00:33.2", "01 10:01:06.2")
    marts.refreshed()
    assert [row for _, row, _ in ada.pairs()] == ["01 10:00:32", "01 10:01:05"]

    ada.teach("start", platform="speaker")
    result = marts.refreshed()
    assert [row for _, row, _ in ada.pairs()] == ["01 10:01:05", "01 10:01:38"]
    assert result.status == "completed"
    assert marts.sql("select count(*) from ops.changed_days") == [(0,)]


@pytest.mark.slow
def test_a_track_on_loop_for_a_day_is_matched_play_by_play(marts: Any) -> None:
    ada = Person(marts)
    marts.sql(
        "insert into raw.listening_events (user_id, played_at, content_id, ms_played, source_id, batch_id)"
        " select %s, t, %s, 40000, 1, 1"
        " from generate_series(timestamptz '2024-03-01 06:00Z', '2024-03-02 06:00Z', '41 s') as t union all"
        " select %s, t + interval '300 ms', %s, null, 3, 9"
        " from generate_series(timestamptz '2024-03-01 06:00Z', '2024-03-02 06:00Z', '41 s') as t"
        " where extract(minute from t) > 5",
        ada.user, ada.song, ada.user, ada.song,
    )  # fmt: skip
    marts.refreshed()
    pairs = marts.sql("select count(*), max(played_at - play_played_at)::text from intermediate.int_plays__paired")
    events = marts.sql("select count(*) from raw.listening_events where source_id = 3")
    assert pairs == [(events[0][0], "00:00:00.3")]
    assert marts.read("select count(*) from marts.fct_plays") == [(24 * 3600 // 41 + 1,)]


def test_a_play_before_midnight_is_confirmed_by_a_row_of_the_next_day(marts: Any) -> None:
    """Both days were recomputed each by itself, and the play stood in both."""
    ada = Person(marts)
    ada.teach("start")
    ada.polled("09 23:59:10.4")
    marts.refreshed()
    assert ("09 23:59:10", "spotify_api", None, None, True) in ada.plays()

    ada.archived("10 00:02:10", 180_000)
    marts.refreshed()
    assert ada.pairs() == [("09 23:59:10.400", "10 00:02:10", START)]
    days = "select local_date::text, plays from marts.agg_day_user where local_date < '2024-03-15'"
    assert marts.read(days) == [("2024-03-10", 1)]

    marts.sql("delete from raw.listening_events where played_at = '2024-03-10 00:02:10Z'")
    marts.refreshed()
    assert marts.read(days) == [("2024-03-09", 1)]


def test_pauses_lie_inside_the_play(marts: Any) -> None:
    ada = Person(marts)
    ada.teach("start")
    # Began at 10:00, paused for 20 minutes: told, and not told.
    ada.archived("01 10:23:00", 180_000, began="01 10:00:00")
    ada.archived("02 10:23:00", 180_000)
    ada.polled("01 10:00:00.5", "02 10:00:00.5")
    marts.refreshed()
    assert ada.pairs() == [
        ("01 10:00:00.500", "01 10:23:00", START), ("02 10:00:00.500", "02 10:23:00", "confirms_within_play"),
    ]  # fmt: skip


def test_a_play_that_the_archive_puts_at_a_later_sync_is_found_where_it_was_heard(marts: Any) -> None:
    ada = Person(marts)
    ada.polled("05 10:03:00.5", "06 11:03:00.5")
    marts.refreshed()
    ada.archived("07 18:00:00", 180_000, began="05 10:00:00", offline=True)
    ada.archived("06 11:33:00", 180_000, began="06 11:00:00", offline=True)
    marts.refreshed()
    assert ada.pairs() == [("05 10:03:00.500", "07 18:00:00", END), ("06 11:03:00.500", "06 11:33:00", OTHER)]
    assert [play[0] for play in ada.plays()] == ["06 11:33:00", "07 18:00:00"]
    marts.sql("delete from raw.listening_events where source_id = 1")
    marts.refreshed()
    assert [play[0] for play in ada.plays()] == ["05 10:03:00", "06 11:03:00"]


def test_an_alias_that_comes_or_goes_moves_the_plays_of_both_ids(marts: Any) -> None:
    ada = Person(marts)
    relinked = marts.add_content("By another name", "Somebody", uri="spotify:track:relinked")
    ada.polled("01 23:59:59.8", song=relinked)
    ada.archived("02 00:00:00")
    marts.refreshed()
    assert len(ada.plays()) == 2
    marts.sql("insert into raw.content_aliases values (%s, %s, 'relinked')", relinked, ada.song)
    marts.refreshed()
    assert ada.plays() == [("02 00:00:00", "extended_history", "spotify_api", 180_000, True)]
    marts.sql("delete from raw.content_aliases")
    marts.refreshed()
    assert len(ada.plays()) == 2


def test_account_data_confirm_to_the_minute_where_nothing_better_exists(marts: Any) -> None:
    ada = Person(marts)
    by_name = marts.add_content("Song of ada")
    marts.add_play(ada.user, at("01 10:00:00"), by_name, 180_000, source=ACCOUNT, batch=2)
    marts.add_play(ada.user, at("02 10:00:00"), by_name, 180_000, source=ACCOUNT, batch=2)
    ada.archived("02 10:00:40")
    ada.polled("01 10:00:59.8", "02 10:00:40.2")
    marts.refreshed()
    assert ada.plays() == [
        ("01 10:00:00", "account_history", "spotify_api", 180_000, True),
        ("02 10:00:40", "extended_history", "account_history, spotify_api", 180_000, True),
    ]


def test_a_polled_play_names_a_removed_track(marts: Any) -> None:
    ada = Person(marts)
    ada.archived("01 10:00:00", song=None)
    ada.archived("01 11:00:00", song=None)
    ada.polled("01 10:00:00.4", "01 11:00:20.4")
    marts.refreshed()
    assert ada.pairs() == [("01 10:00:00.400", "01 10:00:00", "unknown_content_by_time")]
    named = "select to_char(played_at, 'HH24:MI:SS'), content_id, source from marts.fct_plays order by played_at"
    assert marts.read(named) == [
        ("10:00:00", ada.song, "extended_history"), ("11:00:00", None, "extended_history"),
        ("11:00:20", ada.song, "spotify_api"),
    ]  # fmt: skip


def test_nobody_confirms_the_plays_of_another(marts: Any) -> None:
    ada, bob = Person(marts), Person(marts, "bob")
    ada.polled("01 10:00:00.4")
    marts.add_play(bob.user, at("01 10:00:00"), ada.song)
    marts.refreshed()
    assert marts.sql("select count(*) from intermediate.int_plays__candidates") == [(0,)]
    assert marts.sql("select count(*) from raw.listening_events where source_id = %s", API) == [(1,)]
