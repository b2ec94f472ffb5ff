"""Answers of MusicBrainz' web service, read field by field: the JSON of `ws/2` (musicbrainz.org/doc/MusicBrainz_API).

Every field except an entity's id and name may be missing, null or empty; unreadable ones are left out without affecting
others. A list of recordings without a readable one counts as no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from myi_pipeline.errors import UnexpectedAnswer

# 1999, 1999-05, 1999-05-21. MusicBrainz also has 1999-??-21, where only the year is usable.
_DATE = re.compile(r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?", re.ASCII)
_LONGEST_NAME = 2_000
# MusicBrainz' own limit.
_LONGEST_TAG = 255
_MOST_VOTES = 10**6
# One day. No recording is longer.
_LONGEST_MS = 86_400_000


@dataclass(frozen=True)
class Vote:
    """The number of editors who chose a word; `is_genre` if it is in MusicBrainz' list of genres."""

    tag: str
    votes: int
    is_genre: bool


@dataclass(frozen=True, kw_only=True)
class Credit:
    """One artist of a recording. `votes` is None if the answer does not include them."""

    artist_mbid: UUID
    name: str
    credited_as: str
    join_phrase: str
    votes: tuple[Vote, ...] | None


@dataclass(frozen=True)
class Release:
    release_mbid: UUID
    name: str
    date: str | None


@dataclass(frozen=True, kw_only=True)
class Recording:
    """`length_ms` in milliseconds; `first_release_date` as 1999, 1999-05 or 1999-05-21; `score` to 100."""

    recording_mbid: UUID
    title: str
    length_ms: int | None
    first_release_date: str | None
    credits: tuple[Credit, ...]
    releases: tuple[Release, ...]
    votes: tuple[Vote, ...]
    score: int | None = None

    @property
    def credit(self) -> str:
        """The artists as credited together."""
        return "".join(each.credited_as + each.join_phrase for each in self.credits)

    @property
    def first_release(self) -> Release | None:
        """The earliest one with a date, or else the first."""
        dated = [each for each in self.releases if each.date is not None]
        return min(dated, key=lambda each: (each.date or "", each.release_mbid)) if dated else next(
            iter(self.releases), None
        )  # fmt: skip


@dataclass(frozen=True)
class Artist:
    artist_mbid: UUID
    name: str
    votes: tuple[Vote, ...]


def read_recordings(document: Mapping[str, Any], *, what: str) -> tuple[Recording, ...]:
    """The list under `recordings`. Raises UnexpectedAnswer if it is missing or contains nothing readable."""
    found = document.get("recordings")
    if not isinstance(found, list):
        raise UnexpectedAnswer(f"{what}: MusicBrainz' answer holds no list of recordings")
    recordings = tuple(each for each in map(_recording, found) if each is not None)
    if found and not recordings:
        raise UnexpectedAnswer(f"{what}: none of the {len(found)} recordings in MusicBrainz' answer can be read")
    return recordings


def read_recording(document: Mapping[str, Any], *, what: str) -> Recording:
    found = _recording(document)
    if found is None:
        raise UnexpectedAnswer(f"{what}: MusicBrainz' answer is not a recording")
    return found


def read_artist(document: Mapping[str, Any], *, what: str) -> Artist:
    mbid, name = _uuid(document.get("id")), _text(document.get("name"))
    if mbid is None or name is None:
        raise UnexpectedAnswer(f"{what}: MusicBrainz' answer is not an artist")
    return Artist(mbid, name, _votes(document) or ())


def _recording(document: object) -> Recording | None:
    if not isinstance(document, dict):
        return None
    mbid, title = _uuid(document.get("id")), _text(document.get("title"))
    if mbid is None or title is None:
        return None
    releases = tuple(_each(document.get("releases"), _release))
    dates = [each.date for each in releases if each.date is not None]
    return Recording(
        recording_mbid=mbid,
        title=title,
        length_ms=_whole(document.get("length"), least=1, most=_LONGEST_MS),
        # Older servers omit it, but list the releases.
        first_release_date=_date(document.get("first-release-date")) or min(dates, default=None),
        credits=tuple(_each(document.get("artist-credit"), _credit)),
        releases=releases,
        votes=_votes(document) or (),
        score=_whole(document.get("score"), least=0, most=100),
    )


def _credit(document: Mapping[str, Any]) -> Credit | None:
    artist = document.get("artist")
    if not isinstance(artist, dict):
        return None
    mbid, name = _uuid(artist.get("id")), _text(artist.get("name"))
    if mbid is None or name is None:
        return None
    phrase = document.get("joinphrase")
    return Credit(
        artist_mbid=mbid,
        name=name,
        credited_as=_text(document.get("name")) or name,
        join_phrase=phrase[:_LONGEST_NAME] if isinstance(phrase, str) and "\0" not in phrase else "",
        votes=_votes(artist),
    )


def _release(document: Mapping[str, Any]) -> Release | None:
    mbid, name = _uuid(document.get("id")), _text(document.get("title"))
    return Release(mbid, name, _date(document.get("date"))) if mbid is not None and name is not None else None


def _votes(document: Mapping[str, Any]) -> tuple[Vote, ...] | None:
    """Genres and tags together, each word once, most votes first; None if the answer has neither."""
    if "genres" not in document and "tags" not in document:
        return None
    found: dict[str, Vote] = {}
    for key in ("genres", "tags"):
        for each in document.get(key) or ():
            tag = _text(each.get("name"), most=_LONGEST_TAG) if isinstance(each, dict) else None
            votes = _whole(each.get("count"), least=1, most=_MOST_VOTES) if tag is not None else None
            if tag is not None and votes is not None:
                found.setdefault(tag, Vote(tag, votes, is_genre=key == "genres"))
    return tuple(sorted(found.values(), key=lambda each: (-each.votes, each.tag)))


def _each(found: object, read: Any) -> Iterable[Any]:
    for each in found if isinstance(found, list) else ():
        made = read(each) if isinstance(each, dict) else None
        if made is not None:
            yield made


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) and len(value) == 36 else None
    except ValueError:
        return None


def _text(value: object, *, most: int = _LONGEST_NAME) -> str | None:
    """A name; None if it is not one or Postgres could not store it."""
    if not isinstance(value, str) or not value.strip() or len(value) > most or "\0" in value:
        return None
    return None if any("\ud800" <= char <= "\udfff" for char in value) else value


def _whole(value: object, *, least: int, most: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if least <= number <= most else None


def _date(value: object) -> str | None:
    """The known part of a date: with an invalid month, only the year."""
    found = _DATE.match(value) if isinstance(value, str) else None
    if found is None or found["year"] == "0000":
        return None
    year, month, day = found["year"], found["month"], found["day"]
    if month is None or not 1 <= int(month) <= 12:
        return year
    return f"{year}-{month}-{day}" if day is not None and 1 <= int(day) <= 31 else f"{year}-{month}"
