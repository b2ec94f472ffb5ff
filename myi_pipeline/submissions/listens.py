"""Parses submissions of scrobblers in ListenBrainz' format.

The format is that of `POST /1/submit-listens`: https://listenbrainz.readthedocs.io/en/latest/users/json.html and
listenbrainz-server's `webserver/views/api_tools.py`, whose limits also apply here. There are two differences, so that
no valid listen is lost. ListenBrainz refuses a whole request because of one bad listen; here only that listen is
refused, because Pano Scrobbler and Jellyfin's plugin resend the same batch until it is accepted. And fields that
ListenBrainz checks but a play does not need, such as a length or an id, are dropped if they are invalid.

A refused listen has one of these codes: `not_an_object`, `too_large`, `missing_timestamp`, `bad_timestamp`,
`too_early`, `in_the_future`, `missing_names`. Postgres can store all texts.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast
from uuid import UUID

from myi_pipeline.catalogue.plays import (
    Content,
    ContentKind,
    Context,
    PlayRecord,
    QuarantinedRow,
    Source,
    content_if_known,
    make_context,
)
from myi_pipeline.catalogue.row_rules import BadRow, quarantined, storable_text
from myi_pipeline.catalogue.sources import TRAITS

ListenType = Literal["single", "import", "playing_now"]
_LISTEN_TYPES: Final = ("single", "import", "playing_now")

# ListenBrainz: MAX_LISTEN_SIZE, MAX_LISTENS_PER_REQUEST, API_LISTENED_AT_ALLOWED_SKEW, PLAYING_NOW_MAX_DURATION.
MOST_LISTEN_BYTES: Final = 10_240
MOST_LISTENS: Final = 1_000
MOST_BYTES: Final = MOST_LISTEN_BYTES * MOST_LISTENS
_CLOCKS_DIFFER_BY: Final = timedelta(hours=1)
# No second before the year 5000, and every millisecond since 1973.
_FIRST_MS: Final = 1e11
_PLAYS_FOR: Final = timedelta(minutes=10)
# The longest time for which a track is assumed to be playing.
_LONGEST_PLAYING: Final = timedelta(hours=6)
# MAX_DURATION_MS_LIMIT: 24 days.
_LONGEST_MS: Final = 24 * 86_400_000
_LONGEST_CLIENT: Final = 200
_ISRC: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}\Z")
_SPOTIFY_TRACK: Final = re.compile(
    r"(?:https?://open\.spotify\.com/(?:intl-[a-z-]+/)?track/|spotify:track:)?([0-9A-Za-z]{22})(?:[?#].*)?\Z"
)


class BadSubmission(Exception):
    """A request that is refused as a whole; the text is a sentence for people."""


@dataclass(frozen=True, kw_only=True)
class Listen:
    """One valid listen, or a track that is playing now.

    `row_index` counts from 0 within its request. `listened_at` is when the play began, in seconds since 1970, and None
    for what is playing now. `ms_played` (milliseconds) is None unless the client reports how long was listened;
    `duration_ms` is the length of the track. `spotify_id` is the 22-character id of a track.
    """

    row_index: int
    listened_at: int | None
    title: str
    artist: str
    first_artist: str | None = None
    album: str | None = None
    spotify_id: str | None = None
    isrc: str | None = None
    recording_mbid: str | None = None
    duration_ms: int | None = None
    ms_played: int | None = None
    client: str | None = None

    @property
    def played_at(self) -> datetime:
        """Aware, in UTC."""
        assert self.listened_at is not None
        return datetime.fromtimestamp(self.listened_at, UTC)

    @property
    def uri(self) -> str | None:
        return f"spotify:track:{self.spotify_id}" if self.spotify_id else None

    def content(self) -> Content | None:
        """What was played; None if the names are just placeholders for unknown ones.

        A track with a Spotify id is credited to its first artist, if that is known, as in Spotify's data.
        """
        creator = self.first_artist if self.spotify_id and self.first_artist else self.artist
        made = content_if_known(
            kind=ContentKind.TRACK, uri=self.uri, title=self.title, creator=creator, collection=self.album
        )
        if made is None:
            return None
        return made._replace(isrc=self.isrc, recording_mbid=self.recording_mbid, duration_ms=self.duration_ms)

    def context(self) -> Context | None:
        """The client that reported it, which distinguishes the reports of two clients."""
        return make_context(platform=self.client, conn_country=None, reason_start=None, reason_end=None)

    def record(self) -> PlayRecord:
        """The play; requires `listened_at`."""
        return PlayRecord(
            row_index=self.row_index,
            played_at=self.played_at,
            content=self.content(),
            ms_played=self.ms_played,
            context=self.context(),
            offline_at=None,
            shuffle=None,
            skipped=None,
            offline=None,
            incognito=None,
        )

    def document(self) -> dict[str, Any]:
        """The form stored in the inbox, for `listen_of`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One request, with its valid and its refused listens."""

    listen_type: ListenType
    listens: tuple[Listen, ...]
    refused: tuple[QuarantinedRow, ...]

    @property
    def client(self) -> str | None:
        """The submitting client, from the first listen that names it."""
        return next((listen.client for listen in self.listens if listen.client), None)


def listen_of(document: Mapping[str, Any]) -> Listen:
    """The inverse of `Listen.document`."""
    return Listen(**{"listened_at": None, **document})


def unpacked(body: bytes) -> bytes:
    """Decompresses a gzipped body. Raises BadSubmission if it is invalid or too large."""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        whole = unpacking.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise BadSubmission("The body does not match its Content-Encoding.") from error
    if len(whole) > MOST_BYTES:
        raise BadSubmission(f"The body may have at most {MOST_BYTES} bytes.")
    if not unpacking.eof:
        raise BadSubmission("The compressed body is truncated.")
    return whole


def read_submission(body: bytes, *, now: datetime) -> Submission:
    """Parses the body of a request. Raises BadSubmission if it is malformed, or has no listens or too many."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadSubmission("Cannot parse JSON document.") from error
    if not isinstance(document, dict):
        raise BadSubmission("Invalid JSON document submitted. Top level of JSON document should be a json object.")
    listen_type, payload = document.get("listen_type"), document.get("payload")
    if listen_type not in _LISTEN_TYPES:
        raise BadSubmission("JSON document requires a valid listen_type key.")
    if not isinstance(payload, list):
        raise BadSubmission("The payload in the JSON document should be a list of listens.")
    if not payload:
        raise BadSubmission("JSON document does not contain any listens")
    if len(payload) > MOST_LISTENS:
        raise BadSubmission(f"Too many listens. You may not submit more than {MOST_LISTENS} listens at once.")
    listens: list[Listen] = []
    refused: list[QuarantinedRow] = []
    for index, row in enumerate(payload):
        try:
            if len(body) > MOST_LISTEN_BYTES and _size_bytes(row) > MOST_LISTEN_BYTES:
                raise BadRow("too_large", f"A listen may not be larger than {MOST_LISTEN_BYTES} bytes.")
            listens.append(_listen(index, row, is_playing=listen_type == "playing_now", now=now))
        except BadRow as bad:
            refused.append(quarantined(index, row, bad))
    return Submission(listen_type=cast(ListenType, listen_type), listens=tuple(listens), refused=tuple(refused))


def plays_until(listen: Listen, *, now: datetime) -> datetime:
    """When a track that began `now` ends: after its length or, if that is not reported, ten minutes."""
    length = timedelta(milliseconds=listen.duration_ms) if listen.duration_ms is not None else _PLAYS_FOR
    return now + min(length, _LONGEST_PLAYING)


def _size_bytes(row: object) -> int:
    return len(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def _listen(index: int, row: object, *, is_playing: bool, now: datetime) -> Listen:
    if not isinstance(row, dict):
        raise BadRow("not_an_object", "A listen must be a JSON object.")
    listened_at = None if is_playing else _listened_at(row.get("listened_at"), now=now)
    track = row.get("track_metadata")
    if not isinstance(track, dict):
        raise BadRow("missing_names", "A listen must have the object track_metadata.")
    title, artist = _text(track.get("track_name")), _text(track.get("artist_name"))
    if title is None or artist is None:
        raise BadRow("missing_names", "track_metadata must have the texts track_name and artist_name.")
    given = track.get("additional_info")
    info: dict[str, Any] = given if isinstance(given, dict) else {}
    names = info.get("artist_names")
    mapped = track.get("mbid_mapping")
    return Listen(
        row_index=index,
        listened_at=listened_at,
        title=title,
        artist=artist,
        first_artist=_text(names[0]) if isinstance(names, list) and names else None,
        album=_text(track.get("release_name")),
        spotify_id=_spotify_id(info.get("spotify_id")) or _spotify_id(info.get("origin_url"), is_address=True),
        isrc=_isrc(info.get("isrc")),
        recording_mbid=_mbid(info.get("recording_mbid"))
        or (_mbid(mapped.get("recording_mbid")) if isinstance(mapped, dict) else None),
        duration_ms=_length_ms(info.get("duration_ms"), unit_ms=1) or _length_ms(info.get("duration"), unit_ms=1000),
        ms_played=_length_ms(info.get("duration_played"), unit_ms=1000),
        client=_client(info),
    )


def _listened_at(given: object, *, now: datetime) -> int:
    if given is None:
        raise BadRow("missing_timestamp", "A listen must have listened_at, in seconds since 1970.")
    seconds = _number(given)
    if seconds is None:
        raise BadRow("bad_timestamp", "listened_at must be a whole number of seconds since 1970.")
    traits = TRAITS[Source.SUBMITTED_LISTENS]
    if seconds < traits.earliest.timestamp():
        raise BadRow("too_early", f"listened_at is before {traits.why_earliest}.")
    if seconds >= (now + _CLOCKS_DIFFER_BY).timestamp():
        raise BadRow(
            "in_the_future",
            "listened_at must be in seconds since 1970, not in milliseconds."
            if seconds >= _FIRST_MS
            else "listened_at is more than an hour in the future.",
        )
    return int(seconds)


def _client(info: Mapping[str, Any]) -> str | None:
    """The player, and the program that submits for it if that is a different one."""
    player, client = _text(info.get("media_player")), _text(info.get("submission_client"))
    if player and client and player.casefold() != client.casefold():
        return f"{player} / {client}"[:_LONGEST_CLIENT]
    return (player or client or "")[:_LONGEST_CLIENT] or None


def _text(given: object) -> str | None:
    return (storable_text(given.strip()) or None) if isinstance(given, str) else None


def _number(given: object) -> float | None:
    """A number, or a string with one: ListenBrainz accepts both."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        found = float(given)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e15 else None


def _length_ms(given: object, *, unit_ms: int) -> int | None:
    number = _number(given)
    length_ms = int(number * unit_ms) if number is not None else 0
    return length_ms if 0 < length_ms <= _LONGEST_MS else None


def _mbid(given: object) -> str | None:
    try:
        return str(UUID(given)) if isinstance(given, str) else None
    except ValueError:
        return None


def _isrc(given: object) -> str | None:
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    code = given.replace("-", "").strip().upper() if isinstance(given, str) else ""
    return code if _ISRC.match(code) else None


def _spotify_id(given: object, *, is_address: bool = False) -> str | None:
    """The id of the track in an address, a URI or, unless `is_address`, a bare id."""
    text = given.strip() if isinstance(given, str) else ""
    found = _SPOTIFY_TRACK.match(text) if not is_address or "spotify" in text else None
    return found[1] if found else None
