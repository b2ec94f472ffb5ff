"""Polling through Dagster: ranges of users, failures that stay one user's, batches and turns."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import dagster as dg
import pytest

from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, USERS, sync_partitions
from myi_pipeline.polling.pace import slot_of
from tests.dagster.conftest import SIGNED_IN, LiveSetup

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.slow
def test_a_range_is_polled_in_one_run_and_only_who_was_polled_is_reported(live_setup: LiveSetup) -> None:
    setup = live_setup
    setup.simulator.control.fail("status", status=403, listener="dee", path="/v1/*", times=50)

    done = setup.poll("ana", "eva")

    # Cem has no login, Dee's request fails: neither partition is reported, and the run goes on.
    assert done.success
    reported = setup.reported()
    assert {key: each["outcome"] for key, each in reported.items()} == {"ana": "new", "ben": "new", "eva": "none"}
    assert reported["ana"]["new_plays"] == reported["ana"]["items"] == 50
    assert setup.sql("select count(*) from raw.listening_events where source_id = 3")[0][0] == sum(
        each["new_plays"] for each in reported.values()
    )
    lines = [entry.user_message for entry in setup.instance.all_logs(done.run_id)]
    assert any(line.startswith("dee: ") and "refuses" in line for line in lines), lines
    assert any(line.startswith("3 users polled (failed 1, new 2, none 1); ") for line in lines), lines

    # Half of those who were asked may fail. Alone, Dee is all of them; a range without users is no success either.
    setup.sql("update ops.poll_states set due_at = null where failures > 0")
    alone = setup.poll("dee", "dee")
    assert not alone.success
    (failure,) = alone.get_step_failure_events()
    assert "1 of 1 users failed; the first: dee" in str(failure.step_failure_data.user_failure_data)
    assert not setup.poll("eva", "ana").success

    # An hour later the page holds what is known and what is new; nothing in a cool-down, nothing before its turn.
    assert setup.poll("ana", "ben", force=False).success
    polls = setup.sql("select count(*) from ops.polls")
    setup.clock.advance(10 * MINUTE)
    assert setup.poll("ben", "ben", turn_within_minutes=0).success
    assert setup.sql("select count(*) from ops.polls") == polls
    assert setup.poll("ben", "ben", force=True).success
    assert setup.reported()["ben"]["outcome"] == "known"
    setup.clock.advance(12 * HOUR)
    assert setup.poll("ana", "ben").success
    assert setup.reported()["ana"]["outcome"] == "gap"
    assert setup.reported()["ana"]["gap_start"] < setup.reported()["ana"]["gap_end"]


def test_one_run_polls_all_of_a_household_who_are_due_at_most_once_in_five_minutes(live_setup: LiveSetup) -> None:
    setup = live_setup

    def polls() -> int:
        return int(setup.sql("select count(*) from ops.polls")[0][0])

    def run_what_is_asked_for() -> list[tuple[str, str]]:
        result = setup.polls_sensor()
        requests = list(result.run_requests or ()) if isinstance(result, dg.SensorResult) else []
        for request in requests:
            assert setup.run("poll_users", tags=dict(request.tags), run_config=request.run_config).success
        return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requests]

    begins = slot_of(setup.clock.now()) + HOUR
    setup.clock.set(begins)
    assert run_what_is_asked_for() == [("ana", "eva")]
    assert polls() == len(SIGNED_IN)
    assert "have been requested" in str(setup.polls_sensor().skip_message)

    # An hour of looks every half minute: Ana skips through tracks, the others are silent now and then.
    asked: dict[datetime, tuple[str, str]] = {}
    for look in range(1, 120):
        setup.clock.set(begins + look * timedelta(seconds=30))
        for span in run_what_is_asked_for():
            asked[setup.clock.now()] = span
    assert len(asked) <= 12
    assert len({slot_of(moment) for moment in asked}) == len(asked)
    times = dict(
        setup.sql(
            "select user_key, array_agg(polled_at order by polled_at) from ops.polls"
            " inner join app.users using (user_id) group by 1"
        )
    )
    for key in SIGNED_IN:
        waits = [later - earlier for earlier, later in pairwise(times[key])]
        assert max(waits) <= 20 * MINUTE, key
    assert len(times["ana"]) >= 11
    assert len(times["eva"]) == 4

    # Eva asks for a poll in between.
    setup.clock.set(begins + HOUR + 30 * SECOND)
    assert run_what_is_asked_for()[0][1] == "eva"
    setup.clock.advance(6 * MINUTE)
    assert run_what_is_asked_for() == [("ana", "ana")]
    setup.clock.advance(5 * MINUTE)
    eva = "update ops.poll_states set due_at = %s from app.users as u where u.user_id = poll_states.user_id"
    setup.sql(f"{eva} and user_key = 'eva'", setup.clock.now())
    assert run_what_is_asked_for() == [("ana", "eva")]

    # While polls wait for a free slot no more are asked for, and with the slot free they are, in the same minutes.
    job = setup.definitions.resolve_job_def("poll_users")
    waiting = [
        setup.instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, tags={RANGE_START: "dee", RANGE_END: "dee"}
        )
        for _ in range(6)
    ]
    setup.clock.advance(HOUR)
    assert "free slot" in str(setup.polls_sensor().skip_message)
    for run in waiting:
        setup.instance.delete_run(run.run_id)
    assert run_what_is_asked_for() == [("ana", "eva")]


@pytest.mark.slow
def test_checks_of_polling_count_down_the_logins_and_see_who_waits(live_setup: LiveSetup) -> None:
    setup = live_setup
    assert setup.poll("ana", "eva").success
    assert _checks(setup) == {"logins_are_good": True, "polls_are_fresh": True, "polls_succeed": True}

    setup.clock.advance(4 * HOUR)
    assert _checks(setup) == {"logins_are_good": True, "polls_are_fresh": False, "polls_succeed": True}
    setup.clock.advance(timedelta(days=155))
    setup.sql("update ops.poll_states set due_at = %s", setup.clock.now())
    assert _checks(setup) == {"logins_are_good": False, "polls_are_fresh": True, "polls_succeed": True}
    assert _severity(setup) == dg.AssetCheckSeverity.WARN
    setup.clock.advance(timedelta(days=22))
    _checks(setup)
    assert _severity(setup) == dg.AssetCheckSeverity.ERROR


def test_the_partition_of_a_user_who_left_goes_when_no_poll_holds_it(live_setup: LiveSetup) -> None:
    setup = live_setup
    setup.sql("delete from app.users where user_key in ('ben', 'eva')")
    job = setup.definitions.resolve_job_def("poll_users")
    tags = {RANGE_START: "ana", RANGE_END: "cem"}
    run = setup.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)

    assert isinstance(setup.sensor("users"), dg.SkipReason)
    assert list(setup.instance.get_dynamic_partitions(USERS)) == ["ana", "ben", "cem", "dee"]

    setup.instance.delete_run(run.run_id)
    assert sync_partitions(setup.instance, setup.warehouse) == (0, 1)
    assert list(setup.instance.get_dynamic_partitions(USERS)) == ["ana", "cem", "dee"]


def _checks(setup: LiveSetup) -> dict[str, bool]:
    done = setup.run("check_polls")
    assert done.success
    return {check.check_name: check.passed for check in done.get_asset_check_evaluations()}


def _severity(setup: LiveSetup) -> dg.AssetCheckSeverity:
    done = setup.run("check_polls")
    return next(check.severity for check in done.get_asset_check_evaluations() if check.check_name == "logins_are_good")


def test_the_sensor_does_not_say_that_nobody_is_signed_in_while_spotify_asks_for_silence(live_setup: LiveSetup) -> None:
    setup = live_setup
    setup.sql(
        "insert into ops.quota_blocks (client_id, bucket, blocked_at, blocked_until, in_a_row)"
        " select distinct client_id, 'polls', %s::timestamptz, %s::timestamptz, 1 from app.credentials",
        setup.clock.now(),
        setup.clock.now() + 48 * HOUR,
    )
    assert setup.polls_sensor().skip_message == "no user may be polled now"
