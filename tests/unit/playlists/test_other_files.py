"""Files that hold no playlist: each is refused with a sentence that says what it is and what is wanted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files import read_file
from myi_pipeline.playlists.files.formats import WANTED, recognise
from tests.unit.playlists.conftest import Read

OTHERS = {
    "nothing": (b"", "This file is empty."),
    "a web page": (b"<!DOCTYPE html><html>", "This is a web page"),
    "an iTunes library": (b'<?xml version="1.0"?><!DOCTYPE plist PUBLIC "a" "b"><plist>', "iTunes or Music library"),
    "WPL": (b'<?wpl version="1.0"?><smil>', "Windows Media Player (WPL)"),
    "ASX": (b"<asx version='3.0'>", "Windows Media Player (ASX)"),
    "a feed": (b"<?xml version='1.0'?><rss>", "podcast feed"),
    "other XML": (b"<a/>", "XML of another kind"),
    "a history": (
        b'[{"endTime": "2020-01-01 00:00", "msPlayed": 1}]',
        "a listening history, not a playlist; import it as an archive",
    ),
    "other JSON": (b'{"a": 1}', "JSON of another kind"),
    "an MP3": (b"ID3\x03", "an MP3 recording"),
    "a PDF": (b"%PDF-1.7", "a PDF"),
    "gzip": (b"\x1f\x8b\x08", "packed with gzip"),
    "binary": (b"\x01\x02\0\x03", "a binary file"),
}


@pytest.mark.parametrize("name", ["file", "file.m3u", "file.pls"])
@pytest.mark.parametrize(("data", "what"), OTHERS.values(), ids=list(OTHERS))
def test_another_file_is_refused_with_what_it_is_and_what_is_wanted(
    data: bytes, what: str, name: str, read: Read
) -> None:
    with pytest.raises(BadInput) as refused:
        read(data, name)
    assert what in str(refused.value)
    assert WANTED in str(refused.value)


def test_a_text_of_any_other_kind_is_refused(read: Read) -> None:
    with pytest.raises(BadInput, match="not a playlist that MYI knows"):
        read("Dear Sir or Madam", "letter.txt")


def test_content_is_believed_before_a_suffix() -> None:
    by_content = {
        b"#EXTM3U\n": "m3u8",
        b"[Playlist]\n": "pls",
        b'<playlist xmlns="http://xspf.org/ns/0/">': "xspf",
        b'{"playlist": {"playlists": []}}': "jspf",
        b'{"playlists": []}': "spotify",
    }
    assert {head: recognise("a.csv", head).key for head in by_content} == by_content  # type: ignore[union-attr]
    assert recognise("a.m3u", b"#EXTM3U\n").key == "m3u"  # type: ignore[union-attr]


def test_folders_devices_and_missing_files_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, what in ((tmp_path, "a folder"), (pipe, "not a file"), (tmp_path / "none", "No such file")):
        with pytest.raises(BadInput, match=what):
            read_file(path)
