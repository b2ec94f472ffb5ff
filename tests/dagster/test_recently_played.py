"""Polling through Dagster: ranges of users, failures that stay one user's, batches and turns."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from myi_pipeline.core.poll_batches import hour_of
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, USERS, sync_partitions
from tests.dagster.conftest import LiveHouse

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def test_a_range_is_polled_in_one_run_and_only_who_was_polled_is_reported(live_house: LiveHouse) -> None:
    house = live_house
    house.simulator.control.fail("status", status=403, listener="dee", path="/v1/*", times=50)

    done = house.poll("ana", "eva")

    # Cem has no login, Dee's request fails: neither partition is reported, and the run goes on.
    assert done.success
    reported = house.reported()
    assert {key: each["outcome"] for key, each in reported.items()} == {"ana": "new", "ben": "new", "eva": "none"}
    assert reported["ana"]["new_plays"] == reported["ana"]["items"] == 50
    assert house.sql("select count(*) from raw.listening_events where source_id = 3")[0][0] == sum(
        each["new_plays"] for each in reported.values()
    )
    lines = [entry.user_message for entry in house.instance.all_logs(done.run_id)]
    assert any(line.startswith("dee: ") and "refuses" in line for line in lines), lines
    assert any(line.startswith("3 users polled (failed 1, new 2, none 1); ") for line in lines), lines

    # Half of those who were asked may fail. Alone, Dee is all of them; a range without users is no success either.
    house.sql("update ops.poll_states set due_at = null where failures > 0")
    alone = house.poll("dee", "dee")
    assert not alone.success
    (failure,) = alone.get_step_failure_events()
    assert "1 of 1 users failed; the first: dee" in str(failure.step_failure_data.user_failure_data)
    assert not house.poll("eva", "ana").success

    # An hour later the page holds what is known and what is new; nothing in a cool-down, nothing before its turn.
    assert house.poll("ana", "ben", force=False).success
    polls = house.sql("select count(*) from ops.polls")
    house.clock.advance(10 * MINUTE)
    assert house.poll("ben", "ben", turn_within_minutes=0).success
    assert house.sql("select count(*) from ops.polls") == polls
    assert house.poll("ben", "ben", force=True).success
    assert house.reported()["ben"]["outcome"] == "known"
    house.clock.advance(12 * HOUR)
    assert house.poll("ana", "ben").success
    assert house.reported()["ana"]["outcome"] == "gap"
    assert house.reported()["ana"]["gap_start"] < house.reported()["ana"]["gap_end"]


def test_each_batch_is_asked_for_once_an_hour_and_who_cannot_wait_sooner(live_house: LiveHouse) -> None:
    house = live_house
    begins = hour_of(house.clock.now()) + HOUR
    house.clock.set(begins)
    asked = [
        (minute, request) for minute in (0, 29, 30, 31, 59) for request in house.schedule(begins + minute * MINUTE)
    ]
    ((minute, batch),) = asked
    assert minute == 30
    assert (batch.tags[RANGE_START], batch.tags[RANGE_END]) == ("ana", "eva")

    # Asked for: not again in this hour, though a user who came moved nothing; and again in the next.
    run_tags = {**batch.tags, "dagster/run_key": str(batch.run_key)}
    house.clock.set(begins + 30 * MINUTE)
    assert house.run("poll_users", tags=run_tags, run_config=batch.run_config).success
    assert house.schedule(begins + 30 * MINUTE) == []
    (following,) = house.schedule(begins + 90 * MINUTE)
    assert following.run_key != batch.run_key

    # Ana fills the window long before the next batch; the others wait for it.
    ((due_at,),) = house.sql(
        "select due_at from ops.poll_states inner join app.users using (user_id) where user_key = 'ana'"
    )
    assert due_at < begins + 70 * MINUTE
    house.clock.set(due_at - MINUTE)
    assert "before their batch" in str(house.sensor("polls_sooner").skip_message)
    house.clock.set(due_at + timedelta(seconds=1))
    sooner = house.sensor("polls_sooner")
    assert (sooner.tags[RANGE_START], sooner.tags[RANGE_END]) == ("ana", "ana")
    polled_before = house.sql("select count(*) from ops.polls")[0][0]
    assert house.run("poll_users", tags=dict(sooner.tags), run_config=sooner.run_config).success
    assert house.sql("select count(*) from ops.polls")[0][0] == polled_before + 1
    assert isinstance(house.sensor("polls_sooner"), dg.SkipReason)

    # While polls wait for a free slot no more are asked for.
    job = house.definitions.resolve_job_def("poll_users")
    for _ in range(6):
        house.instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, tags={RANGE_START: "dee", RANGE_END: "dee"}
        )
    assert house.schedule(begins + 90 * MINUTE) == []
    house.clock.advance(5 * HOUR)
    assert "free slot" in str(house.sensor("polls_sooner").skip_message)


def test_checks_of_polling_count_down_the_logins_and_see_who_waits(live_house: LiveHouse) -> None:
    house = live_house
    assert house.poll("ana", "eva").success
    assert _checks(house) == {"logins_are_good": True, "polls_are_fresh": True}

    house.clock.advance(4 * HOUR)
    assert _checks(house) == {"logins_are_good": True, "polls_are_fresh": False}
    house.clock.advance(timedelta(days=155))
    house.sql("update ops.poll_states set due_at = %s", house.clock.now())
    assert _checks(house) == {"logins_are_good": False, "polls_are_fresh": True}
    assert _severity(house) == dg.AssetCheckSeverity.WARN
    house.clock.advance(timedelta(days=22))
    _checks(house)
    assert _severity(house) == dg.AssetCheckSeverity.ERROR


def test_the_partition_of_a_user_who_left_goes_when_no_poll_holds_it(live_house: LiveHouse) -> None:
    house = live_house
    house.sql("delete from app.users where user_key in ('ben', 'eva')")
    job = house.definitions.resolve_job_def("poll_users")
    tags = {RANGE_START: "ana", RANGE_END: "cem"}
    run = house.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)

    (request,) = house.sensor("users").dynamic_partitions_requests
    assert request.partition_keys == ["eva"]

    house.instance.delete_run(run.run_id)
    assert sync_partitions(house.instance, house.warehouse) == (0, 2)
    assert list(house.instance.get_dynamic_partitions(USERS)) == ["ana", "cem", "dee"]


def _checks(house: LiveHouse) -> dict[str, bool]:
    done = house.run("check_polls")
    assert done.success
    return {check.check_name: check.passed for check in done.get_asset_check_evaluations()}


def _severity(house: LiveHouse) -> dg.AssetCheckSeverity:
    done = house.run("check_polls")
    return next(check.severity for check in done.get_asset_check_evaluations() if check.check_name == "logins_are_good")
