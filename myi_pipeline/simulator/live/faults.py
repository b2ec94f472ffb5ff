"""Scripted failures: which requests fail, how, and how often.

A fault makes exactly `times` matching requests fail, after letting `after` of them succeed; the first matching fault in
the script applies.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FaultKind = Literal[
    "status",  # `status` with the error body that goes with it; 429 takes `retry_after`
    "html",  # a page of HTML with status 200
    "truncated",  # a true answer whose JSON stops in the middle
    "empty",  # status 200 without a body
    "wrong_shape",  # unexpected JSON with status 200
    "document",  # `document` as JSON with status 200
    "bad_item",  # a true page in which one item lacks its track
    "bad_items",  # a true page in which every item lacks its track
    "no_items",  # a true page without its items
    "filtered",  # a true page cut to its 43 newest items, as when the others were episodes
    "other_types",  # a true page whose optional fields have other types
    "cut",  # the connection closes in the middle of a true answer
    "reset",  # the connection is reset before a byte
    "lost",  # the request is carried out, then the connection is reset before a byte
    "slow",  # a true answer, `chunk` bytes every `pause_s` seconds
    "slow_head",  # the head of an answer, a byte every `pause_s` seconds
    "svg",  # a drawing with a script in it, as image/svg+xml with status 200
    "disguised",  # a page of HTML as image/jpeg with status 200
    "huge",  # a JPEG of two megabytes with status 200
    "hang",  # nothing for `pause_s` seconds, then a reset
]


class Fault(BaseModel):
    """A scripted failure. `path` is a pattern ('/v1/me/*', '/api/token', '*'); `method`, `listener` and `client_id`
    match all if None.

    `retry_after`: seconds in the header of a 429; None sends none. `message` replaces the usual message in the body,
    `code` the error code of the token endpoint. `times` None: all further requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind = "status"
    path: str = "/v1/*"
    method: Literal["GET", "POST", "PUT", "DELETE"] | None = None
    listener: str | None = None
    client_id: str | None = None
    status: int = Field(default=503, ge=400, le=599)
    retry_after: int | str | None = None
    message: str | None = None
    document: dict[str, Any] | None = None
    code: str | None = None
    times: int | None = Field(default=1, ge=1)
    after: int = Field(default=0, ge=0)
    pause_s: float = Field(default=0.05, ge=0, le=600)
    chunk: int = Field(default=64, ge=1)

    def matches(self, *, path: str, listener: str | None, client_id: str | None, method: str | None = None) -> bool:
        return (
            fnmatchcase(path, self.path)
            and self.method in (None, method)
            and self.listener in (None, listener)
            and self.client_id in (None, client_id)
        )


class _Entry:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.to_pass = fault.after
        self.left = fault.times
        self.struck = 0


class FaultBook:
    """The scripted faults, in order."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(self, fault: Fault) -> None:
        self._entries.append(_Entry(fault))

    def clear(self) -> None:
        self._entries.clear()

    def strike(
        self, *, path: str, listener: str | None, client_id: str | None, method: str | None = None
    ) -> Fault | None:  # fmt: skip
        """The fault that applies to this request, if any."""
        for entry in self._entries:
            if entry.left == 0 or not entry.fault.matches(
                path=path, listener=listener, client_id=client_id, method=method
            ):
                continue
            if entry.to_pass:
                entry.to_pass -= 1
                continue
            entry.left = None if entry.left is None else entry.left - 1
            entry.struck += 1
            return entry.fault
        return None

    def struck(self) -> list[tuple[Fault, int]]:
        """Every fault, and how many requests it made fail."""
        return [(entry.fault, entry.struck) for entry in self._entries]
