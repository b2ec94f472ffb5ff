"""Deezer's API, read only. An account is read by its number, like its public pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from myi_pipeline.errors import (
    BadInput,
    Forbidden,
    Gone,
    MyiError,
    Permanent,
    Transient,
    UnexpectedAnswer,
)
from myi_pipeline.providers.asking import ServiceApi
from myi_pipeline.providers.playlists import Capabilities, EntryKind, ListedTrack, PlaylistEntry, PlaylistHead
from myi_pipeline.providers.sign_in_rules import WhoSignedIn
from myi_pipeline.providers.transport import Answer, plain_words

CAPABILITIES = Capabilities(finds_isrc=True, searches=True, most_entries=2_000)
# Lists have at most 2,000 entries, and people have fewer lists than that; 25 per page.
_MOST_PAGES = 400
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}", re.ASCII)
_QUOTA, _BUSY, _NO_DATA = 4, 700, 800
# Missing permission, no valid token, and accounts of neither artists nor listeners: not public.
_NOT_PUBLIC = (200, 300, 901)
# The window over which Deezer counts.
_WINDOW = timedelta(seconds=5)


class DeezerApi(ServiceApi):
    """Raises Gone, Forbidden, RateLimited, Permanent, Transient and UnexpectedAnswer."""

    service = "Deezer"

    def pages(self, path: str) -> Iterator[tuple[str, list[Any]]]:
        """Every page from the first on.

        Only the position in `next` is used, so no answer can lead to another server.
        """
        params: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            what, document = self.read(path, params)
            data = document.get("data")
            if not isinstance(data, list):
                raise UnexpectedAnswer(f"{what}: Deezer's answer holds no list")
            yield what, data
            place = self._next_place(document, what)
            if place is None:
                return
            if place <= int(params.get("index", "0")):
                raise UnexpectedAnswer(f"{what}: Deezer's pages lead in a circle")
            params = {"index": str(place)}
        raise UnexpectedAnswer(f"GET {path}: Deezer's pages do not end")

    def _next_place(self, document: Mapping[str, Any], what: str) -> int | None:
        following = document.get("next")
        if following is None:
            return None
        try:
            parts = urlsplit(following)
            places = parse_qs(parts.query, max_num_fields=20).get("index", [])
        except (ValueError, TypeError, AttributeError):
            raise UnexpectedAnswer(f"{what}: Deezer's link to the next page cannot be read") from None
        if parts.netloc not in ("", urlsplit(self._url).netloc):
            raise UnexpectedAnswer(f"{what}: Deezer's next page is at another server")
        if len(places) != 1 or not _ID.fullmatch(places[0]):
            raise UnexpectedAnswer(f"{what}: Deezer's link to the next page has no position")
        return int(places[0])

    def _is_done(self, answer: Answer) -> bool:
        return super()._is_done(answer) and _error(answer) is None

    def _refusal(self, answer: Answer) -> MyiError:
        error, what = _error(answer), answer.what
        if error is None:
            return super()._refusal(answer)
        code, said = error
        if code == _QUOTA:
            return self._limited(answer, "too many requests from this address", wait=_WINDOW)
        if code == _BUSY:
            return Transient(f"{what}: Deezer is busy")
        if code == _NO_DATA:
            return Gone(f"{what}: Deezer does not have it")
        if code in _NOT_PUBLIC:
            return Forbidden(f"{what}: Deezer does not show it publicly ({said or code})")
        return Permanent(f"{what}: Deezer does not accept it ({code}{f': {said}' if said else ''})")


class DeezerReader:
    """A PlaylistReader for one account's public lists; `user_id` is in the address of its profile.

    Loved tracks are one of them, if the person shows them.
    """

    def __init__(self, api: DeezerApi, *, user_id: str) -> None:
        self._api = api
        self._user_id = checked_id(user_id)

    def who(self) -> WhoSignedIn:
        """The owner of these lists. Raises Gone."""
        what, found = self._api.read(f"/user/{self._user_id}")
        name, country = found.get("name"), found.get("country")
        if _number(found.get("id")) is None:
            raise UnexpectedAnswer(f"{what}: Deezer's answer is not an account")
        return WhoSignedIn(
            account_id=self._user_id,
            name=name if isinstance(name, str) and name else None,
            country=country if isinstance(country, str) and len(country) == 2 else None,
        )

    def playlists(self) -> Iterator[PlaylistHead]:
        for _, listed in self._api.pages(f"/user/{self._user_id}/playlists"):
            for each in listed:
                if isinstance(each, dict) and _number(each.get("id")) is not None:
                    yield _head(each)

    def head(self, playlist_id: str) -> PlaylistHead:
        what, found = self._api.read(f"/playlist/{checked_id(playlist_id)}", {"limit": "1"})
        if _number(found.get("id")) is None:
            raise UnexpectedAnswer(f"{what}: Deezer's answer is not a playlist")
        return _head(found)

    def entries(self, playlist_id: str) -> Iterator[PlaylistEntry]:
        """In order. Deezer may silently leave tracks out of its pages: `items` of the head shows how many."""
        for _, listed in self._api.pages(f"/playlist/{checked_id(playlist_id)}/tracks"):
            for each in listed:
                track = _track(each) if isinstance(each, dict) else ListedTrack(kind=EntryKind.REMOVED)
                yield PlaylistEntry(
                    track=track,
                    added_at=_moment(each.get("time_add")) if isinstance(each, dict) else None,
                    original=None if track.kind is EntryKind.TRACK else each,
                )


class DeezerFinder:
    """A TrackFinder. An ISRC finds one track."""

    def __init__(self, api: DeezerApi) -> None:
        self._api = api

    def by_isrc(self, isrc: str) -> tuple[ListedTrack, ...]:
        code = isrc.strip().upper().replace("-", "")
        if not _ISRC.fullmatch(code):
            rule = "two letters, three letters or digits, seven digits"
            raise BadInput(f"{isrc[:20]!r} is not an ISRC", place="isrc", rule=rule)
        try:
            _, found = self._api.read(f"/track/isrc:{code}")
        except Gone:
            return ()
        return (_track(found),)

    def search(self, *, title: str, artist: str) -> tuple[ListedTrack, ...]:
        """The first page of hits, best first."""
        words = {"artist": artist, "track": title}
        query = " ".join(f'{name}:"{" ".join(each.replace(chr(34), " ").split())}"' for name, each in words.items())
        what, document = self._api.read("/search/track", {"q": query})
        data = document.get("data")
        if not isinstance(data, list):
            raise UnexpectedAnswer(f"{what}: Deezer's answer holds no list")
        return tuple(_track(each) for each in data if isinstance(each, dict))


def checked_id(number: str) -> str:
    """Raises BadInput for anything that would change the path."""
    if not _ID.fullmatch(number):
        rule = "the number in its address"
        raise BadInput(f"{number[:40]!r} is not a Deezer number", place="id", rule=rule)
    return number


def _error(answer: Answer) -> tuple[int, str] | None:
    """Code and text of an error, which may come with any status."""
    try:
        error = json.loads(answer.body)["error"]
        code, said = error.get("code"), error.get("message")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    return (code if isinstance(code, int) else 0), plain_words(said) if isinstance(said, str) else ""


def _head(found: Mapping[str, Any]) -> PlaylistHead:
    creator = _object(found.get("creator")) or _object(found.get("user"))
    creator_id = _number(creator.get("id"))
    public, collaborative, items = found.get("public"), found.get("collaborative"), _number(found.get("nb_tracks"))
    image = _text(found.get("picture_big")) or _text(found.get("picture"))
    return PlaylistHead(
        playlist_id=str(found["id"]),
        name=_text(found.get("title")) or "",
        description=_text(found.get("description")),
        owner_id=str(creator_id) if creator_id is not None else None,
        owner_name=_text(creator.get("name")),
        is_public=public if isinstance(public, bool) else None,
        is_collaborative=collaborative if isinstance(collaborative, bool) else None,
        version=_text(found.get("checksum")),
        items=items,
        image_url=image if image and image.startswith("https://") else None,
        url=f"https://www.deezer.com/playlist/{found['id']}",
    )


def _track(found: Mapping[str, Any]) -> ListedTrack:
    """A track; a personal upload has a negative number and is not a Deezer track."""
    number = _number(found.get("id"))
    artists = [_object(each).get("name") for each in _list(found.get("contributors"))]
    artists = artists or [_object(found.get("artist")).get("name")]
    title, version = (
        _text(found.get("title")) or _text(found.get("title_short")) or "",
        _text(found.get("title_version")),
    )
    if version and version.casefold() not in title.casefold():
        title = f"{title} {version}"
    album, seconds, explicit = _object(found.get("album")), _number(found.get("duration")), found.get("explicit_lyrics")
    isrc = _text(found.get("isrc"))
    kind = EntryKind.REMOVED if number is None else EntryKind.LOCAL if number < 0 else EntryKind.TRACK
    return ListedTrack(
        kind=kind,
        uri=f"deezer:track:{number}" if number is not None else None,
        title=title,
        artists=tuple(name for name in artists if isinstance(name, str) and name),
        album=_text(album.get("title")),
        isrc=isrc.upper() if isrc else None,
        duration_ms=seconds * 1000 if seconds else None,
        disc_number=_number(found.get("disk_number")),
        track_number=_number(found.get("track_position")),
        is_explicit=explicit if isinstance(explicit, bool) else None,
        released_on=_text(found.get("release_date")) or _text(album.get("release_date")),
    )


def _moment(seconds: object) -> datetime | None:
    number = _number(seconds)
    return datetime.fromtimestamp(number, UTC) if number is not None and 0 < number < 32_503_680_000 else None


def _number(value: object) -> int | None:
    """Also accepts digits in a text, as in older answers."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18 else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
