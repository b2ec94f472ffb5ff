"""`ops.poll_obstacles`, the rule for whether a user may be polled, and what Python reads from it.

Circuits and blocks have rules in Python too, for requests of every kind: both must agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta

import pytest

from myi_pipeline.polling.obstacles import (
    ALWAYS_BLOCKING,
    BLOCKING_A_DUE_POLL,
    BLOCKING_A_REQUESTED_POLL,
    Obstacle,
    first_obstacle,
    obstacle_sentence,
    read_obstacles,
)
from myi_pipeline.polling.pace import LATEST_TURN, LEAST
from myi_pipeline.polling.poll_users import due_now
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.providers.circuit_rules import Circuit, CircuitState, admit
from myi_pipeline.providers.login_terms import SCOPES, Feature
from myi_pipeline.providers.quota_ledger import POLLS_SCOPE
from myi_pipeline.providers.quota_rules import Block, is_blocked
from tests.integration.polling.conftest import DAY, HOUR, MINUTE, Polls

SECOND = timedelta(seconds=1)


@pytest.fixture
def ingest(polls: Polls) -> Iterator[Connection]:
    with polls.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        yield connection


def obstacle(
    polls: Polls, connection: Connection, kinds: Collection[Obstacle], *, ahead: timedelta = timedelta(0)
) -> Obstacle | None:
    now = polls.now + ahead
    found = first_obstacle(read_obstacles(connection, user_id=polls.user_id), kinds, now=now, turn_at=now)
    return found.obstacle if found is not None else None


def polled(polls: Polls, *, ago: timedelta, due_in: timedelta) -> None:
    polls.setup.sql("delete from ops.poll_states")
    polls.setup.sql(
        "insert into ops.poll_states (user_id, polled_at, due_at) values (%s, %s, %s)",
        polls.user_id, polls.now - ago, polls.now + due_in,
    )  # fmt: skip


def test_nothing_stands_in_the_way_of_somebody_who_was_never_polled(polls: Polls, ingest: Connection) -> None:
    assert read_obstacles(ingest, user_id=polls.user_id) == ()


def test_the_cool_down_is_five_minutes_and_a_poll_in_the_future_is_none(polls: Polls, ingest: Connection) -> None:
    for ago, expected in ((4 * MINUTE, Obstacle.COOLING_DOWN), (5 * MINUTE, None), (-DAY, None)):
        polled(polls, ago=ago, due_in=HOUR)
        assert obstacle(polls, ingest, BLOCKING_A_REQUESTED_POLL) == expected
        assert obstacle(polls, ingest, ALWAYS_BLOCKING) is None


def test_a_poll_whose_turn_it_is_needs_no_cool_down_but_the_least_wait(polls: Polls, ingest: Connection) -> None:
    polled(polls, ago=LEAST, due_in=timedelta(0))
    assert obstacle(polls, ingest, BLOCKING_A_DUE_POLL) is None
    polled(polls, ago=LEAST - SECOND, due_in=timedelta(0))
    assert obstacle(polls, ingest, BLOCKING_A_DUE_POLL) == Obstacle.JUST_POLLED


def test_a_turn_that_a_wrong_clock_wrote_has_come(polls: Polls, ingest: Connection) -> None:
    cases = (
        (HOUR, timedelta(0), None),
        (HOUR, MINUTE, Obstacle.NOT_DUE),
        (HOUR, LATEST_TURN, Obstacle.NOT_DUE),
        (HOUR, LATEST_TURN + SECOND, None),
        (-HOUR, 2 * HOUR, None),
    )
    for ago, due_in, expected in cases:
        polled(polls, ago=ago, due_in=due_in)
        assert obstacle(polls, ingest, BLOCKING_A_DUE_POLL) == expected, (ago, due_in)
        assert bool(due_now(polls.setup.warehouse, now=polls.now)) is (expected is None), (ago, due_in)


def test_a_circuit_is_open_exactly_while_its_rules_admit_nothing(polls: Polls, ingest: Connection) -> None:
    now = polls.now
    times = {"opened_at": now, "open_until": now + HOUR}
    for circuit in (
        Circuit(state=CircuitState.CLOSED, **times),
        Circuit(state=CircuitState.OPEN, **times),
        Circuit(state=CircuitState.HALF_OPEN, probe_at=now + 2 * HOUR, **times),
    ):
        polls.setup.sql("delete from ops.circuits")
        polls.setup.sql(
            "insert into ops.circuits (user_id, state, opened_at, open_until, probe_at) values (%s, %s, %s, %s, %s)",
            polls.user_id, circuit.state.value, circuit.opened_at, circuit.open_until, circuit.probe_at,
        )  # fmt: skip
        for ahead in _around(timedelta(0), HOUR, 2 * HOUR, 2 * HOUR + 5 * MINUTE):
            expected = None if admit(circuit, now + ahead).allowed else Obstacle.CIRCUIT_OPEN
            assert obstacle(polls, ingest, ALWAYS_BLOCKING, ahead=ahead) == expected, (circuit.state, ahead)


def test_a_quota_is_blocked_exactly_while_its_rules_say_so(polls: Polls, ingest: Connection) -> None:
    block = Block(blocked_at=polls.now, blocked_until=polls.now + HOUR, in_a_row=1)
    polls.setup.sql(
        "insert into ops.quota_blocks (client_id, bucket, blocked_at, blocked_until, in_a_row)"
        " select client_id, 'polls', %s, %s, 1 from app.credentials",
        block.blocked_at, block.blocked_until,
    )  # fmt: skip
    for ahead in _around(timedelta(0), HOUR):
        expected = Obstacle.QUOTA_BLOCKED if is_blocked(block, polls.now + ahead) else None
        assert obstacle(polls, ingest, ALWAYS_BLOCKING, ahead=ahead) == expected, ahead


def test_the_scope_that_the_rule_asks_for_is_the_one_that_polls_need() -> None:
    assert [scope.name for scope in SCOPES if scope.feature is Feature.POLLS] == [POLLS_SCOPE]


def test_the_first_obstacle_is_the_reason_and_every_obstacle_has_a_sentence(polls: Polls, ingest: Connection) -> None:
    polled(polls, ago=MINUTE, due_in=HOUR)
    polls.setup.sql("update app.credentials set paused_at = %s", polls.now)
    assert obstacle(polls, ingest, BLOCKING_A_DUE_POLL) == Obstacle.PAUSED
    polls.setup.sql("update app.credentials set scopes = '{user-top-read}', paused_at = null")
    assert obstacle(polls, ingest, BLOCKING_A_DUE_POLL) == Obstacle.NOT_ALLOWED
    polls.setup.sql("update app.credentials set status = 'reauth_required'")
    assert obstacle(polls, ingest, BLOCKING_A_DUE_POLL) == Obstacle.SIGN_IN_ENDED
    polls.setup.sql("delete from app.credentials")
    assert obstacle(polls, ingest, BLOCKING_A_DUE_POLL) == Obstacle.NOT_SIGNED_IN
    for each in Obstacle:
        assert obstacle_sentence(each)
    assert "myi user login ana" in obstacle_sentence(Obstacle.NOT_SIGNED_IN, user_key="ana")


def _around(*moments: timedelta) -> list[timedelta]:
    return [moment + step for moment in moments for step in (-2 * MINUTE, -MINUTE, -SECOND, timedelta(0), SECOND)]
