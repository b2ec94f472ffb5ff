"""CSV of Exportify, TuneMyMusic and Soundiiz as these write it, and tables that mean harm."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files import Limits
from myi_pipeline.playlists.files.exportify import COLUMNS
from myi_pipeline.providers.playlists import EntryKind
from tests.unit.playlists.conftest import Read

GERMAN = (
    "Track-URI", "Track-Name", "Künstler-URI(s)", "Künstlername(n)", "Album-URI", "Album-Name", "Album-Künstler-URI(s)",
    "Album-Künstlername(n)", "Veröffentlichungsdatum des Albums", "Album-Bild-URL", "Disc-Nummer", "Track-Nummer",
    "Track-Dauer (ms)", "Track-Vorschau-URL", "Explizit", "Beliebtheit", "ISRC", "Hinzugefügt von", "Hinzugefügt am",
)  # fmt: skip
CELLS = (
    "spotify:track:" + "1" * 22, 'Say "Hi"', "spotify:artist:a, spotify:artist:b", "Tyler\\, The Creator, Kali Uchis",
    "spotify:album:c", "Flower Boy", "spotify:artist:a", "Tyler\\, The Creator", "2017-07-21", "https://i/x", "1", "9",
    "180386", "", "true", "77", "USQX91701278", "spotify:user:me", "2020-05-17T08:09:10Z",
)  # fmt: skip


def line(cells: tuple[str, ...], delimiter: str = ",") -> str:
    return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"


@pytest.mark.parametrize(
    "header", [COLUMNS, GERMAN, tuple(f"列{n}" for n in range(19))], ids=["English", "German", "other"]
)
def test_exportify_is_read_in_any_language(header: tuple[str, ...], read: Read) -> None:
    reading = read(line(header) + line(CELLS) * 2, "road_trip.csv")
    (playlist,) = reading.playlists
    first, second = playlist.entries
    assert (reading.format.key, playlist.name, first == second) == ("exportify", "road_trip", True)
    track = first.track
    assert (track.uri, track.title) == ("spotify:track:" + "1" * 22, 'Say "Hi"')
    assert track.artists == ("Tyler, The Creator", "Kali Uchis")
    assert (track.album, track.album_artists, track.released_on) == (
        "Flower Boy",
        ("Tyler, The Creator",),
        "2017-07-21",
    )
    assert (track.disc_number, track.track_number, track.duration_ms) == (1, 9, 180_386)
    assert (track.is_explicit, track.isrc) == (True, "USQX91701278")
    assert (first.added_by, first.added_at) == ("me", datetime(2020, 5, 17, 8, 9, 10, tzinfo=UTC))
    assert bool(reading.warnings) == (header is not COLUMNS)


def test_a_first_column_with_the_lists_name_moves_the_others(read: Read) -> None:
    (playlist,) = read(line(("名前", *GERMAN)) + line(("Mine", *CELLS)), "a.csv").playlists
    assert playlist.entries[0].track.title == 'Say "Hi"'


def test_more_columns_at_the_end_and_older_ones_without_some_are_read(read: Read) -> None:
    more = read(line((*GERMAN, "Tempo")) + line((*CELLS, "99")), "a.csv").playlists[0].entries[0].track
    older = ("Spotify URI", "Track Name", "Artist Name", "Album Name", "Disc Number", "Track Number", "Added At")
    cells = ("spotify:local:a:b:c:1", "x", "y", "z", "1", "2", "")
    (entry,) = read(line(older) + line(cells), "b.csv").playlists[0].entries
    assert (more.isrc, entry.track.kind, entry.track.artists) == ("USQX91701278", EntryKind.LOCAL, ("y",))


def test_the_fork_of_exportify_has_semicolons_between_artists(read: Read) -> None:
    header = ("Track URI", "Track Name", "Album Name", "Artist Name(s)", "Release Date", "Duration (ms)", "Explicit")
    cells = ("spotify:track:" + "1" * 22, "x", "z", "Led Zeppelin;Tyler, The Creator", "1971", "482830", "False")
    track = read(line(header) + line(cells), "a.csv").playlists[0].entries[0].track
    assert track.artists == ("Led Zeppelin", "Tyler, The Creator")
    assert (track.duration_ms, track.is_explicit, track.released_on) == (482_830, False, "1971")


def test_names_that_do_not_fit_their_uris_are_taken_for_one(read: Read) -> None:
    cells = (*CELLS[:3], "Tyler, The Creator, Kali Uchis", *CELLS[4:])
    reading = read(line(COLUMNS) + line(cells), "a.csv")
    assert reading.playlists[0].entries[0].track.artists == ("Tyler, The Creator, Kali Uchis",)
    assert reading.warnings == ("a.csv, line 2: the artist names do not match their URIs and are kept as one name.",)


def test_tunemymusic_holds_several_lists_and_other_things(read: Read) -> None:
    content = (
        "\ufeffTrack name,Artist name,Album,Playlist name,Type,ISRC,Spotify - id\r\n"
        "Panama,Van Halen,1984,Rock,Playlist,USWB10400044," + "1" * 22 + "\r\n"
        "Vogue,Madonna,I'm Breathless,Pop,Playlist,us-wb1-04-00045,\r\n"
        "Jump,Van Halen,1984,Rock,Playlist,nonsense,\r\n"
        "Rumours,Fleetwood Mac,,Library Albums,Album,,\r\n"
        ",,,Liked videos,Favorite,,\r\n"
    )
    reading = read(content, "My library.csv")
    assert [(each.name, len(each.entries)) for each in reading.playlists] == [
        ("Rock", 2),
        ("Pop", 1),
        ("Liked videos", 1),
    ]
    rock, pop, liked = (each.entries for each in reading.playlists)
    assert (rock[0].track.uri, rock[0].track.isrc) == ("spotify:track:" + "1" * 22, "USWB10400044")
    assert (pop[0].track.isrc, liked[0].track.kind) == ("USWB10400045", EntryKind.REMOVED)
    assert reading.warnings == (
        "My library.csv, line 4: an invalid ISRC is not kept.",
        "My library.csv, line 5: a row that is an album, not an entry of a playlist, is left out.",
    )


@pytest.mark.parametrize(("column", "code", "uri"), [
    ("Apple - id", "1111", "applemusic:track:1111"),
    ("TIDAL - id", "77", "tidal:track:77"),
    ("Youtube - id", "dQw4w9WgXcQ", "youtube:video:dQw4w9WgXcQ"),
    ("Deezer - id", "5", "deezer:track:5"),
])  # fmt: skip
def test_tunemymusics_last_column_is_of_any_service(column: str, code: str, uri: str, read: Read) -> None:
    content = f"Track name,ARTIST NAME,Album,Playlist name,Type,ISRC,{column}\na,b,c,d,Playlist,,{code}\n"
    assert read(content, "a.csv").playlists[0].entries[0].track.uri == uri


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_soundiiz_is_read_with_any_delimiter(delimiter: str, read: Read) -> None:
    header = ("title", "artist", "album", "isrc", "addedDate", "addedBy", "duration", "url")
    cells = ("A; B, C", "D", "E", "gbAYE6300001", "2020-01-01", "me", "225s", "https://www.deezer.com/fr/track/5")
    reading = read("\ufeff" + line(header, delimiter) + line(cells, delimiter), "a.csv")
    (entry,) = reading.playlists[0].entries
    assert reading.format.key == "soundiiz"
    assert (entry.track.title, entry.track.isrc, entry.track.uri) == ("A; B, C", "GBAYE6300001", "deezer:track:5")
    assert (entry.track.duration_ms, entry.added_at) == (225_000, datetime(2020, 1, 1, tzinfo=UTC))


def test_excels_line_with_the_delimiter_is_obeyed(read: Read) -> None:
    (entry,) = read("sep=|\r\nTitle|Artist\r\na,b|c;d\r\n", "a.csv").playlists[0].entries
    assert (entry.track.title, entry.track.artists) == ("a,b", ("c;d",))


def test_a_row_of_empty_cells_is_an_entry_and_an_empty_line_is_none(read: Read) -> None:
    playlist = read("title;artist\na;b\n;\n\nc;d\n", "a.csv").playlists[0]
    assert [each.track.kind for each in playlist.entries] == [EntryKind.TRACK, EntryKind.REMOVED, EntryKind.TRACK]


def test_a_guard_against_formulas_is_taken_away(read: Read) -> None:
    content = "title;artist\n'=1+1;'@a\n'''-x;'a\n=2;+b\n"
    tracks = [each.track for each in read(content, "a.csv").playlists[0].entries]
    assert [(each.title, each.artists[0]) for each in tracks] == [("=1+1", "@a"), ("''-x", "'a"), ("=2", "+b")]


HOSTILE = {
    "a quote that never closes": ('title;artist\n"a;b\nc;d\n', "line 3: the table is broken: a quote is opened", "CSV"),
    "a header that never closes": ('"title;artist\na;b\n', "a quote is opened and never closed", "CSV"),
    "text after a quote": ('title;artist\n"a"b;c\n', "line 2: the table is broken: a closing quote", "CSV"),
    "a huge cell": ("title;artist\n" + "a" * 40_000 + ";b\n", "line 2: a text of 40,000 characters", "max_text_chars"),
    "a cell that eats the file": ('title;artist\n"' + "a;b\n" * 50_000, "a cell is longer than 131,072", "CSV"),
    "a huge row": ("title;artist\n" + ";" * 1_000 + "\n", "line 2: a row of more than 500 cells", "max_columns"),
    "NUL": ("title;artist\na;b\nc\0;d\n", "line 3: a NUL character", "text without NUL"),
    "not UTF-8": (b"title;artist\n\xff;b\n", "byte 13: the text is not UTF-8", "UTF-8"),
    "a line that never ends": ("title;artist\n" + ";" * 1_000_001, "line 2: a line of more than", "max_line_chars"),
    "nothing but lines": ("title;artist\n" + "\n" * 6_000_001, "more than 3,000,000 lines", "max_lines"),
    "too many rows": ("title;artist\n" + "a;b\n" * 11, "more than 10 entries", "max_entries"),
    "another table": ("date,amount\n1,2\n", "line 1: the header has no columns of titles and artists", "title, artist"),
}


@pytest.mark.parametrize(("content", "reason", "rule"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_table_that_means_harm_is_refused(content: str | bytes, reason: str, rule: str, read: Read) -> None:
    with pytest.raises(BadInput) as refused:
        read(content, "a.csv", limits=Limits(max_entries=10))
    assert str(refused.value).startswith("a.csv")
    assert reason in str(refused.value)
    assert refused.value.rule.startswith(rule)
