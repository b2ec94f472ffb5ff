"""Answers that are no lists in pages."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from myi_pipeline.api.models.common import Answer, Count, Document, EntityId, Heard, ListDocument, Uri

_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_DAY = [date(2024, 3, 9)]


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
    unknown_plays: Count = Field(description="Plays whose length nobody knows: they add nothing to ms_played.")
    first_heard: date | None = Field(description="The first day with a play.", examples=_DAY)
    last_heard: date | None = Field(description="The last day with a play.", examples=_DAY)


class Summary(Document):
    today: date = Field(description="In your time zone.", examples=_DAY)
    data: list[Span] = Field(description="Today, this week, month and year, and everything.")


class Bucket(Heard):
    starts_on: date = Field(description="The first day of the day, week, month or year.", examples=_DAY)
    days: int = Field(ge=1, description="Days with any play.", examples=[5])
    unknown_plays: Count


class Timeline(ListDocument):
    grain: Literal["day", "week", "month", "year"]
    data: list[Bucket] = Field(description="The oldest first; a bucket without any play is not there.")


class ClockHour(Heard):
    weekday: int = Field(ge=1, le=7, description="1 is Monday.", examples=[6])
    hour: int = Field(ge=0, le=23, description="In your time zone.", examples=[21])


class Clock(Document):
    first_day: date = Field(examples=_DAY)
    last_day: date | None = Field(description="Null for `all`.", examples=_DAY)
    data: list[ClockHour] = Field(description="Hours of weekdays with any play.", max_length=168)


class Rank(Answer):
    snapshot_date: date = Field(description="The UTC day on which Spotify said so.", examples=_DAY)
    rank: int = Field(ge=1, le=50, examples=[3])
    id: EntityId
    uri: Uri
    name: str | None = Field(examples=["Nina Simone"])
    artist_name: str | None = Field(description="Of a track.", examples=[None])


class Ranks(Document):
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


class Login(Answer):
    status: Literal["active", "reauth_required", "paused"] = Field(examples=["active"])
    authorised_at: datetime = Field(examples=_AT)
    ends_at: datetime = Field(description="Spotify ends it then; sign in again before.", examples=_AT)
    days_left: Count
    refreshed_at: datetime = Field(examples=_AT)


class Coverage(Document):
    plays: Count
    unknown_plays: Count = Field(description="Plays whose length nobody knows.")
    first_heard: date | None = Field(examples=_DAY)
    last_heard: date | None = Field(examples=_DAY)
    login: Login | None = Field(description="The login at Spotify by which plays are polled; null without one.")
    data: list[Gap] = Field(description="Spans in which plays may be missing, the oldest first.")
