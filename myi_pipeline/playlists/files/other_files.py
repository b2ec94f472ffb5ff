"""Says what a file is that holds no playlist, as a sentence for the person who uploaded it."""

from __future__ import annotations

import re
from typing import Final

_MAGIC: Final = (
    (b"%PDF", "This is a PDF."),
    (b"\x89PNG", "This is a picture."),
    (b"\xff\xd8\xff", "This is a picture."),
    (b"GIF8", "This is a picture."),
    (b"ID3", "This is an MP3 recording, not a playlist."),
    (b"fLaC", "This is a FLAC recording, not a playlist."),
    (b"OggS", "This is an Ogg recording, not a playlist."),
    (b"RIFF", "This is a WAV recording, not a playlist."),
    (b"\x1f\x8b", "This is packed with gzip; unpack it first."),
    (b"7z\xbc\xaf", "This is a 7z archive; unpack it first."),
    (b"Rar!", "This is a RAR archive; unpack it first."),
    (b"\xfd7zXZ", "This is packed with xz; unpack it first."),
    (b"SQLite format 3", "This is a database."),
    (b"\xd0\xcf\x11\xe0", "This is an old Excel or Word file; save it as CSV."),
)
# Kinds of XML, by how they begin.
_MARKUP: Final = (
    (r"<!doctype html|<html", "This is a web page, not the file that it offers."),
    (r"<plist|<!doctype plist", "This is an iTunes or Music library; export the playlist as M3U8 there."),
    (r"<\?wpl|<smil", "This is a playlist of Windows Media Player (WPL); save it as M3U there."),
    (r"<asx", "This is a playlist of Windows Media Player (ASX); save it as M3U there."),
    (r"<rss|<feed", "This is a news or podcast feed."),
    (r"<opml", "This is a list of podcasts (OPML)."),
    (r"<", "This is XML of another kind."),
)
_STREAMS: Final = re.compile(rb'"(?:msPlayed|ms_played|endTime|listened_at)"')


def describe(head: bytes) -> str | None:
    """The sentence for a file's first bytes; None if they could belong to a playlist."""
    if not head.strip():
        return "This file is empty."
    for mark, what in _MAGIC:
        if head.startswith(mark):
            return what
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    text = start[:2_000].decode("latin-1").lower()
    if text.startswith("<"):
        return next(what for pattern, what in _MARKUP if re.search(pattern, text))
    if start.startswith((b"[{", b"{")) or re.match(rb"\[\s*[{\]]", start):
        if _STREAMS.search(head):
            return "This is a listening history, not a playlist; import it as an archive."
        return "This is JSON of another kind."
    # A text may have a few control characters by mistake; in UTF-16 every other byte may be NUL.
    controls = sum(byte < 9 for byte in head[:1_000])
    if controls > 3 and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "This is a binary file."
    return None
