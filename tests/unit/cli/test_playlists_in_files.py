"""`myi playlists`: what is shown of files, exit codes, and conversions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from myi_pipeline.cli.app import run
from myi_pipeline.playlists.files import read_file

GOOD = "#EXTM3U\n#PLAYLIST:Road trip\n#EXTINF:215,Björk - =Army\nhttps://open.spotify.com/track/" + "a" * 22 + "\n"
BAD = '<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList>text</trackList></playlist>'
LISTS = {"playlists": [{"name": "A/B", "items": [{"track": {"trackName": "x"}}]}, {"name": "A/B", "items": []}]}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MYI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.m3u8").write_text(GOOD)
    (tmp_path / "bad.xspf").write_text(BAD)
    (tmp_path / "Playlist1.json").write_text(json.dumps(LISTS))
    return tmp_path


def test_a_dry_run_shows_format_name_and_number_of_entries(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["playlists", "import", "good.m3u8", "--dry-run"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["file", "format", "playlist", "entries"]
    assert row.split() == ["good.m3u8", "M3U8", "Road", "trip", "1"]


def test_a_dry_run_tells_everything_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["playlists", "import", "good.m3u8", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["warnings"]) == ("m3u8", [])
    (playlist,) = document["playlists"]
    (entry,) = playlist["entries"]
    assert (playlist["name"], entry["title"], entry["artists"]) == ("Road trip", "=Army", ["Björk"])
    assert (entry["uri"], entry["duration_ms"]) == ("spotify:track:" + "a" * 22, 215_000)


def test_a_bad_file_ends_with_1_and_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["playlists", "import", "bad.xspf", "--dry-run", "--json"]) == 1
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert error["message"] == "bad.xspf, line 1, column 68: `trackList` must not hold text."
    assert (error["place"], error["rule"]) == ("bad.xspf, line 1, column 68", "trackList: elements only")
    assert "`trackList` must not hold text" in shown.err


def test_a_bad_file_among_others_does_not_stop_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["playlists", "import", "bad.xspf", "good.m3u8", "Playlist1.json", "--dry-run", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["format"] is None
    assert [each["format"] for each in document["playlists"]] == ["m3u8", "spotify", "spotify"]
    assert [each["file"] for each in document["refused"]] == ["bad.xspf"]


def test_files_of_one_name_in_one_command_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        (home / folder).mkdir()
        (home / folder / "mix.m3u").write_text(GOOD)
    assert run(["playlists", "import", "a/mix.m3u", "b/mix.m3u", "--dry-run", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert "a/mix.m3u and b/mix.m3u would be kept as one playlist" in error["message"]
    assert error["place"] == "mix.m3u"
    assert run(["playlists", "import", "a/mix.m3u", "good.m3u8", "--dry-run"]) == 0


def test_without_dry_run_it_says_that_nothing_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["playlists", "import", "good.m3u8"]) == 2
    assert "add --dry-run" in capsys.readouterr().err


def test_a_list_is_converted_to_standard_output(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["playlists", "convert", "good.m3u8", "--to", "soundiiz"]) == 0
    assert b'"\'=Army";"Bj\xc3\xb6rk"' in capsysbinary.readouterr().out
    assert run(["playlists", "convert", "good.m3u8", "--to", "soundiiz", "--no-formula-guard"]) == 0
    assert b'"=Army";"Bj\xc3\xb6rk"' in capsysbinary.readouterr().out


def test_a_list_is_converted_to_a_file(home: Path) -> None:
    assert run(["playlists", "convert", "good.m3u8", "--to", "xspf", "--output", "made.xspf"]) == 0
    (made,), (original,) = read_file(home / "made.xspf"), read_file(home / "good.m3u8")
    assert made.playlists == original.playlists
    assert os.stat(home / "made.xspf").st_mode & 0o077 == 0


def test_several_lists_become_files_of_a_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["playlists", "convert", "Playlist1.json", "--to", "jspf"]) == 2
    assert "give an existing folder" in capsys.readouterr().err
    (home / "out").mkdir()
    assert run(["playlists", "convert", "Playlist1.json", "--to", "jspf", "--output", "out"]) == 0
    assert sorted(path.name for path in (home / "out").iterdir()) == ["A_B (2).jspf", "A_B.jspf"]
    assert run(["playlists", "convert", "Playlist1.json", "--to", "tunemymusic", "--output", "all.csv"]) == 0
    assert [each.name for each in read_file(home / "all.csv")[0].playlists] == ["A/B"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["good.m3u8", "--to", "mp3"], 2, "--to must be one of"),
        (["good.m3u8", "--to", "spotify"], 2, "--to must be one of"),
        (["bad.xspf", "--to", "m3u8"], 1, "must not hold text"),
        (["good.m3u8", "--to", "xspf", "--output", "none/a.xspf"], 1, "cannot be written"),
    ],
)
def test_a_conversion_that_cannot_be_says_why(
    arguments: list[str], code: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["playlists", "convert", *arguments]) == code
    assert reason in capsys.readouterr().err
