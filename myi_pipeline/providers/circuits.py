"""The circuits' state and history, shared by all processes.

Each user has one for polls and related requests, and each linked account one for its playlists, without a history. Only
one process gets the request that a half-open circuit admits; every change of state is recorded in the history, in the
same transaction.
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


@dataclass(frozen=True)
class CircuitOwner:
    """The owner of a circuit: its table, and its id there."""

    number: int
    is_account: bool = False

    def sql(self, text: str) -> str:
        """A statement for this holder's table: `{circuits}`, whose key is `{holder_id}`, that of `{holders}`."""
        circuits, key, holders = (
            ("ops.account_circuits", "account_id", "app.provider_accounts")
            if self.is_account
            else ("ops.circuits", "user_id", "app.users")
        )
        return text.replace("{circuits}", circuits).replace("{holder_id}", key).replace("{holders}", holders)


_COUNTED = (FailureKind.AUTHORISATION, FailureKind.NETWORK, FailureKind.UNKNOWN)
_LONGEST_REASON = 300


@dataclass(frozen=True, kw_only=True)
class ShownCircuit:
    """One circuit as shown to people, of a user's polls or an account's playlists; `failures` in a row, by kind."""

    user_key: str
    account_id: int | None = None
    provider: str | None = None
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
    """Asks to admit one request. A closed circuit costs one read."""
    return admit_holder(connection, CircuitOwner(user_id), now=now)


def admit_holder(connection: Connection, holder: CircuitOwner, *, now: datetime) -> Admission:
    """The same for any holder of a circuit."""
    found = _read(connection, holder)
    if found.state is CircuitState.CLOSED:
        return Admission(True, found)
    with connection.transaction():
        locked = _read(connection, holder, lock=True)
        admission = rules.admit(locked, now)
        _write(connection, holder, locked, admission.circuit, now)
    return admission


def note_success(connection: Connection, *, user_id: int, now: datetime) -> None:
    """Records a success. An untouched circuit costs one read."""
    note_success_of(connection, CircuitOwner(user_id), now=now)


def note_success_of(connection: Connection, holder: CircuitOwner, *, now: datetime) -> None:
    if not _read(connection, holder).is_untouched:
        _change(connection, holder, lambda _: rules.succeed(), now)


def note_failure(connection: Connection, *, user_id: int, kind: FailureKind, reason: str, now: datetime) -> Circuit:
    """Records a failure; returns the circuit. `reason` contains no secret."""
    return note_failure_of(connection, CircuitOwner(user_id), kind=kind, reason=reason, now=now)


def note_failure_of(
    connection: Connection, holder: CircuitOwner, *, kind: FailureKind, reason: str, now: datetime
) -> Circuit:  # fmt: skip
    if kind not in rules.RULES and (found := _read(connection, holder)).state is not CircuitState.HALF_OPEN:
        return found
    short = reason[:_LONGEST_REASON]
    return _change(connection, holder, lambda held: rules.fail(held, kind=kind, reason=short, now=now), now)


def reset(connection: Connection, *, user_id: int, now: datetime) -> bool:
    """Closes the circuit of a user's polls on request. False if it was closed and untouched."""
    return reset_holder(connection, CircuitOwner(user_id), now=now)


def reset_holder(connection: Connection, holder: CircuitOwner, *, now: datetime) -> bool:
    """The same for any holder of a circuit."""
    if _read(connection, holder).is_untouched:
        return False
    _change(connection, holder, lambda _: rules.succeed(), now, reason="reset by hand")
    return True


def list_circuits(connection: Connection) -> tuple[ShownCircuit, ...]:
    """Every circuit that is open, half open, or counts failures: those of polls ordered by user, then those of
    accounts.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(load_sql("providers/circuits/list_circuits")).fetchall()
        rows += cursor.execute(load_sql("providers/circuits/list_account_circuits")).fetchall()
    return tuple(_shown(row) for row in rows)


def _shown(row: dict[str, Any]) -> ShownCircuit:
    circuit = _circuit(row)
    return ShownCircuit(
        user_key=row["user_key"],
        account_id=row.get("account_id"),
        provider=row.get("provider"),
        state=circuit.state.value,
        open_until=circuit.open_until,
        kind=circuit.kind.value if circuit.kind is not None else None,
        reason=circuit.reason,
        failures={kind.value: count for kind, count in circuit.failures.items() if count},
        openings=circuit.openings,
    )


def open_users(connection: Connection, *, user_ids: list[int], now: datetime) -> dict[int, datetime]:
    """Those of these users whose circuit admits nothing now, and until when. One read for a batch."""
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
    holder: CircuitOwner,
    step: Callable[[Circuit], Circuit],
    now: datetime,
    *,
    reason: str | None = None,
) -> Circuit:
    with connection.transaction():
        # Two first failures may coincide: the row must exist before it can be locked. A removed user has none.
        connection.execute(holder.sql(load_sql("providers/circuits/ensure_row")), {"holder_id": holder.number})
        before = _read(connection, holder, lock=True)
        after = step(before)
        _write(connection, holder, before, after, now, reason=reason)
    return after


def _read(connection: Connection, holder: CircuitOwner, *, lock: bool = False) -> Circuit:
    query = holder.sql("select * from {circuits} where {holder_id} = %s")
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(f"{query} for update" if lock else query, (holder.number,)).fetchone()
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
    holder: CircuitOwner,
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
        "holder_id": holder.number,
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
    connection.execute(holder.sql(load_sql("providers/circuits/store_circuit")), values)
    if before.state is not after.state and not holder.is_account:
        connection.execute(load_sql("providers/circuits/record_event"), values)
