"""What answers look like: the response models of the contract, with an example of each value.

Rows go from the database to the wire without passing through these models; tests validate every route's answers against
them. A field that is listed here stays. Where one thing had several names, the one that every answer now has stands
beside the older one, which `renamed` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_DAY = [date(2024, 3, 9)]

PlayId = Annotated[
    str,
    Field(
        description="64 bits in decimal; a text, because programs that count in doubles would round it.",
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
    Field(description="Spotify's URI; null if no source gave one.", examples=["spotify:track:4uLU6hMCjMI75M1A2tKUQC"]),
]


class Answer(BaseModel):
    """Fields are what the contract says, and no others."""

    model_config = ConfigDict(extra="forbid")
    # Fields that a row has under another name, and those that are the same in every row.
    renamed: ClassVar[Mapping[str, str]] = {}
    fixed: ClassVar[Mapping[str, object]] = {}


class Document(Answer):
    version: int | None = Field(
        description="The version of the marts that this was read from; null before the first refresh.", examples=[17]
    )


class ListDocument(Document):
    next: str | None = Field(
        description="The cursor of the next page; null on the last one. The Link header holds the whole address.",
        examples=["kX3v-0hJ2c1mB9aQe7Lw8VsiMjAyNC0wMy0xMCIsMTdd"],
    )


class WholeDocument(Document):
    next: None = Field(default=None, description="Null, as `data` is the whole list.", examples=[None])


class Heard(Answer):
    plays: Count = Field(description="Plays of any length.")
    counted_plays: Count = Field(description="Plays that count: heard for 30 s, or half of something shorter.")
    ms_played: MsPlayed


class Me(Document):
    user_key: str = Field(examples=["ada"])
    display_name: str | None = Field(examples=["Ada"])
    time_zone: str = Field(description="The IANA zone of local dates and hours.", examples=["Europe/Berlin"])
    refreshed_at: datetime | None = Field(description="When the marts last changed for you.", examples=_AT)


class Span(Heard):
    name: Literal["today", "week", "month", "year", "all"] = Field(examples=["month"])
    first_day: date = Field(description="Of `all` 1970-01-01.", examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    days: Count = Field(description="Days with any play.")
    unknown_plays: Count = Field(description="Plays of unknown length: they add nothing to ms_played.")
    first_heard: date | None = Field(description="The first day with a play.", examples=_DAY)
    last_heard: date | None = Field(description="The last day with a play.", examples=_DAY)


class Summary(WholeDocument):
    today: date = Field(description="In your time zone.", examples=_DAY)
    data: list[Span] = Field(description="Today, this week, month and year, and everything.")


class Bucket(Heard):
    renamed = {"first_day": "starts_on"}

    first_day: date = Field(description="The first day of the day, week, month or year.", examples=_DAY)
    starts_on: date = Field(description="The same as `first_day`.", examples=_DAY)
    days: int = Field(ge=1, description="Days with any play.", examples=[5])
    unknown_plays: Count


class Timeline(ListDocument):
    grain: Literal["day", "week", "month", "year"]
    data: list[Bucket] = Field(description="The oldest first; a bucket without any play is not there.")


class ClockHour(Heard):
    weekday: int = Field(ge=1, le=7, description="1 is Monday.", examples=[6])
    hour: int = Field(ge=0, le=23, description="In your time zone.", examples=[21])


class Clock(WholeDocument):
    first_day: date = Field(examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    data: list[ClockHour] = Field(description="Hours of weekdays in which anything was heard.", max_length=168)


Share = Annotated[float, Field(ge=0, le=1, examples=[0.18])]
_LICENCE = Field(description="Under which genres may be passed on.", examples=["Genres: MusicBrainz, CC BY-NC-SA 3.0"])


class Genre(Heard):
    genre_id: EntityId
    name: str = Field(examples=["ambient"])
    share: Share = Field(
        description="Of the counted plays of which a genre is known, each divided among the genres of its track."
    )


class Genres(WholeDocument):
    period: Literal["week", "month", "year", "all"] = Field(examples=["year"])
    first_day: date = Field(description="In your time zone; of `all` 1970-01-01.", examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    counted_plays: Count = Field(description="Counted plays of tracks in the period.")
    known_plays: Count = Field(description="Those of them of which a genre is known.")
    licence: str = _LICENCE
    data: list[Genre] = Field(description="The most heard first; a play counts for each genre of its track.")


class GenreYear(Answer):
    year: int = Field(ge=2005, le=9999, examples=[2024])
    genre_id: EntityId
    name: str = Field(examples=["ambient"])
    counted_plays: Count
    share: Share = Field(description="Of the year's counted plays of which a genre is known.")


class GenreYears(WholeDocument):
    licence: str = _LICENCE
    data: list[GenreYear] = Field(description="The oldest year first; the genres that were heard most of all.")


class Decade(Answer):
    decade: int | None = Field(description="Its first year; null for tracks that nobody has dated.", examples=[1990])
    counted_plays: Count
    ms_played: MsPlayed
    tracks: Count


class Decades(WholeDocument):
    period: Literal["year", "all"] = Field(examples=["all"])
    first_day: date = Field(description="In your time zone; of `all` 1970-01-01.", examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    licence: str = Field(
        description="Under which first releases may be passed on.", examples=["First releases: MusicBrainz, CC0"]
    )
    data: list[Decade] = Field(description="The oldest first.")


class Rank(Answer):
    snapshot_date: date = Field(description="The UTC day on which Spotify said so.", examples=_DAY)
    rank: int = Field(ge=1, le=50, examples=[3])
    id: EntityId
    uri: Uri
    name: str | None = Field(examples=["Nina Simone"])
    artist_name: str | None = Field(description="Of a track.", examples=[None])


class Ranks(WholeDocument):
    kind: Literal["track", "artist"]
    term: Literal["short_term", "medium_term", "long_term"]
    data: list[Rank]


class Gap(Answer):
    gap_start: datetime = Field(examples=_AT)
    gap_end: datetime | None = Field(description="Null while nothing follows.", examples=_AT)
    reason: str = Field(description="Why plays may be missing.", examples=["between_archives"])
    is_evident: bool = Field(
        description="False where polling alone covers the span: then only plays heard offline can be missing."
    )


class CoveredSpan(Answer):
    kind: str = Field(description="music, podcasts, audiobooks or video.", examples=["music"])
    covered_from: datetime = Field(examples=_AT)
    covered_to: datetime = Field(examples=_AT)


class Login(Answer):
    status: Literal["active", "reauth_required", "paused"] = Field(examples=["active"])
    authorised_at: datetime = Field(examples=_AT)
    ends_at: datetime = Field(description="Spotify ends it then; sign in again before.", examples=_AT)
    days_left: Count
    refreshed_at: datetime = Field(examples=_AT)


class Coverage(WholeDocument):
    plays: Count
    unknown_plays: Count = Field(description="Plays of unknown length.")
    first_heard: date | None = Field(examples=_DAY)
    last_heard: date | None = Field(examples=_DAY)
    login: Login | None = Field(description="The login at Spotify by which plays are polled; null without one.")
    data: list[Gap] = Field(description="Spans in which plays of music may be missing, the oldest first.")
    covered: list[CoveredSpan] = Field(
        description="From when to when your archives hold everything of a kind; polling is not in it."
    )


class Play(Answer):
    renamed = {"name": "title", "artist_name": "creator", "album_name": "collection"}

    play_id: PlayId
    played_at: datetime = Field(description="When the source reports it: in archives its end.", examples=_AT)
    started_at: datetime | None = Field(description="Its beginning; null if its length is unknown.", examples=_AT)
    local_date: date = Field(description="The date of played_at in your time zone.", examples=_DAY)
    kind: Literal["track", "episode", "chapter", "unknown"] = Field(examples=["track"])
    is_counted: bool = Field(
        description="Whether it counts: heard for 30 s, or half of something shorter;"
        " polled plays of unknown length count too."
    )
    ms_played: int | None = Field(ge=0, description="Milliseconds heard; null if unknown.", examples=[201_000])
    content_id: EntityId | None = Field(description="Of a track, an episode or a chapter.")
    track_id: EntityId | None = Field(description="Null if it is no track.")
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
    source: str = Field(description="Which source's row stands for the play.", examples=["extended_history"])
    confirmed_by: str | None = Field(description="Other sources that report it, by commas.", examples=["spotify_api"])
    shuffle: bool | None
    skipped: bool | None
    offline: bool | None
    incognito: bool | None
    reported_at: datetime = Field(
        description="When its source reports it: played_at, unless a correction moved it.", examples=_AT
    )


class PlayList(ListDocument):
    data: list[Play]


class SearchItem(Heard):
    kind: Literal["artist", "album", "track", "show", "episode"] = Field(
        description="`episode` also for chapters, `show` also for books.", examples=["track"]
    )
    id: EntityId = Field(description="The artist_id, album_id or content_id; of a show that of one of its episodes.")
    uri: Uri
    name: str | None = Field(examples=["Feeling Good"])
    artist_id: EntityId | None = Field(description="Of a track or an album.")
    artist_name: str | None = Field(description="Of a chapter or book its author.", examples=["Nina Simone"])
    album_id: EntityId | None = Field(description="Of a track.")
    album_name: str | None = Field(description="Of an episode its show.", examples=["I Put A Spell On You"])
    is_similar: bool = Field(description="The name differs from what was asked for by a slip.", examples=[False])


class SearchResults(WholeDocument):
    data: list[SearchItem] = Field(
        description="Artists, albums, tracks, shows, episodes, each by match, then by plays."
    )


class TopItem(Heard):
    id: EntityId
    rank: int = Field(ge=1, description="Its place by counted plays, then time heard.", examples=[1])
    uri: Uri
    name: str | None = Field(examples=["Feeling Good"])
    first_played_at: datetime = Field(description="The first play in the period.", examples=_AT)
    last_played_at: datetime = Field(description="The last play in the period.", examples=_AT)


class TopTrack(TopItem):
    renamed = {"id": "track_id"}
    fixed = {"kind": "track"}

    kind: Literal["track"]
    track_id: EntityId = Field(description="The same as `id`.")
    artist_id: EntityId | None
    artist_name: str | None = Field(examples=["Nina Simone"])
    album_id: EntityId | None
    album_name: str | None = Field(examples=["I Put A Spell On You"])
    duration_ms: int | None = Field(ge=0, description="Null if unknown.", examples=[174_000])


class TopArtist(TopItem):
    renamed = {"id": "artist_id"}
    fixed = {"kind": "artist"}

    kind: Literal["artist"]
    artist_id: EntityId = Field(description="The same as `id`.")


class TopAlbum(TopItem):
    renamed = {"id": "album_id"}
    fixed = {"kind": "album"}

    kind: Literal["album"]
    album_id: EntityId = Field(description="The same as `id`.")
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
    renamed = {"first_day": "streak_start", "last_day": "streak_end"}

    first_day: date = Field(examples=_DAY)
    last_day: date = Field(examples=_DAY)
    streak_start: date = Field(description="The same as `first_day`.", examples=_DAY)
    streak_end: date = Field(description="The same as `last_day`.", examples=_DAY)
    days: int = Field(ge=1, examples=[12])
    plays: Count


class StreakList(ListDocument):
    current: Streak | None = Field(description="The one that still goes on: its last day is today or yesterday.")
    longest: Streak | None
    data: list[Streak]


class Month(Heard):
    renamed = {"first_day": "period_start"}

    first_day: date = Field(description="The first day of the month.", examples=_DAY)
    first_played_at: datetime = Field(examples=_AT)
    last_played_at: datetime = Field(examples=_AT)


class Entity(Document, Heard):
    id: EntityId
    uri: Uri
    name: str | None = Field(examples=["Nina Simone"])
    rank: int | None = Field(
        ge=1, description="Its place in your top list of all time; null beyond 1,000.", examples=[3]
    )
    first_played_at: datetime = Field(examples=_AT)
    last_played_at: datetime = Field(examples=_AT)
    months: list[Month] = Field(description="Months in which you played it, the oldest first.")
    last_plays: list[Play] = Field(description="The newest first.", max_length=10)
    cover: str | None = Field(
        description="The address of its picture, a track's that of its album; null if none is kept.",
        examples=["/v1/me/artists/271/cover"],
    )


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


class Import(Answer):
    renamed = {"id": "import_id"}

    id: int = Field(ge=1, examples=[12])
    import_id: int = Field(ge=1, description="The same as `id`.", examples=[12])
    archive_name: str = Field(examples=["my_spotify_data-3fa9c1d2.zip"])
    kind: str = Field(
        description=(
            "The source of its plays, such as `extended_history` or `lastfm_export`; `mixed` for several, also until it"
            " has been read, or if it cannot be read. New versions may know more sources."
        ),
        examples=["extended_history"],
    )
    status: Literal["pending", "running", "completed", "completed_with_errors", "failed"] = Field(
        description="`pending` until its turn comes.", examples=["running"]
    )
    attempt: Count = Field(description="Counters are those of the latest attempt.")
    error: str | None = Field(description="Why it failed, or what it waits for.", examples=[None])
    needs_confirmation: bool = Field(
        description="Another user here has this archive, or a part of it: it waits until its page confirms it.",
        examples=[False],
    )
    next_try_at: datetime | None = Field(description="A try has failed; the next one is not before.", examples=[None])
    warnings: list[str] = Field(examples=[[]])
    covered_from: datetime | None = Field(description="The first play in it.", examples=_AT)
    covered_to: datetime | None = Field(description="The last play in it.", examples=_AT)
    bytes_total: Count
    bytes_read: Count
    rows_read: Count = Field(description="Always the sum of the four below, once it is done.")
    rows_loaded: Count = Field(description="New plays.")
    rows_present: Count = Field(description="Already there, from an earlier import.")
    rows_identical: Count = Field(description="Several times in the archive itself.")
    rows_quarantined: Count = Field(description="Rows that cannot be plays; see the reasons.")
    created_at: datetime = Field(examples=_AT)
    started_at: datetime | None = Field(examples=_AT)
    heartbeat_at: datetime | None = Field(description="The last sign of life.", examples=_AT)
    finished_at: datetime | None = Field(examples=_AT)


class ImportFile(Answer):
    file_no: Count
    file_name: str = Field(examples=["Streaming_History_Audio_2023_4.json"])
    kind: str = Field(examples=["extended_audio"])
    status: Literal["running", "completed", "failed"]
    error: str | None = Field(examples=[None])
    error_offset: int | None = Field(
        ge=0, description="The byte of the unpacked file at which it broke.", examples=[None]
    )
    rows_read: Count
    rows_loaded: Count
    rows_present: Count
    rows_identical: Count
    rows_quarantined: Count
    covered_from: datetime | None = Field(examples=_AT)
    covered_to: datetime | None = Field(examples=_AT)


class QuarantineReason(Answer):
    reason: str = Field(examples=["time_out_of_range"])
    rows: int = Field(ge=1, examples=[3])
    example: str = Field(description="What is wrong with one of them.", examples=["1969-12-31T00:00:00Z"])


class ImportDetail(Import):
    files: list[ImportFile]
    quarantine: list[QuarantineReason]


class ImportList(Answer):
    data: list[Import] = Field(description="The newest first.")
    next: str | None = Field(description="The cursor of the next page; null on the last one.", examples=[None])
