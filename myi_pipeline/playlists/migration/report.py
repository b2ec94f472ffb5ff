"""The outcome of every entry of a migration, as CSV and as JSON: for people who check it, and for programs."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from myi_pipeline.catalogue.matching.verdicts import Reason
from myi_pipeline.playlists.files.addresses import address_of
from myi_pipeline.playlists.files.tables import guarded, write_table
from myi_pipeline.playlists.migration.item_rows import Matched
from myi_pipeline.playlists.migration.store import Migration


class Way(StrEnum):
    """How an entry got its outcome. `REFUSED`: it was matched, but the target refused to add it."""

    BY_ISRC = "matched_by_isrc"
    BY_SCORE = "matched_by_score"
    BY_DECISION = "matched_by_decision"
    AMBIGUOUS = "ambiguous"
    MISSING = "missing"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class ReportedEntry:
    """`position` counts from 1. `candidates`: how many there were; `best_candidate`: the best one if none was taken."""

    position: int
    title: str
    artists: tuple[str, ...]
    way: Way
    reason: str
    score: float
    uri: str | None
    url: str | None
    added_at: datetime | None
    candidates: int
    best_candidate: str | None


@dataclass(frozen=True, kw_only=True)
class Report:
    migration_id: int
    source: str
    source_version: int
    provider: str
    target_name: str
    target_playlist: str | None
    state: str
    created_at: datetime
    finished_at: datetime | None
    counts: dict[str, int]
    entries: tuple[ReportedEntry, ...]


def report_of(migration: Migration, matches: Sequence[Matched]) -> Report:
    entries = tuple(_entry(each) for each in matches)
    found = Counter(each.way for each in entries)
    return Report(
        migration_id=migration.migration_id, source=migration.source_name,
        source_version=migration.source_version_no, provider=migration.provider, target_name=migration.target_name,
        target_playlist=migration.target_playlist, state=migration.state, created_at=migration.created_at,
        finished_at=migration.finished_at, counts={way.value: found[way] for way in Way}, entries=entries,
    )  # fmt: skip


def way_of(entry: Matched) -> Way:
    if entry.is_refused:
        return Way.REFUSED
    if entry.outcome != "matched":
        return Way(entry.outcome)
    if entry.is_decided:
        return Way.BY_DECISION
    return Way.BY_ISRC if entry.reason == Reason.SAME_ISRC else Way.BY_SCORE


def _entry(entry: Matched) -> ReportedEntry:
    others = [each["uri"] for each in entry.candidates if each["uri"] != entry.uri]
    return ReportedEntry(
        position=entry.position + 1, title=entry.title, artists=entry.artists, way=way_of(entry), reason=entry.reason,
        score=round(entry.score, 4), uri=entry.uri, url=address_of(entry.uri) if entry.uri else None,
        added_at=entry.added_at, candidates=len(entry.candidates),
        best_candidate=others[0] if others and entry.uri is None else None,
    )  # fmt: skip


_COLUMNS = (
    "position", "title", "artists", "way", "reason", "score", "uri", "url", "added_at", "candidates",
    "best_candidate",
)  # fmt: skip


def as_csv(report: Report) -> bytes:
    """One row per entry. Cells that a spreadsheet would run as formulas get an apostrophe in front."""
    out = io.BytesIO()
    rows = ([_cell(getattr(each, name)) for name in _COLUMNS] for each in report.entries)
    write_table(out, delimiter=",", header=_COLUMNS, rows=rows)
    return out.getvalue()


def as_json(report: Report) -> bytes:
    return (json.dumps(asdict(report), default=_as_text, ensure_ascii=False, indent=2) + "\n").encode()


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return guarded("; ".join(value), formula_guard=True)
    return guarded("" if value is None else _as_text(value) if isinstance(value, datetime) else str(value),
                   formula_guard=True)  # fmt: skip


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
