"""The entries of a moved playlist with their candidates, and a description of what moving would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from myi_pipeline.playlists.migration import reviewing, views
from myi_pipeline.playlists.migration.moving import Preview
from myi_pipeline.playlists.migration.reviewing import ReviewEntry
from myi_pipeline.playlists.migration.views import MigrationView
from myi_pipeline.web.dashboard.migration_texts import KINSHIPS, OUTCOMES, reason_text, track_page, versions_of
from myi_pipeline.web.reads import playlists as reads
from myi_pipeline.web.reads.marts import Marts, MartsMissing, MartsOutdated
from myi_pipeline.web.reads.playlists import TrackFactsRow, UriNamesRow
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site


@dataclass(frozen=True)
class Candidate:
    """A track of the other service that an entry may be. `page` is its address at the service."""

    uri: str
    title: str
    artists: Sequence[str]
    album: str | None
    duration_ms: int | None
    versions: Sequence[str]
    why: str
    page: str | None
    is_chosen: bool


@dataclass(frozen=True)
class Entry:
    """An entry of the playlist and a description of its result."""

    position: int
    title: str
    artists: Sequence[str]
    album: str | None
    duration_ms: int | None
    versions: Sequence[str]
    outcome: str
    state: str
    tone: str
    why: str
    candidates: Sequence[Candidate]
    may_undo: bool


@dataclass(frozen=True)
class Removed:
    name: str
    page: str | None


@dataclass(frozen=True)
class Would:
    """What moving would change. `removals` have names as far as they are known."""

    additions: int
    moves: int
    removals: Sequence[Removed]
    is_impossible: str


async def facts_of_tracks(site: Site, person: Visitor, rows: Sequence[ReviewEntry]) -> dict[int, TrackFactsRow]:
    ids = sorted({each.content_id for each in rows if each.content_id is not None})
    if not ids:
        return {}

    async def read(marts: Marts) -> dict[int, TrackFactsRow]:
        return await reads.track_facts(marts, ids)

    try:
        return await site.pools.read(person.user_id, read)
    except (MartsMissing, MartsOutdated):
        return {}


async def would_change(site: Site, person: Visitor, view: MigrationView) -> Would | None:
    """What moving would change, given the target's entries when the tracks were looked up."""
    number = view.migration_id
    preview: Preview | None = await site.pools.in_thread(views.preview, user_id=person.user_id, migration_id=number)
    if preview is None:
        return None
    gone = await site.pools.in_thread(reviewing.removals, user_id=person.user_id, migration_id=number)
    if gone is None:
        return Would(preview.additions, preview.moves, (), preview.impossible)

    async def read(marts: Marts) -> dict[str, UriNamesRow]:
        return await reads.names_of_uris(marts, account_id=gone.account_id, provider_playlist=gone.target_playlist)

    try:
        names = await site.pools.read(person.user_id, read)
    except (MartsMissing, MartsOutdated):
        names = {}
    return Would(
        preview.additions, preview.moves, [_removed(uri, names.get(uri)) for uri in gone.uris], preview.impossible
    )


def _removed(uri: str, known: UriNamesRow | None) -> Removed:
    name = "a track with an unknown name"
    if known is not None and known.title:
        name = f"{known.title} – {known.creator}" if known.creator else known.title
    return Removed(name, track_page(uri))


def entry_of(row: ReviewEntry, facts: TrackFactsRow | None) -> Entry:
    state, tone = (
        OUTCOMES.get(row.outcome, row.outcome),
        {"matched": "good", "unavailable": ""}.get(row.outcome, "warn"),
    )
    if row.is_refused:
        state, tone = "not accepted when it was added", "warn"
    candidates = [_candidate(each, row.uri) for each in row.candidates]
    if row.uri is not None and not any(each.is_chosen for each in candidates):
        # Given by its address, or decided in an earlier move.
        told = Candidate(row.uri, "", (), None, None, (), "", track_page(row.uri), is_chosen=True)
        candidates.insert(0, told)
    return Entry(
        position=row.position, title=row.title, artists=row.artists,
        album=facts.album if facts else None, duration_ms=facts.duration_ms if facts else None,
        versions=versions_of(row.title), outcome=row.outcome, state=state, tone=tone, why=reason_text(row.reason),
        candidates=candidates, may_undo=row.may_take_back,
    )  # fmt: skip


def _candidate(told: Mapping[str, object], chosen: str | None) -> Candidate:
    """As stored by a plan; older plans have neither album nor length."""
    title, uri = str(told.get("title") or ""), str(told.get("uri") or "")
    artists, album, length = told.get("artists"), told.get("album"), told.get("duration_ms")
    kinship = KINSHIPS.get(str(told.get("kinship")), "")
    reason = reason_text(str(told.get("reason")))
    return Candidate(
        uri=uri, title=title, artists=[str(each) for each in artists] if isinstance(artists, list) else [],
        album=str(album) if album else None, duration_ms=length if isinstance(length, int) else None,
        versions=versions_of(title), why=f"{kinship}: {reason}" if kinship else reason, page=track_page(uri),
        is_chosen=chosen is not None and uri == chosen,
    )  # fmt: skip
