"""Files of other services and players: what is recognised, what a row says, and what becomes of bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.archives.files.scrobbles import parse_isrc, parse_length, parse_mbid, spotify_uri
from myi_pipeline.catalogue.row_rules import BadRow
from myi_pipeline.errors import BadInput, UnsafeArchive, WrongPackage

HEADER = "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid"
GOOD = '"1577833860","31 Dec 2019, 23:11","Björk","","Post","","Army of Me",""'
AT = datetime(2019, 12, 31, 23, 11, tzinfo=UTC)
LOG = "#AUDIOSCROBBLER/1.1\n#TZ/{zone}\n#CLIENT/Rockbox ipod\n"
LINE = "Björk\tPost\tArmy of Me\t1\t234\tL\t1577833860\t62c2e20a-559e-422f-a44c-9afa7882f0c4"

Read = Callable[..., Any]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    def made(content: str | bytes | object, name: str = "file") -> Path:
        data = content if isinstance(content, bytes) else content if isinstance(content, str) else json.dumps(content)
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return made


def names_of(play: Any) -> tuple[object, ...]:
    return play.content.title, play.content.creator, play.content.collection


def listen(**told: object) -> dict[str, object]:
    names = {"artist_name": "Björk", "track_name": "Army of Me", "release_name": "Post"}
    return {"listened_at": 1577833860, "track_metadata": {**names, "additional_info": told}}


TRACK = {"name": "Army of Me", "artist": {"#text": "Björk"}, "album": {"#text": "Post"}, "date": {"uts": "1577833860"}}
STATS = {"track": "Army of Me", "artist": "Björk", "album": "Post", "albumId": "", "date": 1577833860000}
MALOJA = {
    "time": 1577833860,
    "track": {"artists": ["Björk"], "title": "Army of Me", "album": {"albumtitle": "Post"}, "length": 234},
    "duration": None,
    "origin": "client:x",
}
FLAT_MALOJA = {"time": 1577833860, "artists": ["Björk"], "title": "Army of Me", "album": "Post", "duration": None}
KOITO = {
    "listened_at": "2019-12-31T23:11:00Z",
    "track": {"aliases": [{"alias": "Army of Me", "is_primary": True}]},
    "album": {"aliases": [{"alias": "Post", "is_primary": True}]},
    "artists": [{"aliases": [{"alias": "Björk", "is_primary": True}]}],
}
STATS_TABLE = "Artist;Album;AlbumId;Track;Date#me\nBjörk;Post;;Army of Me;1577833860000\n"
MINUTES_TABLE = "artist,title,album,date\nBjörk,Army of Me,Post,2019-12-31 23:11\n"


@pytest.mark.parametrize(
    ("content", "kind", "source"),
    [
        ("Björk,Post,Army of Me,31 Dec 2019 23:11\n", "lastfm_minutes", "lastfm_export_minutes"),
        ('Björk,Post,Army of Me,"31 Dec 2019, 23:11"', "lastfm_minutes", "lastfm_export_minutes"),
        (f"{HEADER}\n{GOOD}\n", "lastfm_table", "lastfm_export"),
        (STATS_TABLE, "lastfm_table", "lastfm_export"),
        (MINUTES_TABLE, "lastfm_table_minutes", "lastfm_export_minutes"),
        ([TRACK], "lastfm_tracks", "lastfm_export"),
        ([{"track": [TRACK | {"artist": {"name": "Björk"}}], "@attr": {}}], "lastfm_pages", "lastfm_export"),
        ([[TRACK], [TRACK]], "lastfm_pages", "lastfm_export"),
        ({"username": "x", "scrobbles": [STATS]}, "lastfm_stats", "lastfm_export"),
        (json.dumps(listen()) + "\n" + json.dumps(listen()) + "\n", "listenbrainz", "listenbrainz_export"),
        ([listen()], "listenbrainz_list", "listenbrainz_export"),
        ({"maloja": {"export_time": 1}, "scrobbles": [MALOJA]}, "maloja", "maloja_export"),
        ({"status": "ok", "list": [MALOJA]}, "maloja_api", "maloja_export"),
        ({"list": [FLAT_MALOJA]}, "maloja_api", "maloja_export"),
        ({"scrobbles": [FLAT_MALOJA]}, "maloja", "maloja_export"),
        ({"version": "1", "user": "x", "listens": [KOITO]}, "koito", "koito_export"),
        (LOG.format(zone="UTC") + LINE + "\n", "scrobbler_log", "scrobbler_log"),
        (LOG.format(zone="UNKNOWN") + LINE + "\n", "scrobbler_log_local", "scrobbler_log"),
    ],
)
def test_a_file_is_known_by_its_first_rows_and_says_what_was_heard(
    made: Callable[..., Path], read: Read, content: object, kind: str, source: str
) -> None:
    outcome = read(made(content))
    assert (outcome.kinds, outcome.kind) == ([kind], source)
    assert outcome.refused == []
    for play in outcome.plays:
        assert names_of(play) == ("Army of Me", "Björk", "Post")
        assert (play.played_at, play.ms_played) == (AT, None)
    assert not outcome.unknown_keys


def test_what_is_no_play_of_ours_is_told_what_is_read(made: Callable[..., Path], read: Read) -> None:
    for content in (
        "a,b,c,d\n1,2,3,4\n",
        "date,amount\n2020-01-01,3\n",
        {"scrobbles": 3},
        "#EXTM3U\n#EXTINF:1,x\n",
        b"\xff\xfe\x00",
    ):
        with pytest.raises(WrongPackage, match=r"Last\.fm.*\.scrobbler\.log"):
            read(made(content))


def test_a_table_loses_no_row_around_a_bad_one(made: Callable[..., Path], read: Read) -> None:
    bad: dict[str, str] = {
        '"1577833860","","Two","","columns"': "bad_columns",
        '"","31 Dec 2019, 23:11","No","","number","","x",""': "missing_timestamp",
        '"0","01 Jan 1970, 00:00","No","","clock","","x",""': "too_early",
        '"4102444800","","The","","future","","x",""': "in_the_future",
        '"1577833860000000","","Micro","","seconds","","x",""': "bad_timestamp",
        '"1577833860","","","","Nobody","","x",""': "missing_names",
        '"1577833860","","x\0y","","NUL","","x",""': "bad_text",
        '"1577833860","","Open,"","quote","","x",""': "bad_columns",
    }
    rows = [line for each in bad for line in (each, GOOD)]
    outcome = read(made("\r\n".join([HEADER, *rows])))
    assert outcome.reasons == list(bad.values())
    assert [names_of(play) for play in outcome.plays] == [("Army of Me", "Björk", "Post")] * len(bad)


def test_commas_quotes_and_line_ends_of_every_kind_stay_in_names(made: Callable[..., Path], read: Read) -> None:
    rows = [
        '"1577833860","","Tyler, the Creator","","""Igor""","","A\nB",""',
        '1577833860,,A\u2028B,,,,"x ""y""",',
        GOOD,
    ]
    outcome = read(made(f"{HEADER}\r\n{rows[0]}\r{rows[1]}\n{rows[2]}\n"))
    assert [names_of(play) for play in outcome.plays] == [
        ("A\nB", "Tyler, the Creator", '"Igor"'),
        ('x "y"', "A\u2028B", None),
        ("Army of Me", "Björk", "Post"),
    ]


def test_milliseconds_and_seconds_are_told_apart(made: Callable[..., Path], read: Read) -> None:
    outcome = read(made(f"{HEADER}\n{GOOD}\n{GOOD.replace('1577833860', '1577833860999')}\n"))
    assert [play.played_at for play in outcome.plays] == [AT, AT]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_text_may_be_in_any_encoding_that_names_itself(made: Callable[..., Path], read: Read, encoding: str) -> None:
    for content in (f"{HEADER}\n{GOOD}\n", LOG.format(zone="UTC") + LINE + "\n", json.dumps(listen()) + "\n"):
        assert [names_of(play) for play in read(made(content.encode(encoding))).plays] == [
            ("Army of Me", "Björk", "Post")
        ]


def test_latin_1_costs_only_the_lines_that_cannot_be_read(made: Callable[..., Path], read: Read) -> None:
    plain = GOOD.replace("Björk", "Bjork")
    outcome = read(made(f"{HEADER}\n{GOOD}\n{plain}\n".encode("latin-1")))
    assert (outcome.reasons, len(outcome.plays)) == (["bad_text"], 1)
    assert "UTF-8" in outcome.refused[0].detail


def test_text_that_is_cut_off_keeps_what_was_whole(made: Callable[..., Path], read: Read) -> None:
    lines = json.dumps(listen()) + "\n" + json.dumps(listen())[:40]
    outcome = read(made(lines))
    assert len(outcome.plays) == 1
    assert "ends in the middle of a line" in str(outcome.broken[0])
    outcome = read(
        made(
            '{"maloja": {}, "scrobbles": ['
            + json.dumps({"time": 1577833860, "track": {"artists": ["A"], "title": "T"}})
            + ","
        )
    )
    assert (len(outcome.plays), len(outcome.broken)) == (1, 1)
    outcome = read(made(f'{HEADER}\n{GOOD}\n"1577833860","31 De'))
    assert (len(outcome.plays), outcome.reasons) == (1, ["bad_columns"])


def test_a_line_without_end_is_not_held_in_memory(made: Callable[..., Path], read: Read) -> None:
    outcome = read(made(f"{HEADER}\n{GOOD}\n" + "x" * 300_000), max_row_bytes=100_000)
    assert len(outcome.plays) == 1
    assert "longer than 100,000 bytes" in str(outcome.broken[0])


def test_nested_rows_and_lines_that_are_no_json_are_set_aside(made: Callable[..., Path], read: Read) -> None:
    good = json.dumps(listen())
    outcome = read(
        made("\n".join([good, "[" * 50_000, "{}", '"x"', "{oops", '{"a":' * 3_000 + "1" + "}" * 3_000, good, ""]))
    )
    assert len(outcome.plays) == 2
    assert set(outcome.reasons) <= {"not_json", "nested", "missing_names", "not_an_object"}
    assert outcome.rows_read == 7


def test_too_large_a_file_is_refused_before_it_is_read(made: Callable[..., Path], read: Read) -> None:
    with pytest.raises(UnsafeArchive, match="at most 50 are allowed"):
        read(made(f"{HEADER}\n{GOOD}\n"), max_file_bytes=50)


def test_lists_in_objects_are_found_wherever_they_are_and_checked_to_the_end(
    made: Callable[..., Path], read: Read
) -> None:
    rows = [
        {"time": 1577833860 + number, "track": {"artists": ["A"], "title": f"T{number}"}} for number in range(3_000)
    ]
    before, after = {"maloja": {"list": [1, {"x": "]}"}]}, "more": 12}, {"after": [[]], "n": 1e400}
    text = json.dumps({**before, "scrobbles": rows, **after})
    assert len(read(made(text)).plays) == 3_000
    for end in ("", "}}", ",", "}]"):
        outcome = read(made(text[:-1] + end))
        assert (len(outcome.plays), len(outcome.broken)) == (3_000, 1)


def test_what_was_playing_when_the_file_was_written_is_no_play(made: Callable[..., Path], read: Read) -> None:
    track = {"name": "Army of Me", "artist": {"#text": "Björk"}, "album": {"#text": ""}}
    playing = {**track, "@attr": {"nowplaying": "true"}}
    outcome = read(made([{"track": [playing, {**track, "date": {"uts": "1577833860"}}]}, {"track": playing}]))
    assert (len(outcome.plays), outcome.reasons) == (1, ["now_playing", "now_playing"])
    assert outcome.plays[0].content.collection is None


def test_pages_may_be_larger_than_a_row(made: Callable[..., Path], read: Read) -> None:
    track = {"name": "T" * 200, "artist": {"#text": "A"}, "album": {"#text": "B" * 200}, "date": {"uts": "1577833860"}}
    assert len(read(made([{"track": [track] * 300}] * 3), max_row_bytes=20_000).plays) == 900


def test_a_listen_of_spotify_is_the_track_at_its_address(made: Callable[..., Path], read: Read) -> None:
    there = "https://open.spotify.com/track/4uLU6hMCjMI75M1A2tKUQC"
    told = {"spotify_id": there, "duration": 234, "isrc": "gb-aaa-95-00001", "media_player": "Spotify"}
    outcome = read(made([listen(**told), listen(origin_url=f"{there}?si=x", duration_ms=234_567)]))
    first, second = outcome.plays
    assert (first.content.uri, second.content.uri) == ("spotify:track:4uLU6hMCjMI75M1A2tKUQC",) * 2
    assert (first.content.isrc, first.content.duration_ms, first.context.platform) == (
        "GBAAA9500001",
        234_000,
        "Spotify",
    )
    assert (second.content.duration_ms, second.content.isrc, second.context) == (234_567, None, None)


def test_malojas_time_heard_is_the_only_one_that_is_taken(made: Callable[..., Path], read: Read) -> None:
    rows = [
        {"time": 1577833860, "track": {"artists": ["A", "B"], "title": "T", "length": 200}, "duration": heard}
        for heard in (150, 0, None, "x")
    ]
    outcome = read(made({"maloja": {}, "scrobbles": rows}))
    assert [play.ms_played for play in outcome.plays] == [150_000, None, None, None]
    assert outcome.plays[0].content.creator == "A, B"
    assert outcome.unknown_keys == {"duration (unreadable)": 1}


def test_a_skipped_line_of_a_log_is_a_play_that_says_so(made: Callable[..., Path], read: Read) -> None:
    lines = [LINE, LINE.replace("\tL\t", "\tS\t"), LINE.replace("\tL\t", "\tX\t"), LINE.replace("1577833860", "0")]
    outcome = read(made(LOG.format(zone="UTC") + "# FAILED - x\n" + "\n".join([*lines, "a\tb", ""])))
    assert [play.skipped for play in outcome.plays] == [False, True]
    assert outcome.reasons == ["bad_type", "too_early", "bad_columns"]
    assert outcome.plays[0].content.recording_mbid == "62c2e20a-559e-422f-a44c-9afa7882f0c4"


@pytest.mark.parametrize(
    ("shown", "meant"),
    [
        ("2019-07-01 12:00", "2019-07-01 10:00"),
        ("2019-12-01 12:00", "2019-12-01 11:00"),
        # Twice on that clock: the first time.
        ("2019-10-27 02:30", "2019-10-27 00:30"),
        # Not on that clock: as if it had not been put forward.
        ("2019-03-31 02:30", "2019-03-31 01:30"),
    ],
)
def test_the_clock_of_a_player_is_that_of_its_zone(made: Callable[..., Path], shown: str, meant: str) -> None:
    stamp = int(datetime.fromisoformat(f"{shown}+00:00").timestamp())
    path = made(LOG.format(zone="UNKNOWN") + LINE.replace("1577833860", str(stamp)) + "\n", ".scrobbler.log")
    with open_history(path, limits=Limits(), hash_account=lambda _: b"") as archive:
        assert [file.name for file in archive.files_without_zone] == [".scrobbler.log"]
        archive.time_zone = "Europe/Berlin"
        (play,) = archive.read(archive.files[0])
    assert play.played_at == datetime.fromisoformat(f"{meant}+00:00")  # type: ignore[union-attr]


def test_two_overlapping_exports_of_minutes_are_two_exports(made: Callable[..., Path]) -> None:
    paths = [made(f"A,B,T{number},31 Dec 2019 23:11\n", f"{number}.csv") for number in (1, 2)]
    with open_history(paths, limits=Limits(), hash_account=lambda _: b"") as archive:
        assert [file.export_no for file in archive.files] == [1, 2]


def test_months_of_one_listenbrainz_export_are_one_export(zip_of: Callable[..., Path]) -> None:
    line = (json.dumps(listen()) + "\n").encode()
    path = zip_of(
        {"listens/2019/1.jsonl": line, "listens/2020/1.jsonl": line + line, "user.json": b"{}", "feedback.jsonl": b"{}"}
    )
    with open_history(path, limits=Limits(), hash_account=lambda _: b"") as archive:
        assert [file.export_no for file in archive.files] == [0, 0]
        assert archive.skipped == ("feedback.jsonl", "user.json")


@pytest.mark.parametrize("value", ["x", 3, "62c2e20a-559e-422f-a44c-9afa7882f0cX", "62c2e20a559e422fa44c9afa7882f0c4"])
def test_what_is_no_mbid_is_none(value: object) -> None:
    with pytest.raises(BadRow):
        parse_mbid(value, key="mbid")


def test_lengths_and_codes_are_checked() -> None:
    assert (parse_length("0", key="x", unit_ms=1000), parse_length("12.5", key="x", unit_ms=1000)) == (None, 12_500)
    assert parse_isrc(["USRC17607839"], key="isrc") == "USRC17607839"
    for bad in (-1, 10**9, True, "1e9", []):
        with pytest.raises(BadRow):
            parse_length(bad, key="x", unit_ms=1000)
    for address in ("https://open.spotify.com/album/4uLU6hMCjMI75M1A2tKUQC", "https://evil.example/track/x", 3, None):
        assert spotify_uri(address) is None


def test_a_log_cannot_be_read_as_something_else(made: Callable[..., Path], read: Read) -> None:
    with pytest.raises(BadInput):
        read(made("#AUDIOSCROBBLER/1.1\n#TZ/UTC\n", "empty.log"))
