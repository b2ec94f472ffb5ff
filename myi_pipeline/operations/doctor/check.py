"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from myi_pipeline.operations.checks import Found


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """`mend` is empty if there is nothing to do."""

    name: str
    status: Status
    found: str
    mend: str = ""


def from_found(name: str, found: Found, *, unless: Status = Status.FAIL) -> Check:
    is_fine, text, mend = found
    return Check(name, Status.OK if is_fine else unless, text, mend)
