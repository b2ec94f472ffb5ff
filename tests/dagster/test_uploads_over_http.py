"""From a request's body to plays: the site takes an archive in, the sensor asks, a run imports. Through a folder and
through an object store, with the same assertions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.partitions import sync_partitions
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings, load_settings
from myi_pipeline.storage.open_store import open_uploads
from myi_pipeline.web.app import create_app
from tests.dagster.conftest import Setup
from tests.hostile import decoys
from tests.integration.api.conftest import RunningSite, serving
from tests.s3_server import S3Server

RUN_KEY = "dagster/run_key"
BUCKET = "uploads"


@pytest.fixture(params=["folder", "bucket"])
def setup(
    request: pytest.FixtureRequest,
    dagster_home: Settings,
    warehouse: Warehouse,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Setup]:
    if request.param == "bucket":
        s3.make_bucket(BUCKET)
        monkeypatch.setenv("MYI_UPLOADS", f"s3://{BUCKET}/of/myi")
        monkeypatch.setenv("MYI_UPLOADS_OPTIONS", s3.options)
    settings = load_settings()
    with dg.DagsterInstance.get() as instance:
        yield Setup(settings, warehouse, instance, build_definitions(settings))


@pytest.fixture
def site(setup: Setup) -> Iterator[RunningSite]:
    with ExitStack() as stack:
        stack.enter_context(serving(create_app(setup.settings, setup.warehouse), setup.settings.api_port))
        yield RunningSite(setup.settings, setup.warehouse, stack)


def hand_in(site: RunningSite, path: Path, *, rows: int) -> int:
    decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", decoys.good_json(rows)))
    answer = site.browser("ana").post("/v1/me/imports", params={"name": path.name}, content=path.read_bytes())
    assert answer.status_code == 202, answer.text
    return int(answer.json()["import_id"])


def look(setup: Setup, *, is_lost: bool = False) -> bool:
    """The sensor asks for one archive; whether its run succeeded. `is_lost`: somebody took the archive in between."""
    (request,) = setup.sensor("uploads").run_requests
    (name,) = request.run_config["ops"]["listening_history"]["config"]["archives"]
    if is_lost:
        remove(setup, name)
    result = setup.run(
        "import_uploads",
        partition_key=request.partition_key,
        run_config=request.run_config,
        tags={**request.tags, RUN_KEY: request.run_key},
    )
    return bool(result.success)


def remove(setup: Setup, name: str) -> None:
    bucket = open_uploads(setup.settings)
    if bucket is not None:
        bucket.delete(name)
    else:
        (setup.settings.uploads_folder / name).unlink()


def rows(setup: Setup) -> list[tuple[Any, ...]]:
    return setup.sql("select import_id, status, rows_loaded, is_refused from app.imports order by 1")


@pytest.mark.slow
def test_an_archive_that_came_over_http_is_imported_and_one_that_is_lost_fails_by_name(
    setup: Setup, site: RunningSite, tmp_path: Path
) -> None:
    site.user("ana")
    sync_partitions(setup.instance, setup.warehouse)
    first = hand_in(site, tmp_path / "one.zip", rows=20)
    assert rows(setup) == [(first, "pending", 0, False)]
    assert look(setup)
    assert rows(setup) == [(first, "completed", 20, False)]
    assert setup.sql("select count(*) from raw.listening_events") == [(20,)]

    # Between the question and its run it is lost: nobody is told that all went well.
    second = hand_in(site, tmp_path / "two.zip", rows=30)
    assert not look(setup, is_lost=True)
    assert rows(setup)[1] == (second, "pending", 0, False)
    told = site.browser("ana").get(f"/v1/me/imports/{second}").json()
    assert (told["status"], "did not find it" in told["error"]) == ("pending", True)

    # Sent again it is the same import, and goes through.
    assert hand_in(site, tmp_path / "two.zip", rows=30) == second
    assert look(setup)
    assert rows(setup)[1][1] == "completed"
    assert setup.sql("select count(*) from raw.listening_events") == [(30,)]
