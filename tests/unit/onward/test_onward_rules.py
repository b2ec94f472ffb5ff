"""Which plays are sent on, and which were sent already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.onward.rules import Journalled, Planned, Play, plan
from myi_pipeline.providers.scrobbles import Service

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def play(number: int, at: datetime, *sources: str, title: str = "Song", **fields: object) -> Play:
    values = {"play_id": number, "began_at": at, "sources": frozenset(sources or {"spotify_api"}), "title": title}
    return Play(**(values | {"artist": "Artist", "duration_ms": 200_000} | fields))  # type: ignore[arg-type]


def planned(plays: list[Play], journal: list[Journalled], *, existing: set[int] | None = None) -> Planned:
    return plan(
        plays,
        journal,
        existing=frozenset(existing if existing is not None else {each.play_id for each in plays}),
        service=Service.LASTFM,
        since=NOW - timedelta(days=1),
        until=NOW,
        name_of={each.play_id: (each.title or "").lower() for each in plays},
    )


@pytest.mark.parametrize("source", ["lastfm_api", "lastfm_export", "lastfm_export_minutes"])
def test_what_the_service_reports_also_is_not_sent_to_it(source: str) -> None:
    assert planned([play(1, NOW - MINUTE, "spotify_api", source)], []).new == ()


def test_what_another_service_reports_is() -> None:
    assert len(planned([play(1, NOW - MINUTE, "listenbrainz_api")], []).new) == 1


def test_only_plays_within_the_wish_and_with_names_are_sent() -> None:
    plays = [
        play(1, NOW - timedelta(days=2)),
        play(2, NOW),
        play(3, NOW - MINUTE, title=""),
        play(4, NOW - MINUTE, artist=None),
    ]
    assert planned(plays, []).new == ()


def test_a_play_by_another_number_is_the_one_that_was_sent() -> None:
    entry = Journalled(7, 1, NOW - 60 * MINUTE, "song")
    found = planned([play(2, NOW - 57 * MINUTE)], [entry])
    assert (found.new, found.known) == ((), ((7, 2),))


def test_a_true_repeat_beside_a_sent_play_is_sent() -> None:
    entry = Journalled(7, 1, NOW - 60 * MINUTE, "song")
    found = planned([play(1, NOW - 60 * MINUTE), play(2, NOW - 57 * MINUTE)], [entry])
    assert [each.play_id for each in found.new] == [2]


def test_of_two_repeats_that_an_archive_tells_again_each_is_one_that_was_sent() -> None:
    journal = [Journalled(7, 1, NOW - 60 * MINUTE, "song"), Journalled(8, 2, NOW - 57 * MINUTE, "song")]
    found = planned([play(3, NOW - 60 * MINUTE), play(4, NOW - 57 * MINUTE)], journal)
    assert (found.new, dict(found.known)) == ((), {7: 3, 8: 4})


def test_a_play_that_is_hidden_keeps_its_place_in_the_journal() -> None:
    entry = Journalled(7, 1, NOW - 60 * MINUTE, "song")
    found = planned([play(2, NOW - 57 * MINUTE)], [entry], existing={1, 2})
    assert [each.play_id for each in found.new] == [2]
