"""A dry run: what an import of an archive would come to, as far as the archive alone can tell.

Belongs here: reading and judging every row. Not here: importing. Invariant: needs no database and writes nothing.
"""

from __future__ import annotations

import time
from collections import Counter

from myi_pipeline.core.errors import BrokenFile
from myi_pipeline.core.plays import QuarantinedRow
from myi_pipeline.history import HistoryArchive
from myi_pipeline.services.import_results import FileResult, ImportProgress, ImportResult, ProgressListener
from myi_pipeline.warehouse.loading.accounting import Accounting, Span


def judge_archive(
    archive: HistoryArchive, *, user_key: str, on_progress: ProgressListener | None = None
) -> ImportResult:
    """A dry run: every row is read and judged, nothing is written."""
    listener = on_progress or (lambda _: None)
    started = time.perf_counter()
    results: list[FileResult] = []
    unknown_keys: Counter[str] = Counter()
    bytes_total, bytes_done = sum(file.size for file in archive.files), 0
    for file in archive.files:
        reader = archive.read(file)
        reasons: Counter[str] = Counter()
        span, error = Span(), None
        try:
            for item in reader:
                if isinstance(item, QuarantinedRow):
                    reasons[item.reason] += 1
                else:
                    span += Span(item.played_at, item.played_at)
        except BrokenFile as broken:
            error = broken
        bytes_done += file.size
        listener(ImportProgress("reading", bytes_done, bytes_total, reader.rows_read, None))
        unknown_keys.update(reader.unknown_keys)
        results.append(
            FileResult(
                file_no=file.file_no,
                name=file.name,
                kind=str(file.kind),
                accounting=Accounting(read=reader.rows_read, quarantined=sum(reasons.values())),
                span=span,
                reasons=dict(reasons),
                error=str(error) if error else None,
                error_offset=error.offset if error else None,
            )
        )
    return ImportResult(
        import_id=None,
        user_key=user_key,
        archive_name=archive.name,
        sha256=archive.sha256.hex(),
        kind=archive.kind,
        status="dry_run",
        attempt=0,
        files=tuple(results),
        skipped_members=tuple(archive.skipped),
        unknown_keys=dict(unknown_keys),
        warnings=(),
        seconds={"reading": time.perf_counter() - started},
    )
