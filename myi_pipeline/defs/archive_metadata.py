"""An import as Dagster metadata: figures, and a small table.

Nothing here is secret or personal: names of archives and files, counts, times, reasons.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from myi_pipeline.archives.accounting import ImportResult
from myi_pipeline.archives.list_imports import ImportDetail
from myi_pipeline.archives.uploads.import_uploads import FailedArchive, UserImports

Metadata = dict[str, Any]
_TOP_REASONS = 5
_ROWS_OF_TABLE = 40


def metadata_of_imports(imports: UserImports) -> Metadata:
    """All that one user's archives brought in one run."""
    results = imports.results
    total = sum((result.accounting for result in results[1:]), results[0].accounting) if results else None
    span = sum((result.span for result in results[1:]), results[0].span) if results else None
    seconds = sum(sum(result.seconds.values()) for result in results)
    reasons: Counter[str] = Counter()
    for result in results:
        reasons.update(result.reasons)
    metadata: Metadata = {"archives": len(results), "table": dg.MetadataValue.md(_table(results, imports.failures))}
    if total is not None and span is not None:
        metadata |= _counts(
            read=total.read,
            loaded=total.loaded,
            present=total.present,
            identical=total.identical,
            quarantined=total.quarantined,
        )
        metadata |= _range(span.first, span.last)
        metadata["rows_per_second"] = round(total.read / seconds) if seconds else 0
        metadata["import_ids"] = [result.import_id for result in results]
    metadata |= _reasons(reasons)
    warnings = [warning for result in results for warning in result.warnings]
    for name, texts in (("warnings", warnings), ("not in the uploads folder", imports.gone)):
        if texts:
            metadata[name] = dg.MetadataValue.md("\n".join(f"- {text}" for text in texts))
    return metadata


def metadata_of_detail(detail: ImportDetail) -> Metadata:
    """What a finished import, read back from the database, says about itself."""
    summary = detail.summary
    seconds = (
        (summary.finished_at - summary.started_at).total_seconds() if summary.finished_at and summary.started_at else 0
    )
    rows = [
        _row(file.file_name, file.rows_read, file.rows_loaded, file.rows_present, file.rows_identical,
             file.rows_quarantined, file.error or file.status)
        for file in detail.files
    ]  # fmt: skip
    metadata: Metadata = {"archives": 1, "archive": summary.archive_name, "import_ids": [summary.import_id]}
    metadata |= _counts(
        read=summary.rows_read,
        loaded=summary.rows_loaded,
        present=summary.rows_present,
        identical=summary.rows_identical,
        quarantined=summary.rows_quarantined,
    )
    metadata |= _range(summary.covered_from, summary.covered_to)
    metadata["rows_per_second"] = round(summary.rows_read / seconds) if seconds else 0
    metadata |= _reasons({reason.reason: reason.rows for reason in detail.quarantine})
    metadata["table"] = dg.MetadataValue.md(_markdown("file", rows))
    if summary.warnings:
        metadata["warnings"] = dg.MetadataValue.md("\n".join(f"- {text}" for text in summary.warnings))
    return metadata


def _counts(*, read: int, loaded: int, present: int, identical: int, quarantined: int) -> Metadata:
    return {
        "dagster/row_count": loaded,
        "rows_read": read,
        "rows_loaded": loaded,
        "rows_present": present,
        "rows_identical": identical,
        "rows_quarantined": quarantined,
        "accounting_closes": read == loaded + present + identical + quarantined,
    }


def _range(first: datetime | None, last: datetime | None) -> Metadata:
    if first is None or last is None:
        return {}
    return {
        "first_played_at": dg.MetadataValue.timestamp(first),
        "last_played_at": dg.MetadataValue.timestamp(last),
    }


def _reasons(reasons: Mapping[str, int]) -> Metadata:
    if not reasons:
        return {}
    top = Counter(dict(reasons)).most_common(_TOP_REASONS)
    return {"top_quarantine_reasons": dg.MetadataValue.json(dict(top))}


def _table(results: Sequence[ImportResult], failures: Sequence[FailedArchive]) -> str:
    rows = []
    for result in results:
        total = result.accounting
        rows.append(_row(result.archive_name, total.read, total.loaded, total.present, total.identical,
                         total.quarantined, result.status.replace("_", " ")))  # fmt: skip
    rows += [_row(failure.name, "", "", "", "", "", failure.error) for failure in failures]
    return _markdown("archive", rows)


def _row(*cells: object) -> str:
    texts = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells)
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"


def _markdown(first: str, rows: Sequence[str]) -> str:
    shown = list(rows[:_ROWS_OF_TABLE])
    if len(rows) > len(shown):
        shown.append(_row(f"and {len(rows) - len(shown)} more", "", "", "", "", "", ""))
    head = f"| {first} | read | new | already present | identical | quarantined | outcome |"
    return "\n".join([head, "|---|--:|--:|--:|--:|--:|---|", *shown])
