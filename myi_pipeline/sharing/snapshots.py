"""The stored content of share reports: a document with a `version` that determines how it is read.

Released versions stay readable for ever: a later one gets its own model, and `read_snapshot` converts older ones. Names
are truncated and counts limited here, so that reports fit on a page. Documents from the database are validated again
when they are read, because they are shown to strangers.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from myi_pipeline.errors import Permanent
from myi_pipeline.sharing.rules import Kind

VERSION: Literal[1] = 1
MOST_ROWS = 50
LONGEST_NAME = 100
_LONGEST_SENTENCE = 600
_MOST_BARS = 100
_COLOUR = r"^#[0-9a-f]{6}$"
# As in cards: moves, lines, arcs and closing, with numbers.
_PATH = r"^[MLAZ0-9., -]{1,400}$"


class SnapshotUnreadable(Permanent):
    """It was made by a later version of MYI, or is not a snapshot."""


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _short(value: object) -> object:
    return cut(value, LONGEST_NAME) if isinstance(value, str) else value


def _sentence(value: object) -> object:
    return cut(value, _LONGEST_SENTENCE) if isinstance(value, str) else value


Name = Annotated[str, BeforeValidator(_short)]
Count = Annotated[int, Field(ge=0)]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figures(_Kept):
    """Totals. `known_days` counts those of the `asked_days` in which no plays can be missing."""

    ms_played: Count
    plays: Count
    days: Count
    unknown_plays: Count
    known_days: Count
    asked_days: Count


class Row(_Kept):
    """`plays` (counted ones) and `ms_played` are None unless figures were chosen."""

    rank: Annotated[int, Field(ge=1)]
    name: Name | None
    artist: Name | None = None
    plays: Count | None = None
    ms_played: Count | None = None


class TopList(_Kept):
    what: Literal["artists", "tracks", "albums"]
    ranked_by: Literal["plays", "time"]
    rows: Annotated[tuple[Row, ...], Field(max_length=MOST_ROWS)]


class Bar(_Kept):
    starts_on: date
    ms_played: Count


class OverTime(_Kept):
    by: Literal["day", "month", "year"]
    bars: Annotated[tuple[Bar, ...], Field(max_length=_MOST_BARS)]


class CardText(_Kept):
    x: float
    y: float
    text: Name
    size: int
    weight: int
    anchor: Literal["start", "middle", "end"]
    is_soft: bool


class CardBar(_Kept):
    x: float
    y: float
    width: float
    height: float
    is_soft: bool


class CardShape(_Kept):
    path: Annotated[str, Field(pattern=_PATH)]
    is_soft: bool


class CardColours(_Kept):
    ground: Annotated[str, Field(pattern=_COLOUR)]
    ink: Annotated[str, Field(pattern=_COLOUR)]
    soft: Annotated[str, Field(pattern=_COLOUR)]
    accent: Annotated[str, Field(pattern=_COLOUR)]


class StoryCard(_Kept):
    """A drawn card of a story."""

    name: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]
    says: Annotated[str, BeforeValidator(_sentence)]
    colours: CardColours
    texts: Annotated[tuple[CardText, ...], Field(max_length=40)]
    bars: Annotated[tuple[CardBar, ...], Field(max_length=20)] = ()
    shapes: Annotated[tuple[CardShape, ...], Field(max_length=30)] = ()


class Snapshot(_Kept):
    """A report about the days from `first_day` to `last_day`; parts that were not chosen are None or empty.

    `label` names the period; `known_to` is the last day included, if the period was not over; `owner` is the displayed
    name.
    """

    version: Literal[1] = VERSION
    kind: Kind
    label: Name
    first_day: date
    last_day: date
    known_to: date | None = None
    taken_on: date
    owner: Name | None = None
    figures: Figures | None = None
    lists: Annotated[tuple[TopList, ...], Field(max_length=3)] = ()
    over_time: OverTime | None = None
    clock: Annotated[tuple[Count, ...], Field(min_length=24, max_length=24)] | None = None
    cards: Annotated[tuple[StoryCard, ...], Field(max_length=12)] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.figures or self.lists or self.over_time or self.clock or self.cards)


def as_document(snapshot: Snapshot) -> dict[str, Any]:
    """The document to store."""
    return snapshot.model_dump(mode="json")


def read_snapshot(document: object) -> Snapshot:
    """Raises SnapshotUnreadable."""
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION:
        raise SnapshotUnreadable("this report was made by another version of MYI, which this one cannot read")
    try:
        return Snapshot.model_validate(document)
    except ValidationError as error:
        raise SnapshotUnreadable(f"this report cannot be read: {error.error_count()} of its values are wrong") from None
