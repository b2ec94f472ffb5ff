"""The rules of share reports: links, titles, ends, visitors, and what is kept of figures."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.sharing.rules import checked_expiry, checked_title, is_share_id, new_share_id
from myi_pipeline.sharing.snapshots import (
    LONGEST_NAME,
    MOST_ROWS,
    Bar,
    Figures,
    OverTime,
    Row,
    Snapshot,
    SnapshotUnreadable,
    TopList,
    as_document,
    read_snapshot,
)
from myi_pipeline.sharing.visits import Visits
from myi_pipeline.web.dashboard import pages

NOW = datetime(2024, 3, 9, 21, 14, tzinfo=UTC)
SNAPSHOT = Snapshot(
    kind="year", label="2024", first_day=date(2024, 1, 1), last_day=date(2024, 12, 31), taken_on=date(2024, 3, 9)
)


def test_a_link_has_twelve_characters_and_is_never_the_same_twice() -> None:
    made = {new_share_id() for _ in range(2_000)}
    assert len(made) == 2_000
    assert all(re.fullmatch(r"[0-9A-Za-z]{12}", each) and is_share_id(each) for each in made)
    # Each of the 62 characters stands in each place about as often.
    assert len({each[0] for each in made}) == 62
    for wrong in ("", "a" * 11, "a" * 13, "a" * 11 + "-", "a" * 12 + "\n", "ä" * 12):
        assert not is_share_id(wrong), wrong


def test_a_title_is_what_can_be_read() -> None:
    assert checked_title("  My   2024 ") == "My 2024"
    for wrong in ("", "   ", "x" * 101, "a\x00b", "a\u202eb"):
        with pytest.raises(BadInput):
            checked_title(wrong)


def test_an_end_lies_ahead_or_never_comes() -> None:
    assert checked_expiry(None, now=NOW) is None
    assert checked_expiry(NOW + timedelta(seconds=1), now=NOW) == NOW + timedelta(seconds=1)
    for wrong in (NOW, NOW - timedelta(days=1), datetime(9999, 12, 31, tzinfo=UTC)):
        with pytest.raises(BadInput):
            checked_expiry(wrong, now=NOW)


def test_a_visitor_is_new_once_a_day_and_is_forgotten_at_its_end() -> None:
    visits = Visits()
    assert visits.is_new("a", "1.2.3.4 Firefox", now=NOW)
    assert not visits.is_new("a", "1.2.3.4 Firefox", now=NOW + timedelta(hours=2))
    assert visits.is_new("a", "1.2.3.4 Safari", now=NOW)
    assert visits.is_new("b", "1.2.3.4 Firefox", now=NOW)
    kept, key = visits._seen, visits._key
    assert all(b"1.2.3.4" not in each and len(each) == 16 for each in kept)
    assert visits.is_new("a", "1.2.3.4 Firefox", now=NOW + timedelta(days=1))
    assert len(visits._seen) == 1
    assert visits._key != key


def test_what_is_kept_is_read_again_as_it_was_and_nothing_else_is_read() -> None:
    assert read_snapshot(json.loads(json.dumps(as_document(SNAPSHOT)))) == SNAPSHOT
    for wrong in (
        None, [], "x", {}, {"version": 0}, {**as_document(SNAPSHOT), "version": 2},
        {**as_document(SNAPSHOT), "mood": "calm"}, {**as_document(SNAPSHOT), "kind": "century"},
        {**as_document(SNAPSHOT), "clock": [1, 2]},
    ):  # fmt: skip
        with pytest.raises(SnapshotUnreadable):
            read_snapshot(wrong)


def test_what_is_drawn_is_checked_when_it_is_read() -> None:
    """A row that somebody wrote by hand draws nothing but cards."""
    card = {
        "name": "hours", "says": "x", "texts": [], "bars": [], "shapes": [],
        "colours": {"ground": "#0b3d29", "ink": "#f3fbf6", "soft": "#b5d9c6", "accent": "#5fd69c"},
    }  # fmt: skip
    good = {**as_document(SNAPSHOT), "kind": "story", "cards": [card]}
    assert len(read_snapshot(good).cards) == 1
    for change in (
        {"colours": {**card["colours"], "ink": "url(https://example.org)"}},  # type: ignore[dict-item]
        {"shapes": [{"path": "M0,0<script>", "is_soft": False}]},
        {"name": "../x"},
        {"texts": [{"x": "0", "y": 1, "text": "t", "size": 1, "weight": 1, "anchor": "left", "is_soft": False}]},
    ):
        with pytest.raises(SnapshotUnreadable):
            read_snapshot({**good, "cards": [{**card, **change}]})


@pytest.mark.parametrize("letter", ["'", "&", "<", "\U0001f3b5", "ж"])
def test_no_report_is_larger_than_its_page_may_be(letter: str) -> None:
    """With the longest names, of letters that take most bytes, and as many rows and bars as there can be."""
    long = letter * 5_000
    row = Row(rank=1, name=long, artist=long, plays=10**6, ms_played=10**10)
    assert row.name is not None
    assert len(row.name) == LONGEST_NAME
    sums = Figures(ms_played=10**12, plays=10**7, days=7_000, unknown_plays=3, known_days=6_999, asked_days=7_000)
    bars = tuple(
        Bar(starts_on=date(2024, 1, 1) + timedelta(days=number), ms_played=10**7 + number) for number in range(62)
    )
    overview = SNAPSHOT.model_copy(
        update={
            "figures": sums, "over_time": OverTime(by="day", bars=bars), "clock": tuple(range(10**7, 10**7 + 24)),
            "lists": (TopList(what="tracks", ranked_by="plays", rows=(row,) * 10),) * 3,
        }
    )  # fmt: skip
    top = SNAPSHOT.model_copy(
        update={"kind": "top", "lists": (TopList(what="tracks", ranked_by="time", rows=(row,) * MOST_ROWS),)}
    )
    for each in (overview, top):
        values = {
            "title": letter * 100, "snapshot": each, "is_indexed": False, "summary": letter * 600,
            "address": "https://music.example.org/s/AAAAAAAAAAAA",
        }  # fmt: skip
        assert len(pages.page("shared.html", values).body) <= 100_000, each.kind
