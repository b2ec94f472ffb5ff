"""The response models of the contract, with an example of each value.

A field is never removed: where one was renamed, the old name is kept beside the new one (`renamed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from myi_pipeline.web.shown.contract import Answer

AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_DAY = [date(2024, 3, 9)]

PlayId = Annotated[
    str,
    Field(
        description="A 64-bit number as decimal text, because programs that use doubles would round it.",
        pattern=r"^-?[0-9]{1,19}$",
        examples=["-4611686018427387904"],
    ),
]
Count = Annotated[int, Field(ge=0, examples=[42])]
MsPlayed = Annotated[
    int, Field(ge=0, description="Milliseconds heard; plays of unknown length add nothing.", examples=[7_560_000])
]
EntityId = Annotated[int, Field(ge=1, examples=[271])]
Uri = Annotated[
    str | None,
    Field(description="Spotify's URI; null if no source has one.", examples=["spotify:track:4uLU6hMCjMI75M1A2tKUQC"]),
]


class Document(Answer):
    version: int | None = Field(
        description="The version of the marts that was read; null before the first refresh.", examples=[17]
    )


class ListDocument(Document):
    next: str | None = Field(
        description="Cursor of the next page; null on the last one. The Link header has the full address.",
        examples=["kX3v-0hJ2c1mB9aQe7Lw8VsiMjAyNC0wMy0xMCIsMTdd"],
    )


class WholeDocument(Document):
    next: None = Field(default=None, description="Always null: `data` is the whole list.", examples=[None])


class Heard(Answer):
    plays: Count = Field(description="Plays of any length.")
    counted_plays: Count = Field(description="Plays that count: heard for 30 s, or half the duration if that is less.")
    ms_played: MsPlayed


class Me(Document):
    user_key: str = Field(examples=["ada"])
    display_name: str | None = Field(examples=["Ada"])
    time_zone: str = Field(description="The IANA zone of local dates and hours.", examples=["Europe/Berlin"])
    refreshed_at: datetime | None = Field(description="When the marts last changed for you.", examples=AT)


class Span(Heard):
    name: Literal["today", "week", "month", "year", "all"] = Field(examples=["month"])
    first_day: date = Field(description="Of `all` 1970-01-01.", examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    days: Count = Field(description="Days with at least one play.")
    unknown_plays: Count = Field(description="Plays of unknown length; they add nothing to ms_played.")
    first_heard: date | None = Field(description="The first day with a play.", examples=_DAY)
    last_heard: date | None = Field(description="The last day with a play.", examples=_DAY)


class Summary(WholeDocument):
    today: date = Field(description="In your time zone.", examples=_DAY)
    data: list[Span] = Field(description="Today, this week, month and year, and everything.")


class Bucket(Heard):
    renamed: ClassVar[Mapping[str, str]] = {"first_day": "starts_on"}

    first_day: date = Field(description="The first day of the day, week, month or year.", examples=_DAY)
    starts_on: date = Field(description="The same as `first_day`.", examples=_DAY)
    days: int = Field(ge=1, description="Days with at least one play.", examples=[5])
    unknown_plays: Count


class Timeline(ListDocument):
    grain: Literal["day", "week", "month", "year"]
    data: list[Bucket] = Field(description="Oldest first; buckets without plays are left out.")


class ClockHour(Heard):
    weekday: int = Field(ge=1, le=7, description="1 is Monday.", examples=[6])
    hour: int = Field(ge=0, le=23, description="In your time zone.", examples=[21])


class Clock(WholeDocument):
    first_day: date = Field(examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    data: list[ClockHour] = Field(description="Hours of the week in which anything was heard.", max_length=168)


Share = Annotated[float, Field(ge=0, le=1, examples=[0.18])]
_LICENCE = Field(description="The licence of the genres.", examples=["Genres: MusicBrainz, CC BY-NC-SA 3.0"])


class Genre(Heard):
    renamed: ClassVar[Mapping[str, str]] = {"id": "genre_id"}

    id: EntityId
    genre_id: EntityId = Field(description="The same as `id`.")
    name: str = Field(examples=["ambient"])
    share: Share = Field(
        description="Share of the counted plays with a known genre, each divided among the genres of its track."
    )


class Genres(WholeDocument):
    period: Literal["week", "month", "year", "all"] = Field(examples=["year"])
    first_day: date = Field(description="In your time zone; 1970-01-01 for `all`.", examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    counted_plays: Count = Field(description="Counted plays of tracks in the period.")
    known_plays: Count = Field(description="How many of them have a known genre.")
    licence: str = _LICENCE
    data: list[Genre] = Field(description="Most heard first; a play counts for each genre of its track.")


class GenreYear(Answer):
    renamed: ClassVar[Mapping[str, str]] = {"id": "genre_id"}

    year: int = Field(ge=2005, le=9999, examples=[2024])
    id: EntityId = Field(description="Of the genre.")
    genre_id: EntityId = Field(description="The same as `id`.")
    name: str = Field(examples=["ambient"])
    counted_plays: Count
    share: Share = Field(description="Share of the year's counted plays with a known genre.")


class GenreYears(WholeDocument):
    licence: str = _LICENCE
    data: list[GenreYear] = Field(description="Oldest year first; only the genres heard most overall.")


class Decade(Answer):
    decade: int | None = Field(
        description="Its first year; null for tracks without a known release date.", examples=[1990]
    )
    counted_plays: Count
    ms_played: MsPlayed
    tracks: Count = Field(description="Songs; tracks of one recording count once.")


class Decades(WholeDocument):
    period: Literal["year", "all"] = Field(examples=["all"])
    first_day: date = Field(description="In your time zone; 1970-01-01 for `all`.", examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    licence: str = Field(
        description="The licence of the first release dates.", examples=["First releases: MusicBrainz, CC0"]
    )
    data: list[Decade] = Field(description="Oldest first.")


class Rank(Answer):
    snapshot_date: date = Field(description="The UTC day on which Spotify gave this ranking.", examples=_DAY)
    rank: int = Field(ge=1, le=50, examples=[3])
    id: EntityId
    uri: Uri
    name: str | None = Field(examples=["Nina Simone"])
    artist_name: str | None = Field(description="Tracks only.", examples=[None])
    recording_id: int | None = Field(
        description="Tracks only: the recording it belongs to; see `/v1/me/top`.", examples=[None]
    )


class Ranks(WholeDocument):
    kind: Literal["track", "artist"]
    term: Literal["short_term", "medium_term", "long_term"]
    data: list[Rank]


class Gap(Answer):
    gap_start: datetime = Field(examples=AT)
    gap_end: datetime | None = Field(description="Null if nothing follows yet.", examples=AT)
    reason: str = Field(description="Why plays may be missing.", examples=["between_archives"])
    is_evident: bool = Field(
        description="False if polling covers the span: then only plays heard offline can be missing."
    )


class CoveredSpan(Answer):
    kind: str = Field(description="music, podcasts, audiobooks or video.", examples=["music"])
    covered_from: datetime = Field(examples=AT)
    covered_to: datetime = Field(examples=AT)


class Login(Answer):
    status: Literal["active", "reauth_required", "paused"] = Field(examples=["active"])
    authorised_at: datetime = Field(examples=AT)
    ends_at: datetime = Field(description="Spotify ends the login then; sign in again before that.", examples=AT)
    days_left: Count
    refreshed_at: datetime = Field(examples=AT)


class Coverage(WholeDocument):
    plays: Count
    unknown_plays: Count = Field(description="Plays of unknown length.")
    first_heard: date | None = Field(examples=_DAY)
    last_heard: date | None = Field(examples=_DAY)
    login: Login | None = Field(description="The Spotify login used for polling; null if there is none.")
    data: list[Gap] = Field(description="Spans in which plays of music may be missing, oldest first.")
    covered: list[CoveredSpan] = Field(
        description="Spans in which your archives hold everything of a kind; polling is not included."
    )


class Play(Answer):
    renamed: ClassVar[Mapping[str, str]] = {"name": "title", "artist_name": "creator", "album_name": "collection"}

    play_id: PlayId
    played_at: datetime = Field(
        description="The time the source reports: the end of the play in Spotify's archives.", examples=AT
    )
    started_at: datetime | None = Field(description="When it began; null if its length is unknown.", examples=AT)
    local_date: date = Field(description="The date of played_at in your time zone.", examples=_DAY)
    kind: Literal["track", "episode", "chapter", "unknown"] = Field(examples=["track"])
    is_counted: bool = Field(
        description="Whether it counts: heard for 30 s or half the duration, whichever is less; polled and scrobbled"
        " plays of unknown length count too."
    )
    ms_played: int | None = Field(ge=0, description="Milliseconds heard; null if unknown.", examples=[201_000])
    content_id: EntityId | None = Field(description="The track, episode or chapter.")
    track_id: EntityId | None = Field(description="Null if it is not a track.")
    uri: Uri
    name: str | None = Field(examples=["Feeling Good"])
    artist_name: str | None = Field(
        description="The artist of a track, the author of a chapter.", examples=["Nina Simone"]
    )
    album_name: str | None = Field(description="The album, show or book.", examples=["I Put A Spell On You"])
    title: str | None = Field(description="The same as `name`.", examples=["Feeling Good"])
    creator: str | None = Field(description="The same as `artist_name`.", examples=["Nina Simone"])
    collection: str | None = Field(description="The same as `album_name`.", examples=["I Put A Spell On You"])
    artist_id: EntityId | None
    album_id: EntityId | None
    source: str = Field(description="The source whose row represents the play.", examples=["extended_history"])
    confirmed_by: str | None = Field(
        description="Other sources that report it, separated by commas.", examples=["spotify_api"]
    )
    shuffle: bool | None
    skipped: bool | None
    offline: bool | None
    incognito: bool | None
    reported_at: datetime = Field(
        description="The time its source reports: equals played_at unless a correction moved it.", examples=AT
    )


class PlayList(ListDocument):
    data: list[Play]


class SearchItem(Heard):
    kind: Literal["artist", "album", "track", "show", "episode"] = Field(
        description="`episode` includes chapters, `show` includes books.", examples=["track"]
    )
    id: EntityId = Field(description="The artist_id, album_id or content_id; for a show, that of one of its episodes.")
    uri: Uri
    name: str | None = Field(examples=["Feeling Good"])
    artist_id: EntityId | None = Field(description="Tracks and albums only.")
    artist_name: str | None = Field(description="For a chapter or book, its author.", examples=["Nina Simone"])
    album_id: EntityId | None = Field(description="Tracks only.")
    album_name: str | None = Field(description="For an episode, its show.", examples=["I Put A Spell On You"])
    is_similar: bool = Field(description="Whether the name matches only with a typo.", examples=[False])


class SearchResults(WholeDocument):
    data: list[SearchItem] = Field(
        description="Artists, albums, tracks, shows, episodes; each sorted by match, then by plays."
    )


class TopItem(Heard):
    id: EntityId
    rank: int = Field(ge=1, description="Rank by counted plays, then time heard.", examples=[1])
    uri: Uri
    name: str | None = Field(examples=["Feeling Good"])
    first_played_at: datetime = Field(description="The first play in the period.", examples=AT)
    last_played_at: datetime = Field(description="The last play in the period.", examples=AT)


class TopTrack(TopItem):
    renamed: ClassVar[Mapping[str, str]] = {"id": "track_id"}
    fixed: ClassVar[Mapping[str, object]] = {"kind": "track"}

    kind: Literal["track"]
    track_id: EntityId = Field(description="The same as `id`.")
    artist_id: EntityId | None
    artist_name: str | None = Field(examples=["Nina Simone"])
    album_id: EntityId | None
    album_name: str | None = Field(examples=["I Put A Spell On You"])
    duration_ms: int | None = Field(ge=0, description="Null if unknown.", examples=[174_000])


class TopArtist(TopItem):
    renamed: ClassVar[Mapping[str, str]] = {"id": "artist_id"}
    fixed: ClassVar[Mapping[str, object]] = {"kind": "artist"}

    kind: Literal["artist"]
    artist_id: EntityId = Field(description="The same as `id`.")


class TopAlbum(TopItem):
    renamed: ClassVar[Mapping[str, str]] = {"id": "album_id"}
    fixed: ClassVar[Mapping[str, object]] = {"kind": "album"}

    kind: Literal["album"]
    album_id: EntityId = Field(description="The same as `id`.")
    artist_id: EntityId | None
    artist_name: str | None = Field(examples=["Nina Simone"])


class TopShow(TopItem):
    renamed: ClassVar[Mapping[str, str]] = {"id": "show_id"}

    id: EntityId = Field(description="The content_id of one of its episodes or chapters that you played.")
    kind: Literal["podcast", "audiobook"]
    artist_name: str | None = Field(description="The author of an audiobook, if known.", examples=["Toni Morrison"])


class TopList(ListDocument):
    period: Literal["week", "month", "year", "all", "range"] = Field(examples=["month"])
    first_day: date = Field(description="In your time zone; 1970-01-01 for `all`.", examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)


class TopTracks(TopList):
    data: list[TopTrack]


class TopArtists(TopList):
    data: list[TopArtist]


class TopAlbums(TopList):
    data: list[TopAlbum]


class TopShows(TopList):
    data: list[TopShow]


class Session(Heard):
    renamed: ClassVar[Mapping[str, str]] = {"id": "session_id"}

    id: PlayId
    session_id: PlayId = Field(description="The same as `id`.")
    started_at: datetime = Field(examples=AT)
    ended_at: datetime = Field(examples=AT)
    local_date: date = Field(description="Date of its first play in your time zone.", examples=_DAY)


class SessionList(ListDocument):
    data: list[Session]


class First(Answer):
    kind: Literal["track", "artist", "album"] = Field(examples=["artist"])
    id: EntityId
    uri: Uri
    name: str | None = Field(examples=["Nina Simone"])
    artist_name: str | None = Field(description="Tracks and albums only.", examples=[None])
    first_played_at: datetime = Field(examples=AT)
    first_local_date: date = Field(examples=_DAY)
    play_id: PlayId


class FirstList(ListDocument):
    data: list[First]


class Streak(Answer):
    renamed: ClassVar[Mapping[str, str]] = {"first_day": "streak_start", "last_day": "streak_end"}

    first_day: date = Field(examples=_DAY)
    last_day: date = Field(examples=_DAY)
    streak_start: date = Field(description="The same as `first_day`.", examples=_DAY)
    streak_end: date = Field(description="The same as `last_day`.", examples=_DAY)
    days: int = Field(ge=1, examples=[12])
    plays: Count


class StreakList(ListDocument):
    current: Streak | None = Field(description="The streak that is still running: its last day is today or yesterday.")
    longest: Streak | None
    data: list[Streak]


class Month(Heard):
    renamed: ClassVar[Mapping[str, str]] = {"first_day": "period_start"}

    first_day: date = Field(description="The first day of the month.", examples=_DAY)
    first_played_at: datetime = Field(examples=AT)
    last_played_at: datetime = Field(examples=AT)


class Entity(Document, Heard):
    id: EntityId
    uri: Uri
    name: str | None = Field(examples=["Nina Simone"])
    rank: int | None = Field(ge=1, description="Its rank in your all-time top list; null beyond 1,000.", examples=[3])
    first_played_at: datetime = Field(examples=AT)
    last_played_at: datetime = Field(examples=AT)
    months: list[Month] = Field(description="Months in which you played it, oldest first.")
    last_plays: list[Play] = Field(description="Newest first.", max_length=10)
    cover: str | None = Field(
        description="Address of its picture (for a track, its album's); null if none is stored.",
        examples=["/v1/me/artists/271/cover"],
    )


class Episode(Heard):
    renamed: ClassVar[Mapping[str, str]] = {"id": "content_id", "name": "title"}

    id: EntityId
    uri: Uri
    name: str | None = Field(examples=["The Overstory, part 2"])
    unknown_plays: Count
    first_played_at: datetime = Field(examples=AT)
    last_played_at: datetime = Field(examples=AT)


class Show(Document, Heard):
    id: EntityId = Field(description="The id that was asked for: that of one of its episodes or chapters.")
    kind: Literal["podcast", "audiobook"]
    name: str = Field(examples=["Science Friday"])
    artist_name: str | None = Field(description="The author of an audiobook, if known.", examples=["Toni Morrison"])
    unknown_plays: Count
    first_played_at: datetime = Field(examples=AT)
    last_played_at: datetime = Field(examples=AT)
    episodes: list[Episode] = Field(description="Episodes or chapters that you played, the last one heard first.")


class Track(Entity):
    kind: Literal["track"]
    artist_id: EntityId | None
    artist_name: str | None = Field(examples=["Nina Simone"])
    album_id: EntityId | None
    album_name: str | None = Field(examples=["I Put A Spell On You"])
    duration_ms: int | None = Field(ge=0, description="Null if unknown.", examples=[174_000])


class Artist(Entity):
    kind: Literal["artist"]


class Album(Entity):
    kind: Literal["album"]
    artist_id: EntityId | None
    artist_name: str | None = Field(examples=["Nina Simone"])
