"""Keeping pictures: each once, bounded, from one host alone, with nothing of a person; a failure costs nothing else.

The simulator refuses a picture's request that carries a token or a cookie, so a status of 200 says that there was none.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
import psycopg
import pytest

from myi_pipeline.catalogue import picture_store
from myi_pipeline.catalogue.pictures import PicturesResult, keep_pictures, pictures_wait
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.live import Fault
from myi_pipeline.simulator.live.images_app import draw
from tests.integration.credentials.conftest import Setup

HOST = "https://i.scdn.co"
ROUTE = "/image/{name}"
# What the marts say of plays; here written by hand, as dbt has it.
MARTS = """
create table marts.agg_period_{kind}s (user_id int, period text, period_start date, {kind}_id int, plays int);
grant select on marts.agg_period_{kind}s to "{analyst}"
"""
DIM_TRACKS = """
create table marts.dim_tracks (track_id int, uri text, duration_ms int, isrc text);
grant select on marts.dim_tracks to "{analyst}"
"""
KEPT = "select url from raw.kept_pictures order by url"
STATES = "select state, count(*)::int from ops.picture_fetches group by 1"


def name_of(kind: str, number: int, size: int = 300) -> str:
    return f"ab67616d0000{size:04}{sha256(f'{kind} {number}'.encode()).hexdigest()[:24]}"


class Wall:
    """A warehouse with albums and artists that were played, and the addresses of their pictures."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        with setup.warehouse.connect(Role.DBT, autocommit=True) as connection:
            analyst = setup.warehouse.role_name(Role.ANALYST)
            for kind in ("track", "album", "artist"):
                connection.execute(MARTS.format(kind=kind, analyst=analyst).encode())
            connection.execute(DIM_TRACKS.format(analyst=analyst).encode())

    def played(self, kind: str, number: int, plays: int) -> None:
        with self.setup.warehouse.connect(Role.DBT, autocommit=True) as connection:
            insert = f"insert into marts.agg_period_{kind}s values (1, 'all', '1970-01-01', %s, %s)"
            connection.execute(insert.encode(), (number, plays))

    def picture(self, kind: str, number: int, url: str, *, place: int = 0, size: int | None = 300) -> None:
        self.setup.sql("insert into raw.pictures values (%s, %s, %s, %s, %s, %s)", kind, number, place, url, size, size)

    def hang(self, kind: str, number: int, plays: int) -> str:
        """One that was played, with pictures in three sizes; the address of the one to keep."""
        self.played(kind, number, plays)
        for place, size in enumerate((640, 300, 64)):
            self.picture(kind, number, f"{HOST}/image/{name_of(kind, number, size)}", place=place, size=size)
        return f"{HOST}/image/{name_of(kind, number)}"

    def keep(self, **options: Any) -> PicturesResult:
        settings = self.setup.settings.model_copy(update=options.pop("settings", {}))
        return keep_pictures(settings, self.setup.warehouse, clock=self.setup.clock, **options)

    def waits(self, **settings: Any) -> bool:
        changed = self.setup.settings.model_copy(update=settings)
        return pictures_wait(changed, self.setup.warehouse, now=self.setup.clock.now())

    def kept(self) -> set[str]:
        return {url for (url,) in self.setup.sql(KEPT)}

    def calls(self) -> dict[int, int]:
        """Requests for pictures by status."""
        found: Counter[int] = Counter()
        for (_, _, route, status), count in self.setup.simulator.control.call_counts().items():
            found[status] += count if route == ROUTE else 0
        return {status: count for status, count in found.items() if count}

    def due_in(self) -> timedelta:
        ((due_at,),) = self.setup.sql("select due_at from ops.picture_fetches where state = 'waiting'")
        return due_at - self.setup.clock.now()  # type: ignore[no-any-return]


@pytest.fixture
def wall(setup: Setup) -> Iterator[Wall]:
    made = Wall(setup)
    yield made
    # Whatever a test did: the picture host was never shown anything of a person, and the Web API was left alone.
    assert 400 not in made.calls()
    assert not [route for _, _, route, _ in setup.simulator.control.call_counts() if route.startswith("/tracks")]


@pytest.mark.both_servers
def test_each_picture_is_fetched_once_in_the_size_that_is_wanted(wall: Wall) -> None:
    urls = {wall.hang("album", number, 100 - number) for number in range(1, 6)}
    urls |= {wall.hang("artist", number, 50) for number in (1, 2)}
    result = wall.keep()
    sizes = {len(draw(url.rpartition("/")[2], 300)) for url in urls}
    assert (result.kept, result.failed, result.gone, result.unfit) == (7, 0, 0, 0)
    assert min(sizes) * 7 <= result.kept_bytes <= max(sizes) * 7
    assert wall.kept() == urls
    assert wall.calls() == {200: 7}
    for url, digest, media_type, content in wall.setup.sql(
        "select k.url, k.digest, f.media_type, f.content from raw.kept_pictures as k"
        " inner join raw.picture_files as f on f.digest = k.digest"
    ):
        assert bytes(content) == draw(url.rpartition("/")[2], 300)
        assert (bytes(digest), media_type) == (sha256(bytes(content)).digest(), "image/png")

    wall.setup.clock.advance(timedelta(days=400))
    assert (wall.keep().kept, wall.waits()) == (0, False)
    assert wall.calls() == {200: 7}


def test_a_run_is_bounded_and_begins_with_the_albums_that_are_played_most(wall: Wall) -> None:
    loved = wall.hang("artist", 1, 1_000)
    third, first, second = (wall.hang("album", number, plays) for number, plays in ((1, 10), (2, 30), (3, 20)))
    assert wall.keep(most=0).kept == 0
    assert wall.keep(most=2).kept == 2
    assert wall.kept() == {first, second}
    assert wall.keep(most=2).kept == 2
    assert wall.kept() == {first, second, third, loved}
    wall.hang("album", 4, 5)
    assert (wall.keep(longest_s=-1).kept, wall.calls()) == (0, {200: 4})


def test_what_was_never_played_is_not_fetched(wall: Wall) -> None:
    wall.picture("album", 1, f"{HOST}/image/{name_of('album', 1)}")
    assert (wall.keep().kept, wall.calls()) == (0, {})


def test_without_marts_there_is_nothing_to_do(setup: Setup) -> None:
    assert keep_pictures(setup.settings, setup.warehouse, clock=setup.clock).kept == 0


def test_two_albums_with_one_address_are_one_picture(wall: Wall) -> None:
    for number in (1, 2):
        wall.played("album", number, 10)
        wall.picture("album", number, f"{HOST}/image/{name_of('album', 1)}")
    assert (wall.keep().kept, wall.calls()) == (1, {200: 1})
    # And one that comes later has it at once.
    wall.played("album", 3, 10)
    wall.picture("album", 3, f"{HOST}/image/{name_of('album', 1)}")
    assert (wall.keep().kept, wall.calls()) == (0, {200: 1})


def test_equal_bytes_of_two_addresses_are_stored_once(wall: Wall) -> None:
    now = wall.setup.clock.now()
    with wall.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for name in ("a", "b"):
            fetch = picture_store.lease(connection, f"{HOST}/image/{name}", now=now)
            assert fetch is not None
            assert picture_store.keep(connection, fetch, media_type="image/png", content=draw("x", 64), now=now)
    assert wall.setup.sql("select count(*) from raw.picture_files") == [(1,)]
    assert len(wall.kept()) == 2


def test_switched_off_no_request_is_made(wall: Wall) -> None:
    wall.hang("album", 1, 10)
    result = wall.keep(settings={"covers": False})
    assert (result.kept, result.reason, wall.calls()) == (0, "MYI_COVERS is false", {})


def test_a_setup_in_which_nobody_is_signed_in_fetches_nothing_by_itself(wall: Wall) -> None:
    wall.hang("album", 1, 10)
    assert not wall.waits()
    wall.setup.sign_in(wall.setup.open())
    assert wall.waits()
    assert not wall.waits(covers=False)
    wall.setup.sql("update app.credentials set paused_at = now()")
    assert not wall.waits()


ELSEWHERE = (
    "https://images.example.org/image/1",
    "https://i.scdn.co.example.org/image/1",
    "https://i.scdn.co@example.org/image/1",
    "https://i.scdn.co/image/../_control/clock",
    "https://i.scdn.co/image/1?next=http://127.0.0.1/",
    "https://127.0.0.1/image/1",
)


def test_an_address_elsewhere_is_never_asked_nor_stored(wall: Wall) -> None:
    for number, url in enumerate(ELSEWHERE, start=2):
        wall.played("album", number, 10)
        wall.picture("album", number, url)
    known = wall.hang("album", 1, 5)
    assert (wall.keep().kept, wall.kept()) == (1, {known})
    assert wall.calls() == {200: 1}
    with wall.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for url in ELSEWHERE:
            with pytest.raises(psycopg.errors.CheckViolation):
                picture_store.lease(connection, url, now=wall.setup.clock.now())


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        ({"kind": "status", "status": 503}, timedelta(minutes=5), timedelta(minutes=6)),
        ({"kind": "reset"}, timedelta(minutes=5), timedelta(minutes=6)),
        ({"kind": "cut"}, timedelta(minutes=5), timedelta(minutes=6)),
        ({"kind": "html"}, timedelta(hours=2), timedelta(hours=3)),
        ({"kind": "empty"}, timedelta(hours=2), timedelta(hours=3)),
        ({"kind": "truncated"}, timedelta(hours=2), timedelta(hours=3)),
        ({"kind": "status", "status": 403}, timedelta(hours=2), timedelta(hours=3)),
    ],
)
def test_a_failure_is_tried_again_by_its_kind(
    wall: Wall, fault: dict[str, Any], least: timedelta, most: timedelta
) -> None:
    url, control = wall.hang("album", 1, 10), wall.setup.simulator.control
    control.fail(Fault(path="/image/*", times=None, **fault))
    assert wall.keep().failed == 1
    assert least <= wall.due_in() <= most
    assert (wall.keep().failed, control.faults_struck()) == (0, 1)
    wall.setup.clock.advance(wall.due_in())
    assert wall.keep().failed == 1
    assert wall.due_in() > least * 2 - timedelta(seconds=1)
    control.clear_faults()
    wall.setup.clock.advance(wall.due_in())
    assert (wall.keep().kept, wall.kept()) == (1, {url})


FINAL: tuple[tuple[dict[str, Any], str], ...] = (
    ({"kind": "status", "status": 404}, "gone"),
    ({"kind": "status", "status": 410}, "gone"),
    ({"kind": "svg"}, "unfit"),
    ({"kind": "disguised"}, "unfit"),
    ({"kind": "huge"}, "unfit"),
)


def test_what_is_gone_or_no_picture_is_never_asked_for_again(wall: Wall) -> None:
    for number, (fault, state) in enumerate(FINAL, start=1):
        wall.hang("album", number, 10)
        wall.setup.simulator.control.fail(Fault(path="/image/*", times=1, **fault))
        result = wall.keep()
        assert (result.kept, result.failed, getattr(result, state)) == (0, 0, 1), fault
    assert dict(wall.setup.sql(STATES)) == {"gone": 2, "unfit": 3}
    wall.setup.clock.advance(timedelta(days=400))
    assert wall.keep().kept == 0
    assert sum(wall.calls().values()) == len(FINAL)
    assert wall.setup.sql("select count(*) from raw.picture_files") == [(0,)]


def test_a_host_that_is_gone_ends_the_run_early(wall: Wall) -> None:
    for number in range(1, 31):
        wall.hang("album", number, 10)
    wall.setup.simulator.control.fail(Fault(path="/image/*", times=None, status=502))
    result = wall.keep()
    # Those that were under way when the fifth failed are the last.
    assert 5 <= result.failed <= 8
    assert result.reason == "Spotify's pictures cannot be reached"


def test_who_asks_too_often_stops_until_then(wall: Wall) -> None:
    wall.hang("album", 1, 10)
    wall.setup.simulator.control.fail(Fault(path="/image/*", status=429, retry_after=1_800))
    result = wall.keep()
    assert (result.failed, "too many requests" in result.reason) == (1, True)
    assert timedelta(minutes=29) < wall.due_in() <= timedelta(minutes=30)


def test_several_workers_never_fetch_one_picture(wall: Wall) -> None:
    urls = {wall.hang("album", number, 10) for number in range(1, 41)}
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda _: wall.keep(), range(3)))
    assert sum(result.kept for result in results) == 40
    assert wall.calls() == {200: 40}
    assert wall.kept() == urls


# Stores nothing: the process is gone between the last byte of the answer and the first of the store.
KILLED = """
import os, signal, sys
from datetime import datetime
from myi_pipeline.catalogue.pictures import keep_pictures
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.settings import load_settings
from myi_pipeline.catalogue import picture_store

picture_store.keep = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
settings = load_settings()
with open_warehouse(settings) as warehouse:
    keep_pictures(settings, warehouse, clock=lambda: datetime.fromisoformat(sys.argv[1]))
"""


def test_a_kill_between_fetch_and_store_loses_nothing(wall: Wall, environment_for_tests: dict[str, str]) -> None:
    urls = {wall.hang("album", number, 10) for number in range(1, 9)}
    environment = environment_for_tests | wall.setup.settings.environment()
    command = [sys.executable, "-c", KILLED, wall.setup.clock.now().isoformat()]
    died = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=120)
    assert died.returncode == -9, died.stderr.decode()
    assert wall.kept() == set()
    # What it had leased is let go by time; all else is there at once.
    left = wall.keep().kept
    assert 4 <= left < 8
    wall.setup.clock.advance(timedelta(minutes=5))
    assert wall.keep().kept == 8 - left
    assert wall.kept() == urls


def test_a_worker_whose_lease_has_passed_on_stores_nothing(wall: Wall) -> None:
    url = wall.hang("album", 1, 10)
    with wall.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        late = picture_store.lease(connection, url, now=wall.setup.clock.now())
        assert late is not None
        assert wall.keep().kept == 0
        wall.setup.clock.advance(timedelta(minutes=5))
        assert wall.keep().kept == 1
        now = wall.setup.clock.now()
        assert not picture_store.keep(connection, late, media_type="image/png", content=draw("x", 64), now=now)
        state = picture_store.FetchState.GONE
        assert not picture_store.fail(connection, late, state, due_at=None, error="late")
    assert wall.setup.sql("select count(*) from raw.picture_files") == [(1,)]


def test_a_warehouse_that_breaks_ends_the_run_and_raises_nothing(wall: Wall) -> None:
    wall.hang("album", 1, 10)
    wall.setup.sql("alter table ops.picture_fetches rename to elsewhere")
    assert wall.keep().reason.startswith("it failed: ")


def test_the_role_that_fetches_cannot_read_nor_change_what_is_kept(wall: Wall) -> None:
    wall.hang("album", 1, 10)
    wall.keep()
    with wall.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for statement in (
            "select content from raw.picture_files",
            "update raw.picture_files set media_type = 'image/jpeg'",
            "delete from raw.kept_pictures",
            "update raw.kept_pictures set url = url",
            "select * from ops.picture_content(''::bytea)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_store_refuses_what_the_rules_refuse(wall: Wall) -> None:
    insert = "insert into raw.picture_files values (%s, %s, %s, now())"
    refused = [(b"<svg/>", "image/svg+xml"), (b"", "image/png"), (bytes(300_001), "image/png")]
    with wall.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for content, media_type in refused:
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(insert, (sha256(content).digest(), media_type, content))
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(insert, (sha256(b"another").digest(), "image/png", b"one"))
        connection.execute(insert, (sha256(b"one").digest(), "image/png", b"one"))


def test_the_simulator_sees_what_would_be_shown_of_a_person(setup: Setup) -> None:
    """Else the statuses above would say nothing."""
    address = f"{setup.simulator.images_url}/image/{name_of('album', 1)}"
    for headers in ({"authorization": "Bearer x"}, {"cookie": "sp_t=x"}):
        assert httpx.get(address, headers=headers, trust_env=False).status_code == 400
    assert httpx.get(address, trust_env=False).status_code == 200
    assert httpx.get(f"{setup.simulator.images_url}/image/x", trust_env=False).status_code == 404
