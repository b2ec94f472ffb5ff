"""Items of lists, and the lists themselves."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from myi_pipeline.api.models.common import Answer, Count, EntityId, Heard, ListDocument, PlayId, Uri

_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_DAY = [date(2024, 3, 9)]


class Play(Answer):
    play_id: PlayId
    played_at: datetime = Field(description="When the source reports it: in archives its end.", examples=_AT)
    started_at: datetime | None = Field(description="Its beginning; null if its length is unknown.", examples=_AT)
    local_date: date = Field(description="The date of played_at in your time zone.", examples=_DAY)
    kind: Literal["track", "episode", "chapter", "unknown"] = Field(examples=["track"])
    is_counted: bool = Field(description="Whether it counts: heard for 30 s, or half of something shorter.")
    ms_played: int | None = Field(ge=0, description="Milliseconds heard; null if unknown.", examples=[201_000])
    content_id: EntityId | None
    uri: Uri
    title: str | None = Field(examples=["Feeling Good"])
    creator: str | None = Field(description="The artist of a track, the author of a chapter.", examples=["Nina Simone"])
    collection: str | None = Field(description="The album, show or book.", examples=["I Put A Spell On You"])
    artist_id: EntityId | None
    album_id: EntityId | None
    source: str = Field(description="Which source's row stands for the play.", examples=["extended_history"])
    confirmed_by: str | None = Field(description="Other sources that report it, by commas.", examples=["spotify_api"])
    shuffle: bool | None
    skipped: bool | None
    offline: bool | None
    incognito: bool | None


class PlayList(ListDocument):
    data: list[Play]


class TopItem(Heard):
    rank: int = Field(ge=1, description="Its place by counted plays, then time heard.", examples=[1])
    uri: Uri
    name: str | None = Field(examples=["Feeling Good"])
    first_played_at: datetime = Field(description="The first play in the period.", examples=_AT)
    last_played_at: datetime = Field(description="The last play in the period.", examples=_AT)


class TopTrack(TopItem):
    track_id: EntityId
    artist_id: EntityId | None
    artist_name: str | None = Field(examples=["Nina Simone"])
    album_id: EntityId | None
    album_name: str | None = Field(examples=["I Put A Spell On You"])
    duration_ms: int | None = Field(ge=0, description="Null if unknown.", examples=[174_000])


class TopArtist(TopItem):
    artist_id: EntityId


class TopAlbum(TopItem):
    album_id: EntityId
    artist_id: EntityId | None
    artist_name: str | None = Field(examples=["Nina Simone"])


class TopList(ListDocument):
    period: Literal["week", "month", "year", "all", "range"] = Field(examples=["month"])
    first_day: date = Field(description="In your time zone; of `all` 1970-01-01.", examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)


class TopTracks(TopList):
    data: list[TopTrack]


class TopArtists(TopList):
    data: list[TopArtist]


class TopAlbums(TopList):
    data: list[TopAlbum]


class Session(Heard):
    session_id: PlayId
    started_at: datetime = Field(examples=_AT)
    ended_at: datetime = Field(examples=_AT)
    local_date: date = Field(description="The date of its first play in your time zone.", examples=_DAY)


class SessionList(ListDocument):
    data: list[Session]


class First(Answer):
    kind: Literal["track", "artist", "album"] = Field(examples=["artist"])
    id: EntityId
    uri: Uri
    name: str | None = Field(examples=["Nina Simone"])
    artist_name: str | None = Field(description="Of a track or an album.", examples=[None])
    first_played_at: datetime = Field(examples=_AT)
    first_local_date: date = Field(examples=_DAY)
    play_id: PlayId


class FirstList(ListDocument):
    data: list[First]


class Streak(Answer):
    streak_start: date = Field(examples=_DAY)
    streak_end: date = Field(examples=_DAY)
    days: int = Field(ge=1, examples=[12])
    plays: Count


class StreakList(ListDocument):
    current: Streak | None = Field(description="The one that still goes on: its last day is today or yesterday.")
    longest: Streak | None
    data: list[Streak]
