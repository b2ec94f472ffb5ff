"""What the Web API answers, in both dialects: the fields that MYI reads, everything else ignored.

Belongs here: shapes and nothing but shapes. Not here: what becomes of them. Invariant: a field that one dialect lacks
is optional; one bad item of a list never costs the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from myi_pipeline.core.errors import UnexpectedAnswer

FULL_PAGE = 50
_Model = TypeVar("_Model", bound="_Tolerant")


class _Tolerant(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Image(_Tolerant):
    url: str
    width: int | None = None
    height: int | None = None


class Artist(_Tolerant):
    id: str | None = None
    uri: str | None = None
    name: str | None = None
    images: tuple[Image, ...] = ()
    # The old dialect alone has them.
    genres: tuple[str, ...] = ()

    @field_validator("images", "genres", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return () if value is None else value


class Album(_Tolerant):
    id: str | None = None
    uri: str | None = None
    name: str | None = None
    album_type: str | None = None
    artists: tuple[Artist, ...] = ()
    images: tuple[Image, ...] = ()
    release_date: str | None = None
    release_date_precision: str | None = None
    total_tracks: int | None = None
    external_ids: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("artists", "images", "external_ids", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object, info: Any) -> object:
        return ({} if info.field_name == "external_ids" else ()) if value is None else value


class LinkedFrom(_Tolerant):
    """The track that was asked for, where another one answered. Old dialect."""

    id: str | None = None
    uri: str | None = None


class Track(_Tolerant):
    """`duration_ms` in milliseconds. `type` is `track` or `episode`."""

    id: str | None = None
    uri: str | None = None
    name: str | None = None
    type: str | None = None
    duration_ms: int | None = None
    explicit: bool | None = None
    is_local: bool | None = None
    disc_number: int | None = None
    track_number: int | None = None
    artists: tuple[Artist, ...] = ()
    album: Album | None = None
    external_ids: Mapping[str, str] = Field(default_factory=dict)
    linked_from: LinkedFrom | None = None

    @field_validator("artists", "external_ids", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object, info: Any) -> object:
        return ({} if info.field_name == "external_ids" else ()) if value is None else value

    @property
    def isrc(self) -> str | None:
        return self.external_ids.get("isrc")


class PlayContext(_Tolerant):
    type: str | None = None
    uri: str | None = None


class PlayItem(_Tolerant):
    """One play. `played_at` is Spotify's text: whether it is start or end differs by device."""

    track: Track
    played_at: str
    context: PlayContext | None = None


class Me(_Tolerant):
    """The account. `account_id` is immutable, and missing in the old dialect."""

    account_id: str | None = None
    id: str | None = None
    display_name: str | None = None


@dataclass(frozen=True)
class BadItem:
    """An item of a list that cannot be understood: its place, why (without its values), and the item."""

    index: int
    detail: str
    item: object


@dataclass(frozen=True)
class Entry:
    """A good item of a page and its place."""

    index: int
    play: PlayItem


@dataclass(frozen=True)
class RecentlyPlayedPage:
    """The window of the last plays, newest first as a rule. `is_full` means that older plays may have left it."""

    entries: tuple[Entry, ...]
    bad: tuple[BadItem, ...] = ()

    @property
    def count(self) -> int:
        return len(self.entries) + len(self.bad)

    @property
    def is_full(self) -> bool:
        return self.count >= FULL_PAGE


@dataclass(frozen=True)
class TopPage:
    """A top list: (rank from 1, item). A bad item leaves its rank empty."""

    tracks: tuple[tuple[int, Track], ...] = ()
    artists: tuple[tuple[int, Artist], ...] = ()
    bad: tuple[BadItem, ...] = ()


def read_one(model: type[_Model], document: object, *, what: str) -> _Model:
    """Raises UnexpectedAnswer, which repeats no value."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise UnexpectedAnswer(f"{what}: Spotify's answer has another shape ({_why(error)})") from None


def read_list(
    model: type[_Model], document: Mapping[str, Any], *, what: str
) -> tuple[list[tuple[int, _Model]], tuple[BadItem, ...]]:
    """The good items of `items` with their index, and the bad ones. Raises UnexpectedAnswer when there is no list."""
    items = document.get("items")
    if not isinstance(items, list):
        raise UnexpectedAnswer(f"{what}: Spotify's answer holds no list of items")
    good: list[tuple[int, _Model]] = []
    bad: list[BadItem] = []
    for index, item in enumerate(items):
        try:
            good.append((index, model.model_validate(item)))
        except ValidationError as error:
            bad.append(BadItem(index, _why(error), item))
    return good, tuple(bad)


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'whole'}: {first['msg']}"[:200]
