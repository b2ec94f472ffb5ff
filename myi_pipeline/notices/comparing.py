"""The differences between current conditions and open notices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from myi_pipeline.notices.kinds import Condition, Key


@dataclass(frozen=True, kw_only=True)
class Open:
    """A notice that has not ended."""

    notice_id: int
    kind: str
    subject: str
    user_id: int | None
    stage: str

    @property
    def key(self) -> Key:
        return self.kind, self.subject, self.user_id


@dataclass(frozen=True)
class Changes:
    """`begun` have no open notice yet, `moved` are at a different stage (by notice id), `ended` are no longer true;

    `gone` are those of them whose subject no longer exists.
    """

    begun: tuple[Condition, ...]
    moved: tuple[tuple[int, Condition], ...]
    ended: tuple[int, ...]
    gone: tuple[int, ...] = ()


def compare(
    standing: Sequence[Open], found: Sequence[Condition], *, asked: Collection[str], mended: Collection[Key] = ()
) -> Changes:
    """Notices of kinds that were not `asked`, because their source did not answer, do not end. Idempotent."""
    by_key = {each.key: each for each in standing}
    now = {each.key: each for each in found}
    begun, moved = [], []
    for key, condition in now.items():
        known = by_key.get(key)
        if known is None:
            begun.append(condition)
        elif known.stage != condition.stage:
            moved.append((known.notice_id, condition))
    over = [each for each in standing if each.key not in now and each.kind in asked]
    gone = tuple(each.notice_id for each in over if each.key not in mended)
    return Changes(tuple(begun), tuple(moved), tuple(each.notice_id for each in over), gone)
