"""What the API says about archives that were handed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from myi_pipeline.web.api.models import AT, Count
from myi_pipeline.web.shown.contract import Answer


class Import(Answer):
    renamed: ClassVar[Mapping[str, str]] = {"id": "import_id"}

    id: int = Field(ge=1, examples=[12])
    import_id: int = Field(ge=1, description="The same as `id`.", examples=[12])
    archive_name: str = Field(examples=["my_spotify_data-3fa9c1d2.zip"])
    kind: str = Field(
        description=(
            "The source of its plays, such as `extended_history` or `lastfm_export`; `mixed` if there are several,"
            " before it has been read, or if it cannot be read. More sources may be added."
        ),
        examples=["extended_history"],
    )
    status: Literal["pending", "running", "completed", "completed_with_errors", "failed"] = Field(
        description="`pending` until its turn comes.", examples=["running"]
    )
    attempt: Count = Field(description="Counters below are those of the latest attempt.")
    error: str | None = Field(description="Why it failed, or what it is waiting for.", examples=[None])
    needs_confirmation: bool = Field(
        description="Another user here has this archive or part of it: it waits until you confirm it on its page.",
        examples=[False],
    )
    next_try_at: datetime | None = Field(
        description="An attempt failed; the next one is no earlier than this.", examples=[None]
    )
    warnings: list[str] = Field(examples=[[]])
    covered_from: datetime | None = Field(description="The first play in it.", examples=AT)
    covered_to: datetime | None = Field(description="The last play in it.", examples=AT)
    bytes_total: Count
    bytes_read: Count
    rows_read: Count = Field(description="Equals the sum of the four below once the import is done.")
    rows_loaded: Count = Field(description="New plays.")
    rows_present: Count = Field(description="Already stored by an earlier import.")
    rows_identical: Count = Field(description="Repeated within the archive itself.")
    rows_quarantined: Count = Field(description="Rows that cannot be plays; see the reasons.")
    created_at: datetime = Field(examples=AT)
    started_at: datetime | None = Field(examples=AT)
    heartbeat_at: datetime | None = Field(description="When it last reported progress.", examples=AT)
    finished_at: datetime | None = Field(examples=AT)


class ImportFile(Answer):
    file_no: Count
    file_name: str = Field(examples=["Streaming_History_Audio_2023_4.json"])
    kind: str = Field(examples=["extended_audio"])
    status: Literal["running", "completed", "failed"]
    error: str | None = Field(examples=[None])
    error_offset: int | None = Field(
        ge=0, description="Byte offset in the unpacked file at which reading failed.", examples=[None]
    )
    rows_read: Count
    rows_loaded: Count
    rows_present: Count
    rows_identical: Count
    rows_quarantined: Count
    covered_from: datetime | None = Field(examples=AT)
    covered_to: datetime | None = Field(examples=AT)


class QuarantineReason(Answer):
    reason: str = Field(examples=["time_out_of_range"])
    rows: int = Field(ge=1, examples=[3])
    example: str = Field(description="An example of what is wrong.", examples=["1969-12-31T00:00:00Z"])


class ImportDetail(Import):
    files: list[ImportFile]
    quarantine: list[QuarantineReason]


class ImportList(Answer):
    data: list[Import] = Field(description="Newest first.")
    next: str | None = Field(description="Cursor of the next page; null on the last one.", examples=[None])
