"""A failed run, a failed partition and a stopped pipeline reach the operator within ten minutes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from pydantic import SecretStr

from myi_pipeline.defs.notices import LOOK_EVERY, TURN, Telling, take_turn, telling_people
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START
from myi_pipeline.notices import journal
from myi_pipeline.notices.sending import NoticeSender
from myi_pipeline.notices.targets import settings_addresses
from myi_pipeline.postgres.connections import Connection, Role
from tests.dagster.conftest import Setup
from tests.integration.notices.receivers import Mailbox, taking_mail

PROMISED = timedelta(minutes=10)
# As long as the thread of the daemon waits at most.
STEP = timedelta(seconds=15)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with taking_mail() as made:
        yield made


@dataclass
class Watched:
    """What the daemon's thread does, by a clock that is moved."""

    telling: Telling
    now: datetime

    def run(self, mailbox: Mailbox, letters: int) -> timedelta:
        """Until so many letters are there: how long that took."""
        began = self.now
        while len(mailbox.letters) < letters:
            assert self.now - began <= PROMISED, mailbox.subjects
            self.telling.step()
            self.now += STEP
        return self.now - began


@pytest.fixture
def watched(setup: Setup, mailbox: Mailbox) -> Iterator[Watched]:
    settings = setup.settings.model_copy(update={"notices_urls": SecretStr(mailbox.url)})
    with closing(setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        made = Watched.__new__(Watched)
        made.now = datetime.now(UTC)
        teller = NoticeSender(settings, connection, clock=lambda: made.now)
        made.telling = Telling(settings, setup.warehouse, teller, clock=lambda: made.now)
        yield made


def execute(setup: Setup, job: str, *, is_good: bool, first: str | None = None, last: str | None = None) -> None:
    @dg.op(name="work")
    def work() -> None:
        if not is_good:
            raise dg.Failure(description="the network is away", allow_retries=False)

    @dg.job(name=job)
    def made() -> None:
        work()

    tags = {RANGE_START: first, RANGE_END: last or first} if first is not None else {}
    made.execute_in_process(instance=setup.instance, raise_on_error=False, tags=tags)


def test_the_operator_hears_within_ten_minutes_what_failed_and_that_it_works_again(
    setup: Setup, watched: Watched, mailbox: Mailbox
) -> None:
    setup.add_users("ana", "ben", "cara")
    watched.telling.step()
    assert mailbox.letters == []
    watched.now += LOOK_EVERY / 2

    execute(setup, "refresh_marts", is_good=False)
    assert watched.run(mailbox, 1) <= PROMISED
    assert mailbox.subjects == ["refresh_marts failed"]

    # A partition: a success for other users is no remedy, one for all of them is.
    execute(setup, "poll_users", is_good=False, first="ben")
    assert watched.run(mailbox, 2) <= PROMISED
    body = mailbox.letters[1].get_body(("plain",))
    assert body is not None
    # By how many, not by name: a notice outlasts a user who is erased.
    assert "It was for one user." in body.get_content()
    assert "ben" not in body.get_content()
    execute(setup, "poll_users", is_good=True, first="cara")
    execute(setup, "refresh_marts", is_good=True)
    assert watched.run(mailbox, 3) <= PROMISED
    execute(setup, "poll_users", is_good=True, first="ana", last="cara")
    assert watched.run(mailbox, 4) <= PROMISED
    assert mailbox.subjects[2:] == ["refresh_marts works again", "poll_users works again"]

    # Nothing refreshes: what changed three hours ago is promised by now.
    setup.sql(
        "insert into ops.changed_days (user_id, utc_day, changed_at)"
        " select user_id, '2024-03-09', now() - interval '3 hours 1 minute' from app.users where user_key = 'ana'"
    )
    assert watched.run(mailbox, 5) <= PROMISED
    setup.sql("delete from ops.changed_days")
    assert watched.run(mailbox, 6) <= PROMISED
    assert mailbox.subjects[4:] == ["The figures are not being updated", "The figures are up to date again"]

    # Once each, however often it is looked.
    for _ in range(3):
        watched.now += LOOK_EVERY
        watched.telling.step()
    assert len(mailbox.letters) == 6


@pytest.mark.slow
def test_the_thread_of_the_daemon_sends_at_once_what_it_is_told_of(setup: Setup, mailbox: Mailbox) -> None:
    settings = setup.settings.model_copy(update={"notices_urls": SecretStr(mailbox.url)})
    (key,) = settings_addresses(settings)
    with (
        telling_people(settings),
        closing(setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection,
    ):
        wait_for(lambda: is_told_by_somebody(connection), what="the thread tells")
        for letters in (1, 2):
            journal.journal_settings_test(
                connection, settings_key=key, site_url="http://127.0.0.1", now=datetime.now(UTC)
            )
            # Far sooner than its next look.
            wait_for(lambda wanted=letters: len(mailbox.letters) == wanted, what="the letter comes")
    assert mailbox.subjects == ["A test from MYI"] * 2


def is_told_by_somebody(connection: Connection) -> bool:
    """It only looks: whoever takes the turn to find that out takes it from the thread, which waits two minutes then."""
    query = (
        "select exists (select from pg_locks where locktype = 'advisory' and granted and objsubid = 1"
        " and classid = %s and objid = %s"
        " and database = (select oid from pg_database where datname = current_database()))"
    )
    ((is_told,),) = connection.execute(query, (TURN >> 32, TURN & 0xFFFFFFFF)).fetchall()
    return bool(is_told)


def wait_for(is_so: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_the_sensor_tells_where_no_daemon_of_ours_does(setup: Setup, mailbox: Mailbox) -> None:
    execute(setup, "refresh_marts", is_good=False)
    installation = setup.resources["installation"]
    changed = installation.settings.model_copy(update={"notices_urls": SecretStr(mailbox.url)})
    setup.settings = changed
    with closing(setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        assert take_turn(connection)
        assert "sends notices itself" in str(setup.sensor("notices"))
        assert mailbox.letters == []
    assert "1 notices sent" in str(setup.sensor("notices"))
    assert mailbox.subjects == ["refresh_marts failed"]
