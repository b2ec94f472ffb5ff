"""A person's own decisions on recordings: tracks that are the same song to them, and tracks that are not.

Later decisions win over earlier ones. A track that is taken out leaves everything that the rules or earlier decisions
put it with; joining it with another track afterwards puts it back in. Taking a decision back has the same effect as
never having made it, because only the decisions are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Decision:
    """`other_id` is None for `apart`. A decision with a greater `decision_id` was made later."""

    decision_id: int
    decision: Literal["same", "apart"]
    content_id: int
    other_id: int | None = None


@dataclass(frozen=True)
class Ruled:
    """A track and its recording according to the rules. `is_nameless`: the track has no URI."""

    content_id: int
    recording_id: int
    is_nameless: bool


def recording_number(tracks: Iterable[tuple[bool, int]]) -> int:
    """The number of a recording: the lowest content_id among its tracks with a URI, or among all if none has one.

    `tracks`: (whether it has no URI, content_id) of each.
    """
    return min(tracks)[1]


def decided_recordings(decisions: Sequence[Decision], ruled: Mapping[int, Ruled]) -> dict[int, int]:
    """content_id -> recording_id, for each track whose recording for this person differs from the rules'.

    `ruled` holds every track of the recordings that the decisions refer to; decisions on other tracks are ignored.
    """
    known = [
        each
        for each in decisions
        if each.content_id in ruled
        and (each.other_id is None or each.other_id in ruled)
        and each.other_id != each.content_id
    ]
    apart: dict[int, int] = {}
    for each in known:
        if each.decision == "apart":
            apart[each.content_id] = max(each.decision_id, apart.get(each.content_id, 0))
    # Nodes: the remainder of each recording of the rules, and each track that was taken out.
    parent: dict[tuple[str, int], tuple[str, int]] = {}

    def node(content_id: int) -> tuple[str, int]:
        return ("track", content_id) if content_id in apart else ("rules", ruled[content_id].recording_id)

    def root(of: tuple[str, int]) -> tuple[str, int]:
        while parent.get(of, of) != of:
            of = parent[of]
        return of

    for each in known:
        if each.decision == "same" and each.other_id is not None:
            is_void = each.decision_id < max(apart.get(each.content_id, 0), apart.get(each.other_id, 0))
            if not is_void:
                parent[root(node(each.content_id))] = root(node(each.other_id))
    groups: dict[tuple[str, int], list[Ruled]] = {}
    for track in ruled.values():
        groups.setdefault(root(node(track.content_id)), []).append(track)
    found = {}
    for tracks in groups.values():
        number = recording_number((track.is_nameless, track.content_id) for track in tracks)
        found.update({track.content_id: number for track in tracks if track.recording_id != number})
    return found
