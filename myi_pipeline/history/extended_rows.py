"""Rows of the extended streaming history: endsong, Streaming_History_Audio and Streaming_History_Video files.

Belongs here: which key means what. Sources of the facts: Spotify's "Understanding my data" page and public fixtures.
Invariant: every row becomes exactly one PlayRecord or QuarantinedRow, and no personal field goes into either.

Nearly all rows are regular, and the loop over them is flat on purpose: one small function a field ran at a third of its
speed. Contents and contexts repeat, so each is cleaned, checked and keyed once and then found by its raw values. What
is not regular in any way is judged by the careful way below it, on exact numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final
from urllib.parse import unquote_plus

from myi_pipeline.core.plays import (
    Content,
    ContentKind,
    Context,
    PlayRecord,
    QuarantinedRow,
    make_content,
    make_context,
)
from myi_pipeline.history.fields import (
    EARLIEST,
    MAX_MS_PLAYED,
    BadRow,
    bad_span,
    clean_text,
    not_an_object,
    parse_ms_played,
    parse_offline_at,
    parse_timestamp,
)
from myi_pipeline.history.json_batches import RowBatch
from myi_pipeline.history.quarantine import PERSONAL_KEYS, quarantined
from myi_pipeline.history.tally import Tally

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
FLAG_KEYS: Final = ("shuffle", "skipped", "offline", "incognito_mode")
KNOWN_KEYS: Final = PERSONAL_KEYS.union(
    TRACK_KEYS, OTHER_CONTENT_KEYS, CONTEXT_KEYS, FLAG_KEYS, ("ts", "ms_played", "offline_timestamp")
)
# What the loop takes from a row, in the order in which it unpacks it.
_TAKEN: Final = ("ts", "ms_played", "offline_timestamp", *FLAG_KEYS, *CONTEXT_KEYS, *TRACK_KEYS)
# What tells the content of a row that names no track.
_ALL_NAMES: Final = TRACK_KEYS + OTHER_CONTENT_KEYS
_UNSEEN: Final[Any] = object()
_TAKEN_KEYS: Final = frozenset(_TAKEN)
# Below it an integer offline_timestamp needs no care: see parse_offline_at, which knows seconds from milliseconds.
_PLAUSIBLE_SECONDS: Final = range(1_136_073_600, 100_000_000_000)
# About 15 MB when full; a heavy listener of ten years has some 30,000 contents.
MAX_CACHED: Final = 12_000


class KnownNames:
    """Contents and contexts by the raw values that name them; bounded, and good for all files of an archive."""

    def __init__(self) -> None:
        self.contents: dict[tuple[object, ...], Content | None] = {}
        self.contexts: dict[tuple[object, ...], Context | None] = {}


class ExtendedRows:
    """Turns parsed rows into records. `latest` is the first moment that lies too far ahead to be believed."""

    def __init__(self, *, latest: datetime, max_chars: int, tally: Tally, known: KnownNames | None = None) -> None:
        self._latest = latest
        self._max_chars = max_chars
        self._tally = tally
        known = known or KnownNames()
        self._contents, self._contexts = known.contents, known.contexts
        # Takes the values of all keys at once from a row with exactly these keys, _TAKEN first; and their number.
        self._take: Callable[[Any], tuple[Any, ...]] = itemgetter(*_TAKEN)
        self._width = len(_TAKEN)

    def convert(self, batch: RowBatch, *, first: int) -> list[PlayRecord | QuarantinedRow]:
        """One result for each row, in order; `first` is the index of the first one in its file."""
        contents, contexts, latest = self._contents, self._contexts, self._latest
        from_iso, from_seconds, new = datetime.fromisoformat, datetime.fromtimestamp, tuple.__new__
        usernames, words_at, names_at = self._tally.usernames, slice(7, 11), slice(11, 15)
        results: list[PlayRecord | QuarantinedRow] = []
        append = results.append
        odd: list[int] = []
        take, width = self._take, self._width
        row: Any
        for index, row in enumerate(batch.rows, first):
            try:
                try:
                    fields = take(row)
                except KeyError:
                    fields = ()
                if not fields or len(row) != width:
                    fields = self._of_other_shape(row)
                    take, width = self._take, self._width
                ts, ms_played, offline_at, shuffle, skipped, offline, incognito = fields[:7]
                username = row.get("username")
                if username is not None and username not in usernames:
                    self._tally.note_username(username)
                played_at = from_iso(ts)
                names, words = fields[names_at], fields[words_at]
                if not names[0] and not names[1]:
                    names = tuple(map(row.get, _ALL_NAMES))
                if (content := contents.get(names, _UNSEEN)) is _UNSEEN:
                    content = self._content(row, names)
                if (context := contexts.get(words, _UNSEEN)) is _UNSEEN:
                    context = self._context(words)
                if offline_at is not None:
                    if type(offline_at) is int and offline_at in _PLAUSIBLE_SECONDS:
                        offline_at = from_seconds(offline_at, UTC)
                        if offline_at > played_at:
                            offline_at = parse_offline_at(fields[2], played_at=played_at)
                    else:
                        offline_at = parse_offline_at(offline_at, played_at=played_at)
                if (
                    len(ts) == 20
                    and ts[7] == "-"
                    and ts[10] == "T"
                    and played_at.tzinfo is UTC
                    and EARLIEST <= played_at < latest
                    and type(ms_played) is int
                    and 0 <= ms_played <= MAX_MS_PLAYED
                    and (shuffle is False or shuffle is True or shuffle is None)
                    and (skipped is False or skipped is True or skipped is None)
                    and (offline is False or offline is True or offline is None)
                    and (incognito is False or incognito is True or incognito is None)
                ):
                    append(
                        new(
                            PlayRecord,
                            (
                                index,
                                played_at,
                                content,
                                ms_played,
                                context,
                                offline_at,
                                shuffle,
                                skipped,
                                offline,
                                incognito,
                            ),
                        )
                    )
                    continue
            except (BadRow, TypeError, ValueError, LookupError):
                pass
            odd.append(index - first)
            append(None)  # type: ignore[arg-type]
        if odd:
            exact = batch.exact()
            for place in odd:
                results[place] = self._carefully(exact[place], first + place)
        return results

    def _of_other_shape(self, row: Any) -> tuple[Any, ...]:
        """The values of a row whose keys are not those of the row before. Raises TypeError for what is no object."""
        if not isinstance(row, dict):
            raise TypeError
        if unknown := row.keys() - KNOWN_KEYS:
            self._tally.count_unknown(unknown)
        elif row.keys() >= _TAKEN_KEYS:
            self._take = itemgetter(*_TAKEN, *sorted(row.keys() - _TAKEN_KEYS))
            self._width = len(row)
        return tuple(map(row.get, _TAKEN))

    def _carefully(self, row: object, index: int) -> PlayRecord | QuarantinedRow:
        """The same for one row of any form, field by field; what the row counts for was counted already."""
        try:
            if not isinstance(row, dict):
                raise not_an_object(row)
            get = row.get
            played_at = parse_timestamp(get("ts"), key="ts")
            if not EARLIEST <= played_at < self._latest:
                raise bad_span(played_at, key="ts")
            ms_played = parse_ms_played(get("ms_played"), key="ms_played")
            keys = TRACK_KEYS if get(TRACK_KEYS[0]) or get(TRACK_KEYS[1]) else _ALL_NAMES
            names = tuple(map(get, keys))
            content = self._contents[names] if names in self._contents else self._content(row, names)
            words = tuple(map(get, CONTEXT_KEYS))
            context = self._contexts[words] if words in self._contexts else self._context(words)
            flags = tuple(map(get, FLAG_KEYS))
            if any(flag is not None and flag is not False and flag is not True for flag in flags):
                raise BadRow("bad_type", f"{' / '.join(FLAG_KEYS)} must be true, false or null.")
            offline_at = parse_offline_at(get("offline_timestamp"), played_at=played_at)
            return PlayRecord(index, played_at, content, ms_played, context, offline_at, *flags)
        except BadRow as bad:
            return quarantined(index, row, bad)
        except TypeError:  # a list or an object where text belongs cannot be looked up
            return quarantined(index, row, BadRow("bad_type", "A field holds a list or an object instead of text."))

    def _content(self, row: dict[str, object], names: tuple[object, ...]) -> Content | None:
        content = content_of(lambda key: clean_text(row.get(key), key=key, max_chars=self._max_chars))
        if len(self._contents) >= MAX_CACHED:
            self._contents.clear()
        self._contents[names] = content
        return content

    def _context(self, words: tuple[object, ...]) -> Context | None:
        texts = [
            clean_text(word, key=key, max_chars=self._max_chars) for key, word in zip(CONTEXT_KEYS, words, strict=True)
        ]
        context = make_context(platform=texts[0], conn_country=texts[1], reason_start=texts[2], reason_end=texts[3])
        if len(self._contexts) >= MAX_CACHED:
            self._contexts.clear()
        self._contexts[words] = context
        return context


def content_of(text: Callable[[str], str | None]) -> Content | None:
    """What a row was about; `text` gives a key's cleaned value. None when the row names nothing at all.

    A row that names several kinds is a track before an episode before a chapter. For an episode the show is the
    collection; for a chapter the book is, and its author is not told. A book's URI stands in for a chapter's only
    when the chapter has no title either.
    """
    uri, title, artist, album = (text(key) for key in TRACK_KEYS)
    if uri or title:
        # The other keys are not looked at: the cache knows such a row by these four alone.
        return _track(uri=uri, title=title, artist=artist, album=album)
    episode_uri, episode, show, chapter_uri, chapter, book, book_uri = (text(key) for key in OTHER_CONTENT_KEYS)
    if episode_uri or episode:
        return make_content(kind=ContentKind.EPISODE, uri=episode_uri, title=episode, creator=None, collection=show)
    if chapter_uri or chapter or book or book_uri:
        known_uri = chapter_uri or (None if chapter else book_uri)
        return make_content(kind=ContentKind.CHAPTER, uri=known_uri, title=chapter, creator=None, collection=book)
    if artist or album:
        return make_content(kind=ContentKind.TRACK, uri=None, title=None, creator=artist, collection=album)
    if show:
        return make_content(kind=ContentKind.EPISODE, uri=None, title=None, creator=None, collection=show)
    return None


def _track(*, uri: str | None, title: str | None, artist: str | None, album: str | None) -> Content:
    # Video files name episodes of video podcasts under the track's keys, too.
    if uri is not None and uri.startswith("spotify:episode:"):
        return make_content(kind=ContentKind.EPISODE, uri=uri, title=title, creator=None, collection=album or artist)
    if uri is not None and uri.startswith("spotify:local:") and not title:
        # spotify:local:artist:album:title:seconds, each part URL-encoded: the only place that names a local file.
        parts = [_decoded(part) for part in uri.split(":")[2:5]]
        if len(parts) == 3:
            artist, album, title = artist or parts[0], album or parts[1], parts[2]
    return make_content(kind=ContentKind.TRACK, uri=uri, title=title, creator=artist, collection=album)


def _decoded(part: str) -> str | None:
    return unquote_plus(part).replace("\x00", "\ufffd") or None
