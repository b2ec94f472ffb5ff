"""Models of playlist migrations: answers and request bodies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from myi_pipeline.playlists.migration import orders
from myi_pipeline.playlists.migration.views import Progress
from myi_pipeline.web.api.models import Count
from myi_pipeline.web.api.parameters import no_truth
from myi_pipeline.web.reads.cursors import MOST_INT
from myi_pipeline.web.shown.contract import Answer
from myi_pipeline.web.shown.migration_reports import MigrationFacts, ReportRow, facts_of

# Field first: after a BeforeValidator the bounds are missing from the schema.
Number = Annotated[int, Field(ge=1, le=MOST_INT, examples=[12]), BeforeValidator(no_truth)]


class MigrationProgress(MigrationFacts):
    wanted: Count = Field(description="Entries that the target playlist will hold.")
    confirmed: Count = Field(description="How many of these are there already.")
    requests: Count = Field(description="Write requests sent.")


class MigrationPreview(Answer):
    additions: Count
    moves: Count
    removals: Count
    requests: Count = Field(description="Number of requests needed.")
    impossible: str | None = Field(
        description="Why it cannot be applied.", examples=["the service removes nothing from a playlist"]
    )


class MigrationDocument(MigrationProgress):
    preview: MigrationPreview | None = Field(
        description="While planned: what applying would write, judged by what the target held at the time."
    )


class MigrationList(Answer):
    next: str | None = Field(description="Cursor of the next page; null on the last one.", examples=["kX3v-0hJ2c"])
    data: list[MigrationFacts] = Field(description="Newest first.")


class Candidate(Answer):
    uri: str = Field(examples=["tidal:track:77646169"])
    title: str = Field(examples=["Sinnerman"])
    artists: list[str] = Field(examples=[["Nina Simone"]])
    album: str | None = Field(examples=["Pastel Blues"])
    duration_ms: int | None = Field(examples=[622_000])
    score: float = Field(ge=0, le=1, examples=[0.93])
    kinship: str = Field(description="How it relates to the wanted track.", examples=["other_version"])
    reason: str = Field(description="Code of the rule.", examples=["names_and_length"])


class MigrationItem(ReportRow):
    candidates: list[Candidate] = Field(description="Best first; not in the CSV table.")


class MigrationItems(Answer):
    next: str | None = Field(description="Cursor of the next page; null on the last one.", examples=["kX3v-0hJ2c"])
    data: list[MigrationItem] = Field(description="In order; a track that is listed twice appears twice.")


class MigrationReport(Answer):
    migration: MigrationFacts
    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])
    data: list[ReportRow] = Field(description="Every entry of the playlist, in order.")


class MigrationWish(BaseModel):
    """A playlist to move into a new one called `name` or an existing one given by `into` or `into_playlist_id`."""

    model_config = ConfigDict(extra="forbid")

    playlist_id: Number = Field(description="Its id in the list of playlists.")
    account_id: Number | None = Field(default=None, description="A linked account; needed if several could be meant.")
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=orders.LONGEST_NAME,
        description="Name of the new playlist; defaults to that of the one that is moved.",
        examples=["Sunday morning"],
    )
    into: str | None = Field(
        default=None,
        min_length=1,
        max_length=orders.LONGEST_ID,
        description="The service's id of an existing playlist.",
        examples=["6d6b4bd0-2c3d-4c2e-9f58-6c3f0d9b1a22"],
    )
    into_playlist_id: Number | None = Field(default=None, description="Its id here, if it has one.")
    is_equal: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Whether the existing playlist is to end up with nothing else."
    )


class MatchDecisionWish(BaseModel):
    """`is`: it is the track with this URI; `never`: it is not; `unavailable`: the service does not have it.

    A decision covers all entries of the same track and holds for later migrations. `leave_out` skips the entry this
    time; `take_back` undoes the latest decision."""

    model_config = ConfigDict(extra="forbid")

    position: Annotated[int, BeforeValidator(no_truth)] = Field(
        ge=0, le=MOST_INT, description="Position of the entry, from 0.", examples=[7]
    )
    decision: orders.Word = Field(examples=["is"])
    uri: str | None = Field(
        default=None,
        min_length=1,
        max_length=orders.LONGEST_ID,
        description="With `is` and `never`: a track of the service, by URI or web address.",
        examples=["tidal:track:77646169"],
    )


def progress_of(progress: Progress, now: datetime) -> dict[str, Any]:
    figures = {"wanted": progress.wanted, "confirmed": progress.confirmed, "requests": progress.requests}
    return {**facts_of(progress.migration, now), **figures}
