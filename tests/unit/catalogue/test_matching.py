"""When two tracks are one recording; and a sample of benchmarks/recordings, held against the truth."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from benchmarks.recordings_rules import RULES, by_keys, listenbrainz, ours, score
from benchmarks.recordings_truth import Maker, Told
from myi_pipeline.catalogue.matching import grouping, verdicts
from myi_pipeline.catalogue.matching.grouping import blocks_of
from myi_pipeline.catalogue.matching.titles import fold, names_of, parse_title
from myi_pipeline.catalogue.matching.verdicts import Class, Reason, Track, compare, parse, within


def track(title: str, artist: str = "Singer", duration_ms: int | None = 200_000, **more: object) -> Track:
    return Track(title, (artist,), duration_ms=duration_ms, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "other"),
    [
        ("Song", "Song - Remastered 2011"),
        ("Song", "Song (2009 Remaster)"),
        ("Song", "Song - 2015 - Remaster"),
        ("Song", "Song [Remastered Version]"),
        ("Song", "Song - Album Version"),
        ("Song", "Song - Stereo"),
        ("Song", 'Song - From "The Film"'),
        ("Song - Mono Version", "Song (Mono / 2012 Remaster)"),
        ("Song (feat. Guest)", "Song (ft. Guest)"),
        ("Song (with Guest)", "Song"),
        ("Song (Live)", "Song - Live"),
        ("Song - Guest Remix", "Song (Guest Remix)"),
        ("Levels - Original Mix", "Levels"),
        ("Sòng & Dance", "song and dance"),
        ("Rock 'n' Roll", "Rock and Roll"),
        ("Don’t Stop", "Dont stop"),
        ("(I Can't) Sleep", "I Can't Sleep"),
        ("The Long Way", "Long Way"),
        ("Heart Break", "Heartbreak"),
        ("Bohemian Rhapsody", "Bohemian Rapsody"),
        ("夜に駆ける", "夜に駆ける"),
        ("Ёлка", "Ёлка"),
    ],
)
def test_what_says_nothing_of_the_recording_is_left_out(title: str, other: str) -> None:
    assert compare(track(title), track(other)).is_same
    assert compare(track(other), track(title)).is_same
    assert set(blocks_of(parse(track(title)))) & set(blocks_of(parse(track(other))))


@pytest.mark.parametrize(
    "version",
    [
        "Live", "Live at the Hall", "Guest Remix", "Acoustic", "Instrumental", "Karaoke Version", "Demo", "Mono",
        "2019 Mix", "Taylor's Version", "Spanish Version", "Sped Up", "Extended Mix", "Reprise", "Take 2", "Unplugged",
        "Clean", "Re-Recorded", "En Vivo",
    ],
)  # fmt: skip
def test_live_remix_acoustic_and_the_like_are_recordings_of_their_own(version: str) -> None:
    for title in (f"Song - {version}", f"Song ({version})", f"Song [{version}]"):
        found = compare(track(title), track("Song"))
        assert (found.verdict, found.reason) == (Class.SAME_SONG_OTHER_VERSION, Reason.VERSIONS_DIFFER), title
        # Nor does a code make them one.
        coded = compare(track(title, isrc="DE1"), track("Song", isrc="DE1"))
        assert coded.verdict is Class.SAME_SONG_OTHER_VERSION


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (track("Song, Pt. 1"), track("Song, Pt. 2")),
        (track("Symphony No. 5: I. Allegro"), track("Symphony No. 5: II. Allegro")),
        (track("Symphony No. 5 in C Minor"), track("Symphony No. 5 in D Minor")),
        (track("Song for Jane", duration_ms=None), track("Song for June", duration_ms=None)),
        (track("Long Song of Girl"), track("Long Song of Girls")),
        (track("Home"), track("Home", "Somebody else")),
        (track("Intro", album="One", duration_ms=None), track("Intro", album="Two", duration_ms=None)),
        (track("Song", duration_ms=200_000), track("Song", duration_ms=230_000)),
        (track("Song (Berlin Remix)"), track("Song (Paris Remix)")),
        (track("Song (feat. Guest)"), track("Song (feat. Another)")),
        (track("First / Second"), track("First")),
        (track("Катя"), track("Катья")),
        (track("かみ"), track("がみ")),
        (track("Song", kind="episode"), track("Song", kind="episode")),
        # A code that was printed on two recordings.
        (track("Song", isrc="DE1"), track("Another", isrc="DE1")),
        (track("Song", isrc="DE1", duration_ms=200_000), track("Song", isrc="DE1", duration_ms=300_000)),
        (track("", isrc="DE1"), track("", isrc="DE1")),
    ],
)
def test_what_is_another_recording_or_may_be_is_not_merged(one: Track, other: Track) -> None:
    assert not compare(one, other).is_same
    assert compare(one, other) == compare(other, one)


def test_codes_help_where_names_go_together_and_two_of_them_refute_nothing() -> None:
    assert compare(track("Song", isrc="DE1"), track("Song", isrc="US2")).is_same
    one, other = track("Song", isrc="DE1"), track("Song", duration_ms=207_000, isrc="DE1")
    assert compare(one, other).reason is Reason.SAME_ISRC
    far = track("Song", duration_ms=207_000)
    assert compare(one, far).verdict is Class.UNSURE
    known = frozenset({"mbid"})
    assert compare(track("Song", mbids=known), track("Song", duration_ms=207_000, mbids=known)).is_same


def test_a_track_without_length_that_fits_two_recordings_is_left_alone() -> None:
    short, long = track("Song", duration_ms=200_000), track("Song", duration_ms=300_000)
    unknown = track("Song", duration_ms=None)
    assert sorted(map(sorted, ours([short, long, unknown]))) == [[0], [1], [2]]
    assert sorted(map(sorted, ours([short, unknown]))) == [[0, 1]]


def test_names_are_folded_and_credits_parted() -> None:
    assert fold("BJÖRK’s  Ø—x") == "bjorks o x"
    assert (fold("й"), fold("が")) == ("й", "が")
    assert fold("!!!") == "!!!"
    assert names_of("The A & B, C feat. D") == ("a", "b", "c", "d")
    assert parse_title("Live and Let Die").versions == ()
    assert parse_title("Ignition Remix").versions == (("remix", ""),)
    assert within("abcd", "abdc", 1)
    assert not within("abcd", "badc", 1)


@pytest.fixture(scope="module")
def told() -> list[Told]:
    return Maker(11).catalogue(60)


def test_of_a_made_up_catalogue_nearly_all_is_found_and_nearly_nothing_merged_wrongly(told: list[Told]) -> None:
    found = score(ours, told)
    assert found.merged > 4_000
    assert found.wrong <= 0.002, found
    assert found.found >= 0.965, found


def test_without_a_look_at_lengths_and_versions_the_sample_fails_broken(
    told: list[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "_FAR_MS", 10**9)
    monkeypatch.setattr(verdicts, "_CLOSE_MS", 10**9)
    assert score(ours, told).wrong > 0.002


@pytest.mark.parametrize("name", [name for name in RULES if "multi" not in name])
def test_the_rules_of_others_miss_one_aim_at_least(told: list[Told], name: str) -> None:
    found = score(RULES[name], told)
    assert found.wrong > 0.002 or found.found < 0.965


def test_what_is_compared_at_all_loses_next_to_nothing(told: list[Told]) -> None:
    parsed = [parse(each.track) for each in told[:1_500]]
    blocks = [set(blocks_of(each)) for each in parsed]
    same = [
        pair for pair in combinations(range(len(parsed)), 2) if parsed[pair[0]].title.name == parsed[pair[1]].title.name
    ]
    lost = [pair for pair in same if verdicts.decide(parsed[pair[0]], parsed[pair[1]]).is_same
            and not blocks[pair[0]] & blocks[pair[1]]]  # fmt: skip
    assert lost == []


def test_groups_do_not_follow_from_the_order_in_which_tracks_come(told: list[Told]) -> None:
    tracks = [each.track for each in told]
    order = list(range(len(tracks)))
    random.Random(3).shuffle(order)
    parsed = {number: parse(each) for number, each in enumerate(tracks)}

    def groups(ids: list[int]) -> set[frozenset[int]]:
        decisions = grouping.Decisions(parsed)
        pairs = [
            pair
            for members in by_keys(listenbrainz)([tracks[id] for id in ids])
            for pair in combinations([ids[n] for n in members], 2)
            if decisions.of(*pair).is_same
        ]
        found = grouping.group(ids, pairs, decisions=decisions, order=str)
        return {frozenset(members) for members in found}

    assert groups(order) == groups(sorted(order))
