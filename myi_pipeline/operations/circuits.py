"""The circuits of users, as people see and reset them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.people.manage_users import get_user
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.providers import circuits
from myi_pipeline.providers.circuits import CircuitEvent


@dataclass(frozen=True, kw_only=True)
class CircuitView:
    """One user's circuit; `failures` are in a row, by kind."""

    user_key: str
    state: str
    open_until: datetime | None
    kind: str | None
    reason: str | None
    failures: dict[str, int]
    openings: int


def list_circuits(connection: Connection) -> tuple[CircuitView, ...]:
    """Every circuit that is open, half open, or counts failures."""
    return tuple(
        CircuitView(
            user_key=found.user_key,
            state=found.circuit.state.value,
            open_until=found.circuit.open_until,
            kind=found.circuit.kind.value if found.circuit.kind is not None else None,
            reason=found.circuit.reason,
            failures={kind.value: count for kind, count in found.circuit.failures.items() if count},
            openings=found.circuit.openings,
        )
        for found in circuits.list_circuits(connection)
    )


def circuit_history(connection: Connection, *, user_key: str | None = None, limit: int = 20) -> Sequence[CircuitEvent]:
    """Changes of state, newest first. Raises UnknownUser."""
    user_id = get_user(connection, user_key=user_key).user_id if user_key is not None else None
    return circuits.list_events(connection, user_id=user_id, limit=limit)


def reset_circuit(connection: Connection, *, user_key: str, now: datetime) -> bool:
    """Let requests through again at once. False when nothing was in their way. Raises UnknownUser."""
    user = get_user(connection, user_key=user_key)
    return circuits.reset(connection, user_id=user.user_id, now=now)
