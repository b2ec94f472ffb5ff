"""The circuits' state and history, shared by all processes.

Of all processes, one gets the request that a half-open circuit lets through; every change of state is in the history,
in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import circuit_rules as rules
from myi_pipeline.providers.circuit_rules import Admission, Circuit, CircuitState
from myi_pipeline.providers.retries import FailureKind

_COUNTED = (FailureKind.AUTHORISATION, FailureKind.NETWORK, FailureKind.UNKNOWN)
_LONGEST_REASON = 300


@dataclass(frozen=True, kw_only=True)
class UserCircuit:
    """One user's circuit, as people see it; `failures` are in a row, by kind."""

    user_key: str
    state: str
    open_until: datetime | None
    kind: str | None
    reason: str | None
    failures: dict[str, int]
    openings: int


@dataclass(frozen=True, kw_only=True)
class CircuitEvent:
    """One change of state."""

    user_key: str
    happened_at: datetime
    from_state: str
    to_state: str
    open_until: datetime | None
    kind: str | None
    reason: str | None


def admit(connection: Connection, *, user_id: int, now: datetime) -> Admission:
    """Ask for one request. A closed circuit costs one read."""
    found = _read(connection, user_id)
    if found.state is CircuitState.CLOSED:
        return Admission(True, found)
    with connection.transaction():
        locked = _read(connection, user_id, lock=True)
        admission = rules.admit(locked, now)
        _write(connection, user_id, locked, admission.circuit, now)
    return admission


def note_success(connection: Connection, *, user_id: int, now: datetime) -> None:
    """A request succeeded. What was untouched costs one read."""
    if not _read(connection, user_id).is_untouched:
        _change(connection, user_id, lambda _: rules.succeed(), now)


def note_failure(connection: Connection, *, user_id: int, kind: FailureKind, reason: str, now: datetime) -> Circuit:
    """A request failed; what the circuit is now. `reason` holds no secret."""
    if kind not in rules.RULES and (found := _read(connection, user_id)).state is not CircuitState.HALF_OPEN:
        return found
    short = reason[:_LONGEST_REASON]
    return _change(connection, user_id, lambda held: rules.fail(held, kind=kind, reason=short, now=now), now)


def reset(connection: Connection, *, user_id: int, now: datetime) -> bool:
    """Close at a person's word. False when it was closed and untouched."""
    if _read(connection, user_id).is_untouched:
        return False
    _change(connection, user_id, lambda _: rules.succeed(), now, reason="reset by hand")
    return True


def list_circuits(connection: Connection) -> tuple[UserCircuit, ...]:
    """Every circuit that is open, half open, or counts failures, in the order of users."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(load_sql("providers/circuits/list_circuits")).fetchall()
    return tuple(_of_user(row["user_key"], _circuit(row)) for row in rows)


def _of_user(user_key: str, circuit: Circuit) -> UserCircuit:
    return UserCircuit(
        user_key=user_key,
        state=circuit.state.value,
        open_until=circuit.open_until,
        kind=circuit.kind.value if circuit.kind is not None else None,
        reason=circuit.reason,
        failures={kind.value: count for kind, count in circuit.failures.items() if count},
        openings=circuit.openings,
    )


def open_users(connection: Connection, *, user_ids: list[int], now: datetime) -> dict[int, datetime]:
    """Those of these users whose circuit lets nothing through now, and until when. One read for a batch."""
    with connection.cursor(row_factory=dict_row) as cursor:
        query = "select * from ops.circuits where user_id = any (%s) and state <> 'closed'"
        rows = cursor.execute(query, (user_ids,)).fetchall()
    admissions = {row["user_id"]: rules.admit(_circuit(row), now) for row in rows}
    return {user_id: found.retry_at for user_id, found in admissions.items() if found.retry_at is not None}


def list_events(connection: Connection, *, user_id: int | None = None, limit: int = 50) -> tuple[CircuitEvent, ...]:
    """The history, newest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            load_sql("providers/circuits/list_events"), {"user_id": user_id, "limit": limit}
        ).fetchall()
    return tuple(CircuitEvent(**row) for row in rows)


def _change(
    connection: Connection,
    user_id: int,
    step: Callable[[Circuit], Circuit],
    now: datetime,
    *,
    reason: str | None = None,
) -> Circuit:
    with connection.transaction():
        # Two first failures at once: the row must be there before it can be locked. A removed user has none.
        connection.execute(load_sql("providers/circuits/ensure_row"), {"user_id": user_id})
        before = _read(connection, user_id, lock=True)
        after = step(before)
        _write(connection, user_id, before, after, now, reason=reason)
    return after


def _read(connection: Connection, user_id: int, *, lock: bool = False) -> Circuit:
    query = "select * from ops.circuits where user_id = %s"
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(f"{query} for update" if lock else query, (user_id,)).fetchone()
    return _circuit(row) if row is not None else Circuit()


def _circuit(row: dict[str, Any]) -> Circuit:
    return Circuit(
        state=CircuitState(row["state"]),
        failures={kind: row[f"{kind.value}_failures"] for kind in _COUNTED},
        openings=row["openings"],
        opened_at=row["opened_at"],
        open_until=row["open_until"],
        probe_at=row["probe_at"],
        kind=FailureKind(row["kind"]) if row["kind"] is not None else None,
        reason=row["reason"],
    )


def _write(
    connection: Connection,
    user_id: int,
    before: Circuit,
    after: Circuit,
    now: datetime,
    *,
    reason: str | None = None,
) -> None:
    if after == before:
        return
    kind = after.kind or before.kind
    values = {
        "user_id": user_id,
        "state": after.state.value,
        **{f"{counted.value}_failures": after.failures.get(counted, 0) for counted in _COUNTED},
        "openings": after.openings,
        "opened_at": after.opened_at,
        "open_until": after.open_until,
        "probe_at": after.probe_at,
        "kind": after.kind.value if after.kind is not None else None,
        "reason": after.reason,
        "now": now,
        "from_state": before.state.value,
        "event_kind": kind.value if kind is not None else None,
        "event_reason": reason or after.reason,
    }
    connection.execute(load_sql("providers/circuits/store_circuit"), values)
    if before.state is not after.state:
        connection.execute(load_sql("providers/circuits/record_event"), values)
