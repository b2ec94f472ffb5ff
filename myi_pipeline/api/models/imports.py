"""What was handed in, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from myi_pipeline.api.models.common import Answer, Count

_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]


class Import(Answer):
    import_id: int = Field(ge=1, examples=[12])
    archive_name: str = Field(examples=["my_spotify_data-3fa9c1d2.zip"])
    kind: Literal["extended_history", "account_history", "mixed"]
    status: Literal["pending", "running", "completed", "completed_with_errors", "failed"] = Field(
        description="`pending` until its turn comes.", examples=["running"]
    )
    attempt: Count = Field(description="Counters are those of the latest attempt.")
    error: str | None = Field(description="Why it failed.", examples=[None])
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
