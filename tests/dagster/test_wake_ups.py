"""Sensors look every few minutes, and at once when there is something for them to do."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
import pytest

# What the daemon itself stores and asks; a test that made up its own would show nothing.
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, SensorInstigatorData
from dagster._daemon.sensor import get_elapsed

from myi_pipeline.archives.uploads.scan import SETTLE_S
from myi_pipeline.defs.live_wishes import Wishes
from myi_pipeline.defs.wake_ups import UploadsWatch, WakeUps, keep_playlist_files, load_listens, make_due
from myi_pipeline.operations.heartbeats import begin
from myi_pipeline.playlists.file_inbox import accept_file
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.wake_ups import CHANNEL, Wake
from myi_pipeline.submissions.inbox import ACCEPT, accept_values
from myi_pipeline.submissions.listens import Listen, Submission
from tests.dagster.conftest import LiveSetup, Setup

NAMES = ("changes", "users", "uploads", "polls", "service_polls", "migrations", "exports", "lost_runs", "notices")


def evaluated(setup: Setup, *names: str) -> None:
    """As the daemon stores it when it has just evaluated these sensors."""
    location = RegisteredCodeLocationOrigin("myi")
    known = {state.instigator_name for state in setup.instance.all_instigator_state()}
    for name in names:
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
        data = SensorInstigatorData(
            last_tick_timestamp=time.time(), last_tick_start_timestamp=time.time(), min_interval=300, cursor="kept"
        )
        state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, data)
        if name in known:
            setup.instance.update_instigator_state(state)
        else:
            setup.instance.add_instigator_state(state)


def due(setup: Setup) -> set[str]:
    """Sensors that the daemon evaluates with its next look."""
    states = setup.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return {state.instigator_name for state in states if get_elapsed(state) is None}


def cursors(setup: Setup, names: Iterable[str]) -> set[str | None]:
    states = setup.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    datas = [state.instigator_data for state in states if state.instigator_name in names]
    return {data.cursor for data in datas if isinstance(data, SensorInstigatorData)}


def test_every_sensor_looks_seldom_by_itself(setup: Setup) -> None:
    assert {sensor.name for sensor in setup.definitions.sensors or ()} == set(NAMES)
    assert {sensor.minimum_interval_seconds for sensor in setup.definitions.sensors or ()} == {300}
    assert set(NAMES) >= set(Wake) - {Wake.LIVE, Wake.LISTENS, Wake.PLAYLIST_FILES}


def test_a_sensor_that_is_made_due_is_evaluated_and_keeps_its_cursor(setup: Setup) -> None:
    evaluated(setup, *NAMES)
    assert due(setup) == set()

    assert make_due(setup.instance, {"uploads", "nobody"}) == {"uploads"}

    assert due(setup) == {"uploads"}
    assert cursors(setup, NAMES) == {"kept"}
    # The tick that was under way meanwhile wrote its times: it may have looked too early.
    began = time.time()
    evaluated(setup, "uploads")
    assert make_due(setup.instance, {"uploads"}, since=time.time() + 1) == {"uploads"}
    evaluated(setup, "uploads")
    assert make_due(setup.instance, {"uploads"}, since=began) == set()
    assert due(setup) == set()


@pytest.mark.slow
def test_what_is_said_wakes_whom_it_concerns_and_changes_wait_for_the_refresh_under_way(setup: Setup) -> None:
    wake_ups = WakeUps(setup.settings, setup.instance)
    job = setup.definitions.resolve_job_def("refresh_marts")
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        evaluated(setup, *NAMES)
        wake_ups.look(connection)
        assert due(setup) == set()

        wake_ups.note(Wake.CHANGES)
        wake_ups.look(connection)
        assert due(setup) == {"changes"}

        # While a refresh runs there is nothing to ask for; what comes meanwhile is asked for when it has ended.
        run = setup.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        evaluated(setup, *NAMES)
        wake_ups.note(Wake.CHANGES)
        wake_ups.note(Wake.USERS)
        wake_ups.look(connection)
        assert due(setup) == {"users", "lost_runs"}
        evaluated(setup, *NAMES)
        setup.instance.report_run_failed(run)
        wake_ups.look(connection)
        assert due(setup) == {"changes"}


def test_a_silent_run_wakes_its_sensor_between_two_looks(setup: Setup) -> None:
    now = [1000.0]
    wake_ups = WakeUps(setup.settings, setup.instance, monotonic=lambda: now[0])
    job = setup.definitions.resolve_job_def("refresh_marts")
    run = setup.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert begin(connection, run.run_id)

        def after(seconds: float) -> set[str]:
            """Who is due that many seconds later."""
            evaluated(setup, *NAMES)
            now[0] += seconds
            aged = "update ops.run_heartbeats set {0} = {0} - make_interval(secs => %s) where run_id = %s"
            for moment in ("seen_at", "doubted_at"):
                connection.execute(aged.format(moment).encode(), (seconds, run.run_id))
            wake_ups.look_at_heartbeats(connection)
            return due(setup)

        wake_ups.look(connection)
        assert after(19) == set()
        assert after(5) == set()
        assert after(5) == set()
        assert after(4) == set(), "it is looked at every five seconds"
        assert after(2) == {"lost_runs"}
        assert after(5) == set(), "once is enough"


def test_files_wake_the_uploads_sensor_until_they_have_settled(setup: Setup) -> None:
    now = [1000.0]
    wake_ups = WakeUps(setup.settings, setup.instance, monotonic=lambda: now[0])
    setup.add_users("ana")
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        evaluated(setup, *NAMES)
        wake_ups.look(connection)
        assert due(setup) == set()
        setup.put("ana/one.zip")
        now[0] += 15
        wake_ups.look(connection)
        assert due(setup) == {"uploads"}
        evaluated(setup, *NAMES)
        now[0] += SETTLE_S + 1
        wake_ups.look(connection)
        assert due(setup) == {"uploads"}
        evaluated(setup, *NAMES)
        now[0] += 10 * SETTLE_S
        wake_ups.look(connection)
        assert due(setup) == set()


def test_a_folder_that_takes_long_to_look_through_is_looked_at_less_often(setup: Setup) -> None:
    # Each look takes a second of this clock.
    seconds = iter(range(1000))
    watch = UploadsWatch(setup.settings.uploads_folder, clock=lambda: float(next(seconds)))
    assert not watch.has_changed()
    setup.put("ana/one.zip")
    assert [watch.has_changed() for _ in range(190)] == [False] * 190
    assert any(watch.has_changed() for _ in range(20))


@pytest.mark.slow
def test_a_turn_that_has_come_wakes_the_polls_once_in_five_minutes(live_setup: LiveSetup) -> None:
    setup = live_setup
    wake_ups = WakeUps(setup.settings, setup.instance, clock=setup.clock)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        evaluated(setup, *NAMES)
        wake_ups.look(connection)
        assert "polls" in due(setup)
        evaluated(setup, *NAMES)
        setup.clock.advance(20)
        wake_ups.look(connection)
        assert "polls" not in due(setup)
        setup.clock.advance(300)
        wake_ups.look(connection)
        assert "polls" in due(setup)

        assert setup.poll("ana", "eva").success
        evaluated(setup, *NAMES)
        setup.clock.advance(60)
        WakeUps(setup.settings, setup.instance, clock=setup.clock).look(connection)
        assert "polls" not in due(setup)


def test_a_poll_that_was_asked_for_is_reported_as_one_of_a_run(live_setup: LiveSetup) -> None:
    setup = live_setup
    ((user_id,),) = setup.sql("select user_id from app.users where user_key = 'ana'")
    # Wishes go by this machine's clock.
    setup.sql("update app.credentials set authorised_at = now()")
    wishes = Wishes(setup.settings, setup.warehouse, setup.instance)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        wishes.look(connection)
        setup.sql("select ops.wish(%s, 'poll', now())", user_id)
        wishes.look(connection)
        # It ends when what was begun is done.
        wishes.close()
    assert set(setup.reported()) == {"ana"}
    assert setup.reported()["ana"]["outcome"] == "new"


def test_every_sensor_can_be_evaluated_at_any_moment(setup: Setup) -> None:
    """A wake-up too many costs a tick and nothing else."""
    for name in (*NAMES, *NAMES):
        setup.sensor(name)


def test_what_players_submit_is_loaded_at_once_and_wakes_the_refresh(setup: Setup) -> None:
    setup.add_users("ana")
    ((user_id,),) = setup.sql("select user_id from app.users")
    now = datetime.now(UTC)
    with (
        setup.warehouse.connect(Role.INGEST, autocommit=True) as connection,
        setup.warehouse.connect(Role.APP, autocommit=True) as site,
    ):
        connection.execute(f"listen {CHANNEL}".encode())
        for number in range(3):
            listen = Listen(
                row_index=0, listened_at=int(now.timestamp()) - number, title="So What", artist="Miles Davis"
            )
            submission = Submission(listen_type="single", listens=(listen,), refused=())
            site.execute(ACCEPT, accept_values(submission, user_id=user_id, token_id=1))
        heard = list(connection.notifies(timeout=5, stop_after=3))
        assert [each.payload for each in heard] == [Wake.LISTENS] * 3
        load_listens(connection)
        told = {each.payload for each in connection.notifies(timeout=5, stop_after=3)}
        assert told == {Wake.CHANGES}
        assert connection.execute("select count(*) from raw.listening_events").fetchone() == (3,)


def test_a_playlist_file_is_stored_at_once_and_wakes_the_refresh(setup: Setup) -> None:
    setup.add_users("ana")
    ((user_id,),) = setup.sql("select user_id from app.users")
    with (
        setup.warehouse.connect(Role.INGEST, autocommit=True) as connection,
        setup.warehouse.connect(Role.APP, autocommit=True) as site,
    ):
        connection.execute(f"listen {CHANNEL}".encode())
        content = b"#EXTM3U\n#PLAYLIST:Trip\nhttps://open.spotify.com/track/1\n"
        accept_file(site, user_id=user_id, name="trip.m3u8", content=content)
        assert [each.payload for each in connection.notifies(timeout=5, stop_after=1)] == [Wake.PLAYLIST_FILES]
        keep_playlist_files(connection)
        assert [each.payload for each in connection.notifies(timeout=5, stop_after=1)] == [Wake.CHANGES]
        assert connection.execute("select name from raw.playlist_versions").fetchall() == [("Trip",)]
        assert connection.execute("select count(*) from ops.playlist_file_inbox").fetchone() == (0,)
