"""Answers of the Web API in both dialects: the fields that MYI reads; everything else is ignored.

Fields change type without notice (three changes of dialect in 2026), so an unreadable field is left out and counted,
without losing its object. Only a play's `track` and `played_at` are required, and only an item without them is refused.
A list without anything readable counts as no answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, get_origin

import structlog
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from myi_pipeline.errors import UnexpectedAnswer

log = structlog.get_logger(__name__)

FULL_PAGE = 50
# The same limit as for names in archives.
LONGEST_TEXT = 2_000
# No duration, position or size in an answer is this large.
_LARGEST_NUMBER = 10.0**15
_Model = TypeVar("_Model", bound="_Lenient")


def _text(value: object) -> object:
    """A numeric title ("1989") may come as a number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER:
        return str(value)
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ValueError("longer than any name")
    return value


def _whole(value: object) -> int:
    """A whole number from any form of number."""
    number = float(value) if isinstance(value, str) else value
    if isinstance(number, (int, float)) and not isinstance(number, bool) and abs(number) < _LARGEST_NUMBER:
        return round(number)
    raise ValueError("not a whole number")


Text = Annotated[str, BeforeValidator(_text)]
Whole = Annotated[int, BeforeValidator(_whole)]


class _Lenient(BaseModel):
    """Leaves out each unreadable field except `required`; from lists and mappings, the unreadable elements."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
    required: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="wrap")
    @classmethod
    def _leave_out_what_cannot_be_read(
        cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> object:
        name = info.field_name
        if name is None or name in cls.required:
            return handler(value)
        field, label = cls.model_fields[name], f"{cls.__name__.lower()}.{name}"
        default = field.get_default(call_default_factory=True)
        container = get_origin(field.annotation)
        if container is tuple and isinstance(value, dict):
            value = [value]  # an object instead of a list is its only element
        if container is tuple and isinstance(value, list):
            return _readable([each for each in value if each is not None], handler, label, info)
        if container is Mapping and isinstance(value, dict):
            readable = [_readable({key: each}, handler, label, info) for key, each in value.items() if each is not None]
            return {key: each for part in readable for key, each in part.items()}
        if value is None:
            return default
        try:
            return handler(value)
        except ValidationError:
            _count(label, info)
            return default


def _readable(value: Any, handler: ValidatorFunctionWrapHandler, label: str, info: ValidationInfo) -> Any:
    """A list or mapping without its unreadable elements."""
    try:
        return handler(value)
    except ValidationError:
        _count(label, info)
    if isinstance(value, dict):
        return {}
    kept: list[object] = []
    for each in value:
        try:
            kept.extend(handler([each]))
        except ValidationError:
            continue
    return tuple(kept)


def _count(label: str, info: ValidationInfo) -> None:
    if isinstance(info.context, set):
        info.context.add(label)


class Image(_Lenient):
    required = frozenset({"url"})

    url: str
    width: Whole | None = None
    height: Whole | None = None


class Artist(_Lenient):
    id: Text | None = None
    uri: Text | None = None
    name: Text | None = None
    images: tuple[Image, ...] = ()
    # Only the old dialect has them.
    genres: tuple[str, ...] = ()


class Album(_Lenient):
    id: Text | None = None
    uri: Text | None = None
    name: Text | None = None
    album_type: Text | None = None
    artists: tuple[Artist, ...] = ()
    images: tuple[Image, ...] = ()
    release_date: Text | None = None
    release_date_precision: Text | None = None
    total_tracks: Whole | None = None
    external_ids: Mapping[str, Text] = Field(default_factory=dict)


class LinkedFrom(_Lenient):
    """The requested track, if a different one was returned. Old dialect."""

    id: Text | None = None
    uri: Text | None = None


class Track(_Lenient):
    """`duration_ms` in milliseconds. `type` is `track` or `episode`."""

    id: Text | None = None
    uri: Text | None = None
    name: Text | None = None
    type: Text | None = None
    duration_ms: Whole | None = None
    explicit: bool | None = None
    is_local: bool | None = None
    disc_number: Whole | None = None
    track_number: Whole | None = None
    artists: tuple[Artist, ...] = ()
    album: Album | None = None
    external_ids: Mapping[str, Text] = Field(default_factory=dict)
    linked_from: LinkedFrom | None = None

    @property
    def isrc(self) -> str | None:
        return self.external_ids.get("isrc")


class PlayContext(_Lenient):
    type: Text | None = None
    uri: Text | None = None


class PlayItem(_Lenient):
    """One play. `played_at` is Spotify's text: whether it is start or end differs by device."""

    required = frozenset({"track", "played_at"})

    track: Track
    played_at: Text
    context: PlayContext | None = None


class Show(_Lenient):
    name: Text | None = None
    publisher: Text | None = None


class PlayingItem(Track):
    """A track, or an episode with its show."""

    show: Show | None = None


class CurrentlyPlaying(_Lenient):
    """What a player reports now.

    `item` is None for advertisements and in a private session. `currently_playing_type` is `track`, `episode`, `ad` or
    `unknown`."""

    item: PlayingItem | None = None
    is_playing: bool | None = None
    progress_ms: Whole | None = None
    currently_playing_type: Text | None = None


class Me(_Lenient):
    """The account. `account_id` is immutable, and missing in the old dialect."""

    account_id: Text | None = None
    id: Text | None = None
    display_name: Text | None = None


class PlaylistOwner(_Lenient):
    id: Text | None = None
    display_name: Text | None = None


class ItemCount(_Lenient):
    total: Whole | None = None


class Playlist(_Lenient):
    """A playlist without its entries.

    `items` (in the old dialect `tracks`) counts them, and is missing if they may not be read. `public`: it is on its
    owner's profile.
    """

    required = frozenset({"id"})

    id: Text
    name: Text | None = None
    description: Text | None = None
    public: bool | None = None
    collaborative: bool | None = None
    owner: PlaylistOwner | None = None
    images: tuple[Image, ...] = ()
    snapshot_id: Text | None = None
    items: ItemCount | None = None
    tracks: ItemCount | None = None


class ListedItem(PlayingItem):
    """A track, an episode or a local file on a playlist."""


class PlaylistItem(_Lenient):
    """An entry.

    Its content is `item` or, in the old dialect and for liked songs, `track`; None if it no longer exists.
    """

    added_at: Text | None = None
    added_by: PlaylistOwner | None = None
    is_local: bool | None = None
    item: ListedItem | None = None
    track: ListedItem | None = None


@dataclass(frozen=True)
class BadItem:
    """An unreadable item of a list: its position, why (without its values), and the item."""

    index: int
    detail: str
    item: object


@dataclass(frozen=True)
class Entry:
    """A readable item of a page and its position."""

    index: int
    play: PlayItem


@dataclass(frozen=True)
class RecentlyPlayedPage:
    """The window of the last plays, newest first as a rule. `is_full` means that older plays may have left it.

    `unread`: fields that were left out, such as `track.duration_ms`, with the number of items for each, most first.
    """

    entries: tuple[Entry, ...]
    bad: tuple[BadItem, ...] = ()
    unread: tuple[tuple[str, int], ...] = ()

    @property
    def count(self) -> int:
        return len(self.entries) + len(self.bad)

    @property
    def is_full(self) -> bool:
        return self.count >= FULL_PAGE


@dataclass(frozen=True)
class TopPage:
    """A top list: (rank from 1, item). An unreadable item leaves its rank empty."""

    tracks: tuple[tuple[int, Track], ...] = ()
    artists: tuple[tuple[int, Artist], ...] = ()
    bad: tuple[BadItem, ...] = ()


def recently_played_page(document: Mapping[str, Any], *, what: str) -> RecentlyPlayedPage:
    """Raises UnexpectedAnswer if there is no list of items, or none of them is readable."""
    good, bad, unread = read_list(PlayItem, document, what=what)
    require_any(good, bad, what=what)
    return RecentlyPlayedPage(tuple(Entry(index, item) for index, item in good), bad, tuple(unread.most_common()))


def read_one(model: type[_Model], document: object, *, what: str) -> _Model:
    """Raises UnexpectedAnswer, without repeating values, if nothing in the answer can be read."""
    unread: set[str] = set()
    try:
        found = model.model_validate(document, context=unread)
    except ValidationError as error:
        raise UnexpectedAnswer(f"{what}: Spotify's answer has another shape ({_why(error)})") from None
    if found == model.model_construct():
        raise UnexpectedAnswer(f"{what}: nothing in Spotify's answer can be read")
    if unread:
        log.info("spotify_fields_left_out", request=what, fields=sorted(unread))
    return found


def read_list(
    model: type[_Model], document: Mapping[str, Any], *, what: str
) -> tuple[list[tuple[int, _Model]], tuple[BadItem, ...], Counter[str]]:
    """The readable items of `items` with their index, the unreadable ones, and how often each field was left out.

    Raises UnexpectedAnswer if there is no list.
    """
    items = document.get("items")
    if not isinstance(items, list):
        raise UnexpectedAnswer(f"{what}: Spotify's answer holds no list of items")
    good: list[tuple[int, _Model]] = []
    bad: list[BadItem] = []
    unread: Counter[str] = Counter()
    for index, item in enumerate(items):
        left_out: set[str] = set()
        try:
            good.append((index, model.model_validate(item, context=left_out)))
        except ValidationError as error:
            bad.append(BadItem(index, _why(error), item))
        unread.update(left_out)
    if unread:
        log.info("spotify_fields_left_out", request=what, fields=dict(unread))
    return good, tuple(bad), unread


def require_any(good: Sequence[object], bad: Sequence[BadItem], *, what: str) -> None:
    """Raises UnexpectedAnswer for a list whose items are all unreadable."""
    if bad and not good:
        raise UnexpectedAnswer(f"{what}: none of its {len(bad)} items could be understood; the first: {bad[0].detail}")


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'whole'}: {first['msg']}"[:200]
