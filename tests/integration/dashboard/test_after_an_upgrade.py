"""Marts that another version of MYI built, until the first refresh: what cannot be read says that it is being rebuilt,
and nothing tells a person who has a history to begin one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from myi_pipeline.catalogue.plays import ContentKind, make_content
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import open_work, refresh_marts
from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role, Warehouse, with_parameters
from myi_pipeline.postgres.migrations import HEAD, REVISIONS, runner
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from myi_pipeline.web.app import create_app
from tests.conftest import free_port
from tests.integration.api.conftest import serving
from tests.integration.dashboard.conftest import Browser, check_form, read_page
from tests.integration.reads.conftest import Api, Filled

SCHEMAS = "app, raw, ops, load, staging, intermediate, marts"
# Enough for its pages, with fewer columns than today's.
OLDER_MARTS = (
    "create table marts.user_versions (user_id int, version bigint, refreshed_at timestamptz)",
    "create table marts.agg_day_user (user_id int, local_date date, plays int, ms_played bigint)",
)
BEING_REBUILT = "urn:myi:problem:being-rebuilt"
READS = (
    "/v1/me/summary", "/v1/me/timeline", "/v1/me/clock", "/v1/me/plays", "/v1/me/top/tracks", "/v1/me/top/artists",
    "/v1/me/top/shows", "/v1/me/streaks", "/v1/me/sessions", "/v1/me/coverage", "/v1/me/search?q=lumen",
)  # fmt: skip


def pages(filled: Filled) -> list[str]:
    """One of each kind."""
    ((track, artist, album),) = filled.read(
        "select content_id, artist_id, album_id from marts.fct_plays"
        " where user_id = %s and kind = 'track' and album_id is not null limit 1",
        filled.users["ada"],
    )
    return [
        "/", "/?period=month&date=2023-05-01", "/?period=week", "/top",
        "/top?what=podcasts", "/history", "/sessions", "/insights", "/on-this-day",
        "/coverage", "/year/2023", f"/tracks/{track}", f"/artists/{artist}", f"/albums/{album}", "/search?q=lumen",
    ]  # fmt: skip


@contextmanager
def lacking(filled: Filled, mart: str, column: str | None = None) -> Iterator[None]:
    """The marts as an older version has them, which lacks this one or this column of it."""
    away, back = (
        (f"{mart} rename to of_a_newer_version", f"of_a_newer_version rename to {mart}")
        if column is None
        else (f"{mart} rename {column} to of_a_newer_version", f"{mart} rename of_a_newer_version to {column}")
    )
    filled.sql(f"alter table marts.{away}")
    try:
        yield
    finally:
        filled.sql(f"alter table marts.{back}")


@pytest.mark.slow
def test_whichever_mart_an_older_version_lacks_an_answer_shows_figures_or_says_that_they_are_being_rebuilt(
    browser: Browser, api: Api, filled: Filled
) -> None:
    asked = pages(filled)
    marts = [
        name
        for (name,) in filled.sql(
            "select relname from pg_class where relnamespace = 'marts'::regnamespace and relkind in ('r', 'v')"
            " and relname <> 'user_versions' order by 1"
        )
    ]
    waited_for: dict[str, set[str]] = {}
    for mart in marts:
        with lacking(filled, mart):
            for path in asked:
                answer = browser.get(path)
                if answer.status_code != 200:
                    waited_for.setdefault(path, set()).add(mart)
                    page = read_page(answer, 503)
                    assert page.heading == "Your figures are being rebuilt", (mart, path)
                    assert int(answer.headers["retry-after"]) > 0
                assert "Nothing is here yet" not in answer.text, (mart, path)
            for path in READS:
                answer = api.get(path)
                if answer.status_code != 200:
                    waited_for.setdefault(path, set()).add(mart)
                    assert (answer.status_code, answer.json()["type"]) == (503, BEING_REBUILT), (mart, path)
                    assert int(answer.headers["retry-after"]) > 0
    # Each needs some mart, and shows what it has without the others.
    assert waited_for.keys() == {*asked, *READS}
    assert all(len(needed) < len(marts) for needed in waited_for.values())
    assert browser.page("/").heading.endswith("hours of listening")


def test_a_mart_with_other_columns_is_waited_for_too(browser: Browser, api: Api, filled: Filled) -> None:
    with lacking(filled, "agg_day_user", "ms_played"):
        page = browser.page("/", status=503)
        check_form(page)
        assert page.heading == "Your figures are being rebuilt"
        assert "what was imported is all there" in page.text
        assert page.main.all("p", data_again_in=page.answer.headers["retry-after"])
        assert api.get("/v1/me/summary").json()["type"] == BEING_REBUILT
        # What needs nothing new goes on.
        assert browser.page("/sessions").rows()


@pytest.fixture
def older(server_for: Callable[[str], Any]) -> Iterator[Warehouse]:
    """A database of the revision before this one's, with a person, a play, and marts of that time."""
    server = server_for("embedded")
    name = f"{server.template.database}_upgraded"
    try:
        warehouse = server.clone(name)
        with psycopg.connect(with_parameters(server.admin_url, dbname=name), autocommit=True) as admin:
            admin.execute(f"drop schema {SCHEMAS} cascade".encode())
        with warehouse.connect(Role.OWNER) as owner:
            owner.execute("create schema ops")
        runner.upgrade(warehouse, REVISIONS[-2])
        yield warehouse
    finally:
        server.drop(name)


@pytest.mark.slow
def test_after_an_upgrade_a_person_waits_for_a_refresh_and_then_sees_everything(
    older: Warehouse, tmp_path: Path
) -> None:
    song = make_content(kind=ContentKind.TRACK, uri=None, title="A song", creator="Ana", collection=None)
    with older.connect(Role.OWNER, autocommit=True) as owner:
        ((user_id,),) = owner.execute(
            "insert into app.users (user_key, time_zone) values ('ana', 'UTC') returning user_id"
        ).fetchall()
        owner.execute("select ops.ensure_event_partitions('2024-01-01', '2024-01-01')")
        owner.execute(
            "insert into raw.contents (content_key, kind_id, title, creator, match_title, match_key, names_played_at,"
            " names_batch_id) values (%s, 1, 'A song', 'Ana', 'a song', %s, now(), 1)",
            (song.key, song.match_key),
        )
        owner.execute(
            "insert into raw.listening_events (user_id, played_at, content_id, ms_played, source_id, batch_id)"
            " select %s, '2024-01-05 12:00Z', content_id, 7200000, 1, 1 from raw.contents",
            (user_id,),
        )
    with older.connect(Role.DBT, autocommit=True) as dbt:
        for mart in OLDER_MARTS:
            dbt.execute(mart.encode())
        dbt.execute(f'grant select on all tables in schema marts to "{older.role_name(Role.API)}"'.encode())
        dbt.execute("insert into marts.user_versions values (%s, 7, now())", (user_id,))
        dbt.execute("insert into marts.agg_day_user values (%s, '2024-01-05', 1, 7200000)", (user_id,))

    runner.upgrade(older, HEAD)

    # `myi up` looks at this when it starts, and refreshes by itself.
    assert open_work(older).is_any
    settings = Settings.model_validate(
        {
            "home": tmp_path / "home",
            "database_url": older.url(Role.OWNER),
            "dagster_database_url": older.dagster_url(),
            "api_port": free_port(),
            **{f"database_url_{role}": SecretStr(older.url(Role(role))) for role in ROLES_WITH_A_URL},
        }
    )
    url = f"http://127.0.0.1:{settings.api_port}"
    with older.connect(Role.APP, autocommit=True) as connection:
        session = manage_access.begin_session(connection, user_id=user_id, method="link", device="test")
    with (
        serving(create_app(settings, older), settings.api_port),
        httpx.Client(base_url=url, headers={"accept": "text/html"}, trust_env=False, timeout=20) as client,
    ):
        client.cookies.set("myi_session", session, domain="127.0.0.1", path="/")
        assert read_page(client.get("/"), 503).heading == "Your figures are being rebuilt"
        environment = dbt_environment(older, target=tmp_path / "target", logs=tmp_path / "logs")
        with DbtProcess() as dbt_process:
            result = refresh_marts(older, dbt=dbt_process, environment=environment)
        assert result.is_good, result.error
        assert result.rebuild_reason == "models"
        assert read_page(client.get("/"), 200).heading == "2.0 hours of listening"
    assert not open_work(older).is_any
