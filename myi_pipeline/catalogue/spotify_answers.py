"""Spotify's answers as records that are ready to be stored: plays, tracks, artists, albums.

Each item of a recently-played page becomes one record or one quarantined row. `ms_played` is None, because Spotify does
not say how long anybody listened. Postgres can store all text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from myi_pipeline.catalogue.plays import Content, ContentKind, PlayRecord, QuarantinedRow, content_if_known
from myi_pipeline.catalogue.records import NamedAlbum, NamedArtist, Picture, PolledTrack
from myi_pipeline.catalogue.row_rules import BadRow, check_played_at, latest_believed, quarantined, storable_text
from myi_pipeline.providers.spotify.models import Album, Artist, Image, PlayItem, RecentlyPlayedPage, Track


def play_records(page: RecentlyPlayedPage, *, now: datetime) -> list[PlayRecord | QuarantinedRow]:
    """One result per item, in the page's order; `row_index` is the item's place in it."""
    results: list[PlayRecord | QuarantinedRow] = [_record(entry.index, entry.play, now) for entry in page.entries]
    results.extend(quarantined(bad.index, bad.item, BadRow("bad_item", bad.detail)) for bad in page.bad)
    return sorted(results, key=lambda result: result.row_index)


# A date without punctuation has eight digits.
_SINCE_1970 = re.compile(r"[0-9]{9,13}(\.[0-9]{1,6})?")
# As seconds this is in the year 5138, as milliseconds in 1973.
_MILLISECONDS_FROM = 100_000_000_000


def parse_played_at(text: str) -> datetime | None:
    """An aware UTC time, to the millisecond as Spotify gives it; None if the text is not a time. One without a zone is
    UTC, as Spotify's are; a number counts seconds or milliseconds since 1970."""
    try:
        if _SINCE_1970.fullmatch(text):
            number = float(text)
            return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, UTC)
        moment = datetime.fromisoformat(text) if len(text) < 60 else None
        return moment if moment is None else (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        return None


def track_content(track: Track) -> Content | None:
    """The content of a track, credited to its first artist. None for a removed track, which has neither uri nor name.

    For an episode the show's name is not given, so its album or publisher, if any, is the collection.
    """
    uri, title = clean_text(track.uri), clean_text(track.name)
    if uri is None and track.id and track.type in (None, "track"):
        uri = f"spotify:track:{clean_text(track.id)}"
    if uri is None and title is None:
        return None
    creator = next((clean_text(artist.name) for artist in track.artists if artist.name), None)
    collection = clean_text(track.album.name) if track.album is not None else None
    is_episode = (uri or "").startswith("spotify:episode:") or (uri is None and track.type == "episode")
    if is_episode:
        return content_if_known(
            kind=ContentKind.EPISODE, uri=uri, title=title, creator=None, collection=collection or creator
        )
    return content_if_known(kind=ContentKind.TRACK, uri=uri, title=title, creator=creator, collection=collection)


def _record(index: int, play: PlayItem, now: datetime) -> PlayRecord | QuarantinedRow:
    try:
        played_at = parse_played_at(play.played_at)
        if played_at is None:
            raise BadRow("bad_timestamp", "played_at must be a time such as 2024-01-31T23:59:59.123Z.")
        check_played_at(played_at, latest=latest_believed(now), key="played_at")
    except BadRow as bad:
        row = {"played_at": play.played_at, "track": {"uri": play.track.uri, "name": play.track.name}}
        return quarantined(index, row, bad)
    return PlayRecord(
        row_index=index,
        played_at=played_at,
        content=track_content(play.track),
        ms_played=None,
        context=None,
        offline_at=None,
        shuffle=None,
        skipped=None,
        offline=None,
        incognito=None,
    )


def clean_text(text: str | None) -> str | None:
    """Text that Postgres can store; None if it is empty."""
    return storable_text(text) or None if text else None


_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}\Z")
# A recording code has twelve characters; some catalogues write it with hyphens.
_LONGEST_ISRC: Final = 32
_LARGEST_INT: Final = 2**31 - 1
_LARGEST_SMALLINT: Final = 2**15 - 1
_RELEASED: Final = re.compile(r"([0-9]{4})(?:-|\Z)", re.ASCII)
_LONGEST_URL: Final = 1_000


def polled_track(track: Track, played_at: datetime) -> PolledTrack | None:
    """The track with everything that the answer says about it; None for a removed one, which has no name and no URI."""
    content = track_content(track)
    if content is None:
        return None
    isrc = clean_text(track.isrc)
    is_track = content.artist_key is not None
    return PolledTrack(
        content=content,
        played_at=played_at,
        duration_ms=_positive(track.duration_ms),
        isrc=isrc if isrc and len(isrc) <= _LONGEST_ISRC else None,
        artist=_primary(track.artists) if is_track else None,
        album=named_album(track.album) if is_track and track.album is not None else None,
        disc_number=_positive(track.disc_number, _LARGEST_SMALLINT) if is_track else None,
        track_number=_positive(track.track_number, _LARGEST_SMALLINT) if is_track else None,
    )


def named_artist(artist: Artist) -> NamedArtist | None:
    """The artist as stored; None if it lacks a name or a URI."""
    uri, name = _uri("artist", artist.uri, artist.id), clean_text(artist.name)
    return NamedArtist(uri, name, _pictures(artist.images)) if uri and name else None


def named_album(album: Album) -> NamedAlbum | None:
    """The album as stored; None if it lacks a name, a URI or an artist."""
    uri, name, artist = _uri("album", album.uri, album.id), clean_text(album.name), _primary(album.artists)
    if not (uri and name and artist):
        return None
    return NamedAlbum(
        uri,
        name,
        artist,
        _pictures(album.images),
        total_tracks=_positive(album.total_tracks),
        release_year=_year(album.release_date),
    )


def _primary(artists: tuple[Artist, ...]) -> NamedArtist | None:
    """The first artist with a name, as in the content; None if that one has no URI."""
    return next((named_artist(artist) for artist in artists if artist.name), None)


def _uri(kind: str, uri: str | None, spotify_id: str | None) -> str | None:
    prefix = f"spotify:{kind}:"
    found = uri.removeprefix(prefix) if uri and uri.startswith(prefix) else spotify_id
    return prefix + found if found and _ID.match(found) else None


def _pictures(images: tuple[Image, ...]) -> tuple[Picture, ...]:
    return tuple(
        Picture(image.url, _positive(image.width), _positive(image.height))
        for image in images
        if image.url.startswith("https://") and len(image.url) <= _LONGEST_URL and clean_text(image.url) == image.url
    )


def _positive(number: int | None, most: int = _LARGEST_INT) -> int | None:
    return number if number is not None and 0 < number <= most else None


def _year(release_date: str | None) -> int | None:
    """The year of 1989, 1989-03 or 1989-03-21; None for 0000, which Spotify uses for an unknown year."""
    found = _RELEASED.match(release_date or "")
    return _positive(int(found[1])) if found else None
