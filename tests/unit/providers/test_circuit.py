"""The circuit as a state machine: thresholds, waits, and that one request at a time finds out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.providers.circuit_rules import (
    LONGEST_PROBE,
    RULES,
    Circuit,
    CircuitState,
    admit,
    fail,
    let_go,
    succeed,
)
from myi_pipeline.providers.retries import FailureKind

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
CASES = [(FailureKind.AUTHORISATION, 3, 24), (FailureKind.NETWORK, 5, 2), (FailureKind.UNKNOWN, 10, 1)]


def failed(kind: FailureKind, times: int, *, now: datetime = NOW, circuit: Circuit | None = None) -> Circuit:
    held = circuit or Circuit()
    for _ in range(times):
        held = fail(held, kind=kind, reason="r", now=now)
    return held


@pytest.mark.parametrize(("kind", "failures", "hours"), CASES)
def test_each_kind_opens_at_its_own_number_for_its_own_time(kind: FailureKind, failures: int, hours: int) -> None:
    before = failed(kind, failures - 1)
    assert before.state is CircuitState.CLOSED
    assert admit(before, NOW).allowed
    after = failed(kind, 1, circuit=before)
    assert after.state is CircuitState.OPEN
    refused = admit(after, NOW + hours * HOUR - timedelta(seconds=1))
    assert not refused.allowed
    assert refused.retry_at == NOW + hours * HOUR
    assert admit(after, NOW + hours * HOUR).allowed


def test_kinds_do_not_add_up() -> None:
    held = failed(FailureKind.UNKNOWN, 9, circuit=failed(FailureKind.NETWORK, 4))
    assert held.state is CircuitState.CLOSED


def test_a_success_forgets_every_failure() -> None:
    assert succeed() == Circuit()
    assert succeed().is_untouched


@pytest.mark.parametrize("kind", [FailureKind.PUT_OFF, FailureKind.GONE])
def test_what_says_nothing_about_the_user_changes_nothing(kind: FailureKind) -> None:
    held = failed(FailureKind.NETWORK, 2)
    assert failed(kind, 100, circuit=held) == held


def test_half_open_lets_one_through_until_it_reports_or_is_given_up() -> None:
    open_ = failed(FailureKind.NETWORK, 5)
    due = NOW + 2 * HOUR
    first = admit(open_, due)
    assert first.allowed
    assert first.circuit.state is CircuitState.HALF_OPEN
    assert not admit(first.circuit, due).allowed
    assert not admit(first.circuit, due + LONGEST_PROBE - timedelta(seconds=1)).allowed
    assert admit(first.circuit, due + LONGEST_PROBE).allowed
    assert admit(let_go(first.circuit, due), due).allowed


def test_each_failure_of_the_one_request_doubles_the_wait_up_to_a_day() -> None:
    held, now, waits = failed(FailureKind.NETWORK, 5), NOW, []
    for _ in range(6):
        assert held.open_until is not None
        waits.append((held.open_until - now) / HOUR)
        now = held.open_until
        held = fail(admit(held, now).circuit, kind=FailureKind.NETWORK, reason="r", now=now)
    assert waits == [2, 4, 8, 16, 24, 24]


def test_stragglers_of_an_open_circuit_do_not_extend_it() -> None:
    held = failed(FailureKind.NETWORK, 5)
    assert failed(FailureKind.NETWORK, 20, now=NOW + HOUR, circuit=held) == held


def test_a_clock_that_was_set_back_does_not_keep_anybody_out() -> None:
    held = failed(FailureKind.NETWORK, 5)
    assert admit(held, NOW - timedelta(days=1)).allowed


@given(st.lists(st.tuples(st.sampled_from(["ask", *RULES]), st.integers(0, 100_000)), max_size=60))
def test_whatever_happens_no_wait_is_beyond_the_cap_and_success_opens_the_way(
    steps: list[tuple[str | FailureKind, int]],
) -> None:
    held, now = Circuit(), NOW
    for step, seconds in steps:
        now += timedelta(seconds=seconds)
        admission = admit(held, now)
        held = admission.circuit
        if not admission.allowed:
            assert admission.retry_at is not None
            assert now < admission.retry_at <= now + timedelta(days=7)
        elif isinstance(step, FailureKind):
            held = fail(held, kind=step, reason="r", now=now)
        if held.state is CircuitState.OPEN:
            assert held.kind is not None
            assert held.open_until is not None
            assert held.opened_at is not None
            assert held.open_until - held.opened_at <= RULES[held.kind].longest
    assert admit(succeed(), now).allowed
