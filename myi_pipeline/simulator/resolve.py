"""Which plays there truly are, given what several archives of one listener tell: in plain Python, on purpose naive.

Belongs here: identical rows, overlapping vintages, removed tracks, extended against account data, names against
URIs. Not here: counting (see `truth`). Nothing is shared with the models that this checks.
Invariant: the result does not depend on the order of the archives, save where two rows of one time name one content
differently (then the later archive's names win).

The rules, as the design states them:
- Rows of one extended archive that agree in every kept field are one play; rows of account data never are.
- Two archives of one kind that tell a play with equal time, content and ms_played tell the same play; where one
  archive tells n such plays and another m, there are max(n, m).
- A play of unknown content is the play of known content with its time and ms_played that another archive tells.
  (The listener never lets the two share a time within one archive, where they would be two plays.)
- A row of account data is the extended play in its minute with its ms_played and its normalised title, one to one.
- A content without URI is the one content with a URI that has its kind, normalised title and creator, if one has.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
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
    """One play of the truth. `content` is canonical and None when unknown; `confirmed`: account data tell it too."""

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
    """The plays that all the archives together tell."""
    known: Counter[tuple[datetime, ContentId, int | None]] = Counter()
    unknown: Counter[tuple[datetime, int | None]] = Counter()
    account: Counter[tuple[datetime, ContentId, int | None]] = Counter()
    names: dict[ContentId, tuple[datetime, Names]] = {}
    for archive in archives:
        seen: set[TruePlay] = set()
        told_known: Counter[tuple[datetime, ContentId, int | None]] = Counter()
        told_unknown: Counter[tuple[datetime, int | None]] = Counter()
        told_account: Counter[tuple[datetime, ContentId, int | None]] = Counter()
        for play in archive:
            content = content_id(play)
            if content is not None and play.title is not None:
                named = names.get(content)
                if named is None or named[0] <= play.played_at:
                    names[content] = (play.played_at, Names(play.title, play.creator, play.collection))
            if play.source != EXTENDED:
                if content is not None:
                    told_account[play.played_at, content, play.ms_played] += 1
                continue
            if play in seen:
                continue
            seen.add(play)
            if content is None:
                told_unknown[play.played_at, play.ms_played] += 1
            else:
                told_known[play.played_at, content, play.ms_played] += 1
        known |= told_known
        unknown |= told_unknown
        account |= told_account
    known_at: Counter[tuple[datetime, int | None]] = Counter()
    for (played_at, _, ms), count in known.items():
        known_at[played_at, ms] += count

    final = {content: named for content, (_, named) in names.items()}
    canonical = _aliases(set(final) | {key[1] for key in known} | {key[1] for key in account}, final)
    plays = [
        ResolvedPlay(played_at, ms, None, EXTENDED, False)
        for (played_at, ms), count in unknown.items()
        for _ in range(count - known_at[played_at, ms])
    ]
    plays.extend(_known_plays(known, account, final, canonical))
    plays.sort(key=lambda play: (play.played_at, play.ms_played or 0, play.content is None, str(play.content)))
    canonical_contents = {play.content for play in plays if play.content is not None}
    return Resolution(plays, {content: final.get(content, Names(None, None, None)) for content in canonical_contents})


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


def _known_plays(
    known: Counter[tuple[datetime, ContentId, int | None]],
    account: Counter[tuple[datetime, ContentId, int | None]],
    names: dict[ContentId, Names],
    canonical: dict[ContentId, ContentId],
) -> list[ResolvedPlay]:
    """Extended plays, those of them that account data confirm, and the account plays that are left over."""
    extended: defaultdict[tuple[datetime, int | None, str], list[tuple[datetime, ContentId]]] = defaultdict(list)
    for (played_at, content, ms), count in known.items():
        title = same_name(names[content].title if content in names else None)
        minute = played_at.replace(second=0, microsecond=0)
        extended[minute, ms, title].extend([(played_at, content)] * count)
    told: defaultdict[tuple[datetime, int | None, str], list[ContentId]] = defaultdict(list)
    for (minute, content, ms), count in account.items():
        told[minute, ms, same_name(content.title)].extend([content] * count)
    plays: list[ResolvedPlay] = []
    for key, rows in extended.items():
        partners = told.get(key, []) if key[2] else []
        # The artist only breaks ties: those with one artist find each other first.
        creators = Counter(same_name(names[content].creator) for _, content in rows if content in names)
        rest: list[ContentId] = []
        for content in partners:
            creator = same_name(content.creator)
            if creators[creator] > 0:
                creators[creator] -= 1
            else:
                rest.append(content)
        matched = min(len(rows), len(partners))
        if partners:
            told[key] = rest[len(rest) - (len(partners) - matched) :] if len(partners) > matched else []
        for number, (played_at, content) in enumerate(sorted(rows, key=lambda row: (row[0], str(row[1])))):
            plays.append(ResolvedPlay(played_at, key[1], canonical[content], EXTENDED, number < matched))
    for (minute, ms, _), contents in told.items():
        plays.extend(ResolvedPlay(minute, ms, canonical[content], "account_history", False) for content in contents)
    return plays
