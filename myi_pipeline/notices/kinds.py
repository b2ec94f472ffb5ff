"""The kinds of notices; operations/notice_conditions determines which are true now.

A kind is also the `type` of a webhook's message, on which programs rely: names are added, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from myi_pipeline.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`label`: its name for people.

    `tells_end`: its end is sent as well. `urgent`: stages that are sent even in quiet hours. `is_for_programs`: only
    webhooks that list it receive it. `rests`: it can come and go, so that a new one with the same subject begins at the
    earliest REST after the last one ended.
    """

    name: str
    label: str
    for_users: bool
    for_operator: bool
    is_event: bool = False
    tells_end: bool = True
    urgent: frozenset[str] = frozenset()
    is_for_programs: bool = False
    rests: bool = False


REST = timedelta(minutes=30)
# Kind, subject and user.
Key = tuple[str, str, int | None]

# A login that has ended, or ends tomorrow.
ENDED, TOMORROW = "0", "1"
_ALWAYS = frozenset({""})

LOGIN = Kind(
    name="login.ending",
    label="A login ends soon or has ended",
    for_users=True,
    for_operator=True,
    urgent=frozenset({ENDED, TOMORROW}),
)
GAP = Kind(
    name="polls.gap", label="Plays may have been missed", for_users=True, for_operator=False, is_event=True
)  # fmt: skip
IMPORT_FAILED = Kind(
    name="import.failed", label="An import has failed", for_users=True, for_operator=True, tells_end=False
)
IMPORT_FINISHED = Kind(
    name="import.finished", label="An import has finished", for_users=True, for_operator=False, is_event=True
)
CIRCUIT = Kind(
    name="circuit.open",
    label="Requests to a service are paused after failures",
    for_users=True,
    for_operator=True,
    rests=True,
)
MIGRATION_WAITING = Kind(
    name="migration.waiting",
    label="A playlist being moved needs your decision",
    for_users=True,
    for_operator=False,
    tells_end=False,
)
MIGRATION_FINISHED = Kind(
    name="migration.finished",
    label="A playlist has been moved, or could not be",
    for_users=True,
    for_operator=False,
    is_event=True,
)
RUN_FAILED = Kind(name="run.failed", label="A run has failed", for_users=False, for_operator=True)
PIPELINE = Kind(
    name="pipeline.stopped",
    label="The figures are no longer updated",
    for_users=False,
    for_operator=True,
    urgent=_ALWAYS,
    rests=True,
)
DISK = Kind(
    name="disk.full", label="The disk is full", for_users=False, for_operator=True, urgent=_ALWAYS, rests=True
)  # fmt: skip
BACKUP_FAILED = Kind(
    name="backup.failed", label="Backups fail or are overdue", for_users=False, for_operator=True, rests=True
)  # fmt: skip
REFRESHED = Kind(
    name="marts.refreshed",
    label="The figures were updated",
    for_users=True,
    for_operator=True,
    is_event=True,
    is_for_programs=True,
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        LOGIN, GAP, IMPORT_FAILED, IMPORT_FINISHED, CIRCUIT, MIGRATION_WAITING, MIGRATION_FINISHED, RUN_FAILED,
        PIPELINE, DISK, BACKUP_FAILED, REFRESHED,
    )
}  # fmt: skip
# The kind of the message that a test button sends.
TEST = "test.sent"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A current condition, or a recent event.

    `subject` distinguishes it from others of its kind and user. `detail` contains figures and short words for programs,
    never names of what was heard.
    """

    kind: Kind
    subject: str
    user_id: int | None = None
    stage: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None

    @property
    def key(self) -> Key:
        return self.kind.name, self.subject, self.user_id


@dataclass(frozen=True, kw_only=True)
class Mended:
    """Known to be fine now, whether or not it ever was not.

    A subject that is neither found nor mended is gone, such as an unlinked account: its notice ends without a message
    that it works again.
    """

    kind: Kind
    subject: str
    user_id: int | None = None

    @property
    def key(self) -> Key:
        return self.kind.name, self.subject, self.user_id


def kinds_for(*, operator: bool) -> tuple[Kind, ...]:
    return tuple(kind for kind in KINDS.values() if (kind.for_operator if operator else kind.for_users))


def check_kinds(names: tuple[str, ...], *, operator: bool) -> tuple[str, ...]:
    """The names in the order of KINDS. Raises BadInput for one that the user cannot receive."""
    known = {kind.name for kind in kinds_for(operator=operator)}
    for name in names:
        if name not in known:
            raise BadInput(
                f"{name[:40]!r} is not a kind of notice", place="kinds", rule=f"one of {', '.join(sorted(known))}"
            )
    return tuple(name for name in KINDS if name in names)
