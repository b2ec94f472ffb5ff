"""What is told of a playlist migration and of every entry of it: by the API, and in the files that pages hand out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from myi_pipeline.playlists.migration.item_rows import Matched
from myi_pipeline.playlists.migration.views import MigrationView
from myi_pipeline.web.shown.contract import Answer, fields_of

_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_Count = Annotated[int, Field(ge=0, examples=[42])]


class MigrationFacts(Answer):
    renamed: ClassVar[Mapping[str, str]] = {"id": "migration_id", "account_id": "target_account_id"}

    id: int = Field(examples=[3])
    migration_id: int = Field(description="The same as `id`.", examples=[3])
    source_playlist_id: int = Field(description="The id of the playlist that is moved.", examples=[12])
    source_name: str = Field(examples=["Sunday morning"])
    account_id: int = Field(description="The linked account it is moved to.", examples=[2])
    provider: str = Field(description="The service of that account.", examples=["tidal"])
    account_name: str | None = Field(examples=["ana"])
    target_playlist: str | None = Field(
        description="The service's id of the target playlist; null until it is created.",
        examples=["6d6b4bd0-2c3d-4c2e-9f58-6c3f0d9b1a22"],
    )
    target_name: str = Field(examples=["Sunday morning"])
    is_equal: bool = Field(
        description="Whether the target ends up with exactly these entries; otherwise they are appended.",
        examples=[False],
    )
    state: str = Field(
        description="ordered: waiting to be planned; planned: nothing is written yet; applying; done: read back, and"
        " as planned; incomplete: something is left to do; cancelled; failed: it cannot be planned. More states may be"
        " added.",
        examples=["planned"],
    )
    ordered: str | None = Field(
        description="The step that is running or comes next, plan or apply; null until you order one.",
        examples=["apply"],
    )
    created_at: datetime = Field(examples=_AT)
    begun_at: datetime | None = Field(description="When applying began.", examples=_AT)
    finished_at: datetime | None = Field(examples=_AT)
    goes_on_at: datetime | None = Field(
        description="Resumes no earlier than this: a quota is used up, or an attempt failed.", examples=_AT
    )
    waits_for: str | None = Field(
        description="When or how it continues, if something is in its way.",
        examples=["it continues at 2024-03-10 08:00 UTC: today's quota is used up"],
    )
    reason: str | None = Field(
        description="What went wrong last.", examples=["the playlist has changed since it was planned: plan again"]
    )
    note: str | None = Field(
        description="What could not be looked up; some tracks may exist there anyway.",
        examples=["tracks were not looked up by name: this needs another permission"],
    )
    is_being_cancelled: bool = Field(examples=[False])
    entries: _Count = Field(description="Entries of the playlist; 0 until planned, like the counts below.")
    matched: _Count
    ambiguous: _Count
    missing: _Count
    unavailable: _Count
    decided: _Count = Field(description="By you.")
    refused: _Count = Field(description="Entries that the service dropped when they were added.")
    in_doubt: _Count = Field(description="Entries to review: neither matched nor decided, or refused.")


class ReportRow(Answer):
    position: int = Field(ge=0, description="Position in the playlist that is moved, from 0.", examples=[7])
    title: str = Field(examples=["Sinnerman"])
    artists: list[str] = Field(examples=[["Nina Simone"]])
    outcome: str = Field(description="matched, ambiguous, missing or unavailable.", examples=["matched"])
    matched_by: str | None = Field(description="isrc, score or decision; null: not matched.", examples=["isrc"])
    uri: str | None = Field(description="The track it was matched with.", examples=["tidal:track:77646169"])
    score: float = Field(ge=0, le=1, examples=[0.98])
    reason: str = Field(description="Code of the rule, or `decided`.", examples=["same_isrc"])
    is_decided: bool = Field(examples=[False])
    is_refused: bool = Field(description="The service dropped it when it was added.", examples=[False])


def facts_of(view: MigrationView, now: datetime) -> dict[str, Any]:
    (found,) = fields_of(MigrationFacts, [SimpleNamespace(**vars(view), waits_for=view.waits_for(now))])
    return found


def report_row(item: Matched) -> dict[str, Any]:
    by = None
    if item.outcome == "matched":
        by = "decision" if item.is_decided else "isrc" if item.reason == "same_isrc" else "score"
    (found,) = fields_of(ReportRow, [SimpleNamespace(**vars(item) | {"artists": list(item.artists), "matched_by": by})])
    return found
