"""Which plays there truly are, given several archives of one listener: the generator knows.

No rule of the marts is used here: each row carries the identity of its play, and the marts have to find out what is
only known here. The result does not depend on the order of the archives, except where two rows of one time name one
content differently (then the later archive's names win).

- What all the archives report of one identity is one play. An archive that has it under two ids makes two plays, for
  these cannot be distinguished from two plays in one second.
- The extended history stands for a play before account data do; what has a URI before what has none; an episode before
  the track as which old account data list it; then the first in the order of URIs and of names.
- A content without URI is the one content with a URI that has its kind, normalised title and creator, if one has.
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
    """What makes a content itself: its URI, else its kind and names."""

    kind: str
    uri: str | None
    title: str | None
    creator: str | None
    collection: str | None


class ResolvedPlay(NamedTuple):
    """One play of the truth. `content` is canonical and None when unknown; `confirmed`: account data have it too."""

    played_at: datetime
    ms_played: int | None
    content: ContentId | None
    source: str
    confirmed: bool


class Names(NamedTuple):
    """What a content is called in the end."""

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
    """Two names are one when this is equal: width, case and spacing do not matter."""
    return " ".join(unicodedata.normalize("NFKC", name or "").casefold().split())


def resolve(archives: Sequence[Iterable[TruePlay]]) -> Resolution:
    """The plays that all the archives together report."""
    names: dict[ContentId, tuple[datetime, Names]] = {}
    contents: set[ContentId] = set()
    # By identity: what each archive that has the play says of it.
    told: defaultdict[tuple[object, ...], list[list[TruePlay]]] = defaultdict(list)
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
            told[identity].append(of_play)
    final = {content: named for content, (_, named) in names.items()}
    canonical = _aliases(contents, final)
    plays = [
        play._replace(content=play.content and canonical[play.content])
        for tellings in told.values()
        for play in _told(tellings)
    ]
    plays.sort(key=lambda play: (play.played_at, play.ms_played or 0, play.content is None, str(play.content)))
    canonical_contents = {play.content for play in plays if play.content is not None}
    return Resolution(plays, {content: final.get(content, Names(None, None, None)) for content in canonical_contents})


def _told(tellings: Sequence[Sequence[TruePlay]]) -> Iterator[ResolvedPlay]:
    """One play, from all the archives that have it."""
    extended = [rows for rows in tellings if rows[0].source == EXTENDED]
    account = [rows for rows in tellings if rows[0].source != EXTENDED]
    standing = (extended or account)[0][0]
    contents: list[ContentId | None] = [*(_in_order(extended) or _in_order(account))]
    is_told_by_two_ids = any(len(_in_order([rows])) > 1 for rows in extended)
    for number, content in enumerate(contents if is_told_by_two_ids else contents[:1] or [None]):
        is_confirmed = bool(extended and account) and number == 0
        yield ResolvedPlay(standing.played_at, standing.ms_played, content, standing.source, is_confirmed)


def _in_order(tellings: Sequence[Sequence[TruePlay]]) -> list[ContentId]:
    """What they name, each once, and first what stands for the play."""
    contents = {content for rows in tellings for play in rows if (content := content_id(play))}

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
