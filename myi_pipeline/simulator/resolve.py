"""The true plays behind several archives of one listener.

None of the marts' rules is used here: each row has the identity of its play, which the marts have to work out. The
result does not depend on the order of the archives, unless two rows of the same time give one content different names
(then those of the later archive win).

- All rows with the same identity are one play. An archive that lists it under two ids makes it two plays, as these
  cannot be distinguished from two plays in the same second.
- A play takes its values from the extended history rather than from account data, from a content with a URI rather than
  without, and from an episode rather than the track that old account data list instead; ties are resolved by the order
  of URIs and names.
- A content without URI is the same as the content with a URI, if there is exactly one, that has the same kind,
  normalised title and creator.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from myi_pipeline.simulator.plays import TruePlay

EXTENDED = "extended_history"


class ContentId(NamedTuple):
    """What identifies a content: its URI, else its kind and names."""

    kind: str
    uri: str | None
    title: str | None
    creator: str | None
    collection: str | None


class ResolvedPlay(NamedTuple):
    """One true play. `content` is canonical, or None if unknown; `confirmed`: account data list it too."""

    played_at: datetime
    ms_played: int | None
    content: ContentId | None
    source: str
    confirmed: bool


class Names(NamedTuple):
    """The final names of a content."""

    title: str | None
    creator: str | None
    collection: str | None


class Resolution(NamedTuple):
    """The plays in time order, and the names of every canonical content."""

    plays: list[ResolvedPlay]
    names: dict[ContentId, Names]


def content_id(play: TruePlay) -> ContentId | None:
    if play.kind == "unknown":
        return None
    if play.uri:
        return ContentId(play.kind, play.uri, None, None, None)
    return ContentId(play.kind, None, play.title, play.creator, play.collection)


def same_name(name: str | None) -> str:
    """The normalised name: equal for names that differ only in width, case or spacing."""
    return " ".join(unicodedata.normalize("NFKC", name or "").casefold().split())


def resolve(archives: Sequence[Iterable[TruePlay]]) -> Resolution:
    """The plays that all the archives together report."""
    names: dict[ContentId, tuple[datetime, Names]] = {}
    contents: set[ContentId] = set()
    # By identity: the rows of each archive that lists the play.
    by_identity: defaultdict[tuple[object, ...], list[list[TruePlay]]] = defaultdict(list)
    for number, archive in enumerate(archives):
        rows: defaultdict[tuple[object, ...], list[TruePlay]] = defaultdict(list)
        for place, play in enumerate(archive):
            content = content_id(play)
            if content is not None:
                contents.add(content)
                if play.title is not None and (content not in names or names[content][0] <= play.played_at):
                    names[content] = (play.played_at, Names(play.title, play.creator, play.collection))
            rows[play.identity or (number, place)].append(play)
        for identity, of_play in rows.items():
            by_identity[identity].append(of_play)
    final = {content: named for content, (_, named) in names.items()}
    canonical = _aliases(contents, final)
    plays = [
        play._replace(content=play.content and canonical[play.content])
        for reports in by_identity.values()
        for play in _resolve_one(reports)
    ]
    plays.sort(key=lambda play: (play.played_at, play.ms_played or 0, play.content is None, str(play.content)))
    canonical_contents = {play.content for play in plays if play.content is not None}
    return Resolution(plays, {content: final.get(content, Names(None, None, None)) for content in canonical_contents})


def _resolve_one(reports: Sequence[Sequence[TruePlay]]) -> Iterator[ResolvedPlay]:
    """One play, from all the archives that have it."""
    extended = [rows for rows in reports if rows[0].source == EXTENDED]
    account = [rows for rows in reports if rows[0].source != EXTENDED]
    standing = (extended or account)[0][0]
    contents: list[ContentId | None] = [*(_in_order(extended) or _in_order(account))]
    is_told_by_two_ids = any(len(_in_order([rows])) > 1 for rows in extended)
    for number, content in enumerate(contents if is_told_by_two_ids else contents[:1] or [None]):
        is_confirmed = bool(extended and account) and number == 0
        yield ResolvedPlay(standing.played_at, standing.ms_played, content, standing.source, is_confirmed)


def _in_order(reports: Sequence[Sequence[TruePlay]]) -> list[ContentId]:
    """The distinct contents in these rows, the preferred one first."""
    contents = {content for rows in reports for play in rows if (content := content_id(play))}

    def order(content: ContentId) -> tuple[object, ...]:
        return (
            content.uri is None,
            content.kind == "track",
            content.uri or "",
            content.title or "",
            content.creator or "",
        )

    return sorted(contents, key=order)


def _aliases(contents: set[ContentId], names: dict[ContentId, Names]) -> dict[ContentId, ContentId]:
    with_uri: defaultdict[tuple[str, str, str], list[ContentId]] = defaultdict(list)

    def match(content: ContentId) -> tuple[str, str, str]:
        title, creator, _ = names.get(content, (None, None, None))
        return content.kind, same_name(title), same_name(creator)

    for content in contents:
        if content.uri:
            with_uri[match(content)].append(content)
    canonical = {}
    for content in contents:
        fits = [] if content.uri or not same_name(content.title) else with_uri[match(content)]
        canonical[content] = fits[0] if len(fits) == 1 else content
    return canonical
