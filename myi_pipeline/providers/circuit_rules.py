"""When to suspend a user's requests for a while: a circuit breaker as a pure state machine.

A closed circuit opens only at a threshold; an open one admits nothing before its time and exactly one request after it;
success always closes it; no wait exceeds the cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from myi_pipeline.providers.retries import FailureKind, doubled


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class Rule:
    """Open after `failures` of a kind in a row, for `first`; each reopening doubles that up to `longest`."""

    failures: int
    first: timedelta
    longest: timedelta


RULES: Mapping[FailureKind, Rule] = {
    FailureKind.AUTHORISATION: Rule(3, timedelta(hours=24), timedelta(days=7)),
    FailureKind.NETWORK: Rule(5, timedelta(hours=2), timedelta(hours=24)),
    FailureKind.UNKNOWN: Rule(10, timedelta(hours=1), timedelta(hours=24)),
}
# A request ends within a minute; a process that admitted one and has not reported back for this long was killed.
LONGEST_PROBE = timedelta(minutes=5)
# If the clock was set back by more than this, the times of an opening are meaningless.
CLOCK_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """One user's circuit. `failures` are consecutive ones by kind; `openings` those since the last success."""

    state: CircuitState = CircuitState.CLOSED
    failures: Mapping[FailureKind, int] = field(default_factory=dict)
    openings: int = 0
    opened_at: datetime | None = None
    open_until: datetime | None = None
    probe_at: datetime | None = None
    kind: FailureKind | None = None
    reason: str | None = None

    @property
    def is_untouched(self) -> bool:
        return self.state is CircuitState.CLOSED and not any(self.failures.values())


@dataclass(frozen=True)
class Admission:
    """Whether one request may be made now; `retry_at` says when to ask again if not."""

    allowed: bool
    circuit: Circuit
    retry_at: datetime | None = None


def admit(circuit: Circuit, now: datetime) -> Admission:
    """Asks to admit one request. The returned circuit must be stored before the request is made."""
    if circuit.state is CircuitState.CLOSED:
        return Admission(True, circuit)
    probing = circuit.state is CircuitState.HALF_OPEN and circuit.probe_at is not None
    if probing and circuit.probe_at is not None:
        until = circuit.probe_at + LONGEST_PROBE
        waits = circuit.probe_at - CLOCK_TOLERANCE <= now < until
    else:
        until = circuit.open_until or now
        waits = (circuit.opened_at or now) - CLOCK_TOLERANCE <= now < until
    if waits:
        return Admission(False, circuit, until)
    return Admission(True, replace(circuit, state=CircuitState.HALF_OPEN, probe_at=now))


def succeed() -> Circuit:
    """A request succeeded: closes the circuit and resets everything."""
    return Circuit()


def fail(circuit: Circuit, *, kind: FailureKind, reason: str, now: datetime) -> Circuit:
    """A request failed. Kinds without a rule (quota, gone) are not about the user and change nothing."""
    if kind not in RULES:
        return let_go(circuit, now)
    if circuit.state is CircuitState.OPEN:
        return circuit  # a straggler: admitted before it opened, so it proves nothing new
    failures = {**circuit.failures, kind: circuit.failures.get(kind, 0) + 1}
    counted = replace(circuit, failures=failures, kind=kind, reason=reason)
    rule = RULES[kind]
    if circuit.state is CircuitState.CLOSED and failures[kind] < rule.failures:
        return counted
    wait = doubled(rule.first, times=circuit.openings, longest=rule.longest)
    return replace(
        counted,
        state=CircuitState.OPEN,
        openings=circuit.openings + 1,
        opened_at=now,
        open_until=now + wait,
        probe_at=None,
    )


def let_go(circuit: Circuit, now: datetime) -> Circuit:
    """The admitted request was not made after all: the next one may be."""
    if circuit.state is not CircuitState.HALF_OPEN:
        return circuit
    return replace(circuit, state=CircuitState.OPEN, open_until=now, probe_at=None)
