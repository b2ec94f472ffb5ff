"""Spotify's rows: which key means what, in the extended history and in the account data.

Sources: Spotify's "Understanding my data" page and public fixtures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_plus

from myi_pipeline.archives.files.fields import (
    clean_text,
    parse_flag,
    parse_ms_played,
    parse_offline_at,
    parse_timestamp,
)
from myi_pipeline.archives.files.rows import MAX_CACHED, RowReader
from myi_pipeline.catalogue.plays import (
    Content,
    ContentKind,
    Context,
    PlayRecord,
    Source,
    content_if_known,
    make_context,
)
from myi_pipeline.catalogue.row_rules import (
    PERSONAL_KEYS,
    BadRow,
    check_played_at,
)

TRACK_KEYS: Final = (
    "spotify_track_uri",
    "master_metadata_track_name",
    "master_metadata_album_artist_name",
    "master_metadata_album_album_name",
)
OTHER_CONTENT_KEYS: Final = (
    "spotify_episode_uri",
    "episode_name",
    "episode_show_name",
    "audiobook_chapter_uri",
    "audiobook_chapter_title",
    "audiobook_title",
    "audiobook_uri",
)
CONTEXT_KEYS: Final = ("platform", "conn_country", "reason_start", "reason_end")
OFFLINE_KEY: Final = "offline_timestamp"
FLAG_KEYS: Final = ("shuffle", "skipped", "offline", "incognito_mode")
EXTENDED_KEYS: Final = PERSONAL_KEYS.union(
    TRACK_KEYS, OTHER_CONTENT_KEYS, CONTEXT_KEYS, FLAG_KEYS, ("ts", "ms_played", OFFLINE_KEY)
)
# What identifies the content of a row that does not name a track.
_ALL_NAMES: Final = TRACK_KEYS + OTHER_CONTENT_KEYS
# Account data, by kind of content: the keys of its title, creator and collection.
ACCOUNT_NAMES: Final[dict[ContentKind, tuple[str, str | None, str | None]]] = {
    ContentKind.TRACK: ("trackName", "artistName", None),
    ContentKind.EPISODE: ("episodeName", None, "podcastName"),
    ContentKind.CHAPTER: ("chapterName", "authorName", "audiobookName"),
}
_ALL_ACCOUNT_NAMES: Final = tuple(key for keys in ACCOUNT_NAMES.values() for key in keys if key)
ACCOUNT_KEYS: Final = PERSONAL_KEYS.union(_ALL_ACCOUNT_NAMES, ("endTime", "msPlayed"))


class ExtendedRows(RowReader):
    """Rows of endsong, Streaming_History_Audio and Streaming_History_Video files."""

    source = Source.EXTENDED_HISTORY
    known_keys = EXTENDED_KEYS

    def _record(self, index: int, row: dict[str, object]) -> PlayRecord:
        get = row.get
        played_at = parse_timestamp(get("ts"), key="ts")
        check_played_at(played_at, latest=self._latest, key="ts")
        ms_played = parse_ms_played(get("ms_played"), key="ms_played")
        # Written out, because tuple(map(get, TRACK_KEYS)) takes twice as long; so do loops over the flags.
        names: tuple[object, ...] = (
            get("spotify_track_uri"),
            get("master_metadata_track_name"),
            get("master_metadata_album_artist_name"),
            get("master_metadata_album_album_name"),
        )
        if not names[0] and not names[1]:
            names = tuple(map(get, _ALL_NAMES))
        try:
            content = self._contents[names]
        except (KeyError, TypeError):  # not met yet, or a list or an object where text belongs
            content = self._content(row, names)
        words = get("platform"), get("conn_country"), get("reason_start"), get("reason_end")
        try:
            context = self._contexts[words]
        except (KeyError, TypeError):
            context = self._context(row, words)
        shuffle, skipped = get("shuffle"), get("skipped")
        offline, incognito = get("offline"), get("incognito_mode")
        if not (
            (shuffle is False or shuffle is True or shuffle is None)
            and (skipped is False or skipped is True or skipped is None)
            and (offline is False or offline is True or offline is None)
            and (incognito is False or incognito is True or incognito is None)
        ):
            shuffle, skipped, offline, incognito = (self._optional(parse_flag, get(key), key=key) for key in FLAG_KEYS)
        went_offline, offline_at = get(OFFLINE_KEY), None
        if went_offline is not None:
            offline_at = self._optional(parse_offline_at, went_offline, key=OFFLINE_KEY, played_at=played_at)
        return PlayRecord(
            index, played_at, content, ms_played, context, offline_at, shuffle, skipped, offline, incognito
        )

    def _content(self, row: dict[str, object], names: tuple[object, ...]) -> Content | None:
        unreadable: dict[str, BadRow] = {}

        def text(key: str) -> str | None:
            try:
                return self._text(row, key)
            except BadRow as bad:
                unreadable[key] = bad
                return None

        content = content_of(text)
        if unreadable and (content is None or content.uri is None):
            # The rest of its names may belong to another content.
            raise next(iter(unreadable.values()))
        for key in unreadable:
            self._tally.count_unreadable(key)
        self._keep(self._contents, names, content)
        return content

    def _context(self, row: dict[str, object], words: tuple[object, ...]) -> Context | None:
        platform, conn_country, reason_start, reason_end = (
            self._optional(clean_text, row.get(key), key=key, max_chars=self._max_chars) for key in CONTEXT_KEYS
        )
        context = make_context(
            platform=platform, conn_country=conn_country, reason_start=reason_start, reason_end=reason_end
        )
        self._keep(self._contexts, words, context)
        return context


def content_of(text: Callable[[str], str | None]) -> Content | None:
    """What a row was about; `text` gives a key's cleaned value. None if the row names nothing at all.

    A row that names several kinds is a track before an episode before a chapter. For an episode, the show is the
    collection; for a chapter, the book is, and its author is not given. A book's URI replaces a chapter's only if the
    chapter has no title either.
    """
    uri, title, artist, album = (text(key) for key in TRACK_KEYS)
    if uri or title:
        # The other keys are ignored: the cache knows such a row by these four alone.
        return _track(uri=uri, title=title, artist=artist, album=album)
    episode_uri, episode, show, chapter_uri, chapter, book, book_uri = (text(key) for key in OTHER_CONTENT_KEYS)
    if episode_uri or episode:
        return content_if_known(kind=ContentKind.EPISODE, uri=episode_uri, title=episode, creator=None, collection=show)
    if chapter_uri or chapter or book or book_uri:
        known_uri = chapter_uri or (None if chapter else book_uri)
        return content_if_known(kind=ContentKind.CHAPTER, uri=known_uri, title=chapter, creator=None, collection=book)
    if artist or album:
        return content_if_known(kind=ContentKind.TRACK, uri=None, title=None, creator=artist, collection=album)
    if show:
        return content_if_known(kind=ContentKind.EPISODE, uri=None, title=None, creator=None, collection=show)
    return None


def _track(*, uri: str | None, title: str | None, artist: str | None, album: str | None) -> Content | None:
    # Video files name episodes of video podcasts under the track's keys, too.
    if uri is not None and uri.startswith("spotify:episode:"):
        show = album or artist
        return content_if_known(kind=ContentKind.EPISODE, uri=uri, title=title, creator=None, collection=show)
    if uri is not None and uri.startswith("spotify:local:") and not title:
        # spotify:local:artist:album:title:seconds, each part URL-encoded: the only place that names a local file.
        parts = [_decoded(part) for part in uri.split(":")[2:5]]
        if len(parts) == 3:
            artist, album, title = artist or parts[0], album or parts[1], parts[2]
    return content_if_known(kind=ContentKind.TRACK, uri=uri, title=title, creator=artist, collection=album)


def _decoded(part: str) -> str | None:
    return unquote_plus(part).replace("\x00", "\ufffd") or None


class AccountRows(RowReader):
    """Rows of the account data's streaming history: no URI, minute precision, one year."""

    source = Source.ACCOUNT_HISTORY
    known_keys = ACCOUNT_KEYS

    def _record(self, index: int, row: dict[str, object]) -> PlayRecord:
        played_at = parse_timestamp(row.get("endTime"), key="endTime")
        check_played_at(played_at, latest=self._latest, key="endTime")
        ms_played = parse_ms_played(row.get("msPlayed"), key="msPlayed")
        names = {key: self._text(row, key) for key in _ALL_ACCOUNT_NAMES}
        known = tuple(names.values())
        if known not in self._contents:
            if len(self._contents) >= MAX_CACHED:
                self._contents.clear()
            self._contents[known] = _account_content(names)
        return PlayRecord(index, played_at, self._contents[known], ms_played, None, None, None, None, None, None)


def _account_content(texts: dict[str, str | None]) -> Content | None:
    """Of several titles, a track comes before an episode before a chapter; without any, the first kind it names."""
    named = [
        (kind, texts[title], texts[creator] if creator else None, texts[collection] if collection else None)
        for kind, (title, creator, collection) in ACCOUNT_NAMES.items()
    ]
    for kind, title, creator, collection in sorted(named, key=lambda entry: entry[1] is None):
        if title or creator or collection:
            return content_if_known(kind=kind, uri=None, title=title, creator=creator, collection=collection)
    return None
