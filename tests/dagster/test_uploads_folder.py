"""Through the uploads folder from one end to the other: command, row, sensor, run, row."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.partitions import sync_partitions
from tests.dagster.conftest import Setup

RUN_KEY = "dagster/run_key"
Myi = Callable[..., Any]


@pytest.fixture
def myi(setup: Setup) -> Myi:
    """The command, as a person types it in the shell of this installation."""

    def run(*arguments: str, exit_code: int = 0) -> Any:
        program = "import sys; from myi_pipeline.cli.app import run; sys.exit(run(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == exit_code, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    return run


def look(setup: Setup, cursor: str | None = None) -> tuple[list[str], str]:
    """One look of the sensor, and the runs that it asks for; which archives those were, and the cursor."""
    tick = setup.sensor("uploads", cursor)
    asked: list[str] = []
    for request in tick.run_requests or ():
        asked += request.run_config["ops"]["listening_history"]["config"]["archives"]
        setup.run(
            "import_uploads",
            partition_key=request.partition_key,
            run_config=request.run_config,
            tags={**request.tags, RUN_KEY: request.run_key},
        )
    return asked, tick.cursor


def imports(setup: Setup) -> list[tuple[Any, ...]]:
    return setup.sql(
        "select archive_name, status, confirmation, rows_loaded, run_id is not null from app.imports order by import_id"
    )


@pytest.mark.slow
def test_an_import_that_failed_is_completed_after_myi_imports_retry(setup: Setup, myi: Myi) -> None:
    setup.add_users("ana", "ben")
    sync_partitions(setup.instance, setup.warehouse)
    usual = setup.definitions
    # A limit was too low: the archive is refused, and left alone.
    low = setup.settings.model_copy(update={"archive_max_file_bytes": 1_000})
    setup.definitions = build_definitions(low)
    setup.put("ana/one.zip")
    asked, cursor = look(setup)
    assert asked == ["ana/one.zip"]
    ((name, status, *_),) = imports(setup)
    assert (name, status) == ("one.zip", "failed")
    setup.definitions = usual
    assert look(setup, cursor)[0] == []
    (listed,) = myi("imports", "list")["imports"]
    assert "1,000" in listed["error"] or "1000" in listed["error"], listed["error"]

    # The limit was raised: a person wants it after all.
    retried = myi("imports", "retry", str(listed["import_id"]))
    assert (retried["status"], retried["error"], retried["tries"]) == ("pending", None, 0)
    assert look(setup, cursor)[0] == ["ana/one.zip"]
    assert imports(setup) == [("one.zip", "completed", None, 20, True)]
    assert look(setup, cursor)[0] == []
    assert "there is nothing to retry" in str(myi("imports", "retry", str(listed["import_id"]), exit_code=1))

    # Another user's: not without a word, and then all the way.
    setup.put("ben/same.zip")
    assert look(setup, cursor)[0] == ["ben/same.zip"]
    waiting = next(each for each in myi("imports", "list", "--user", "ben")["imports"])
    assert waiting["needs_confirmation"]
    assert "confirm" in str(myi("imports", "retry", str(waiting["import_id"]), exit_code=1))
    assert look(setup, cursor)[0] == []
    assert not myi("imports", "retry", str(waiting["import_id"]), "--yes")["needs_confirmation"]
    assert look(setup, cursor)[0] == ["ben/same.zip"]
    assert imports(setup)[1] == ("same.zip", "completed", "given", 20, True)


@pytest.mark.slow
def test_an_import_whose_process_died_is_completed_after_myi_imports_retry(setup: Setup, myi: Myi) -> None:
    setup.add_users("ana")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/one.zip")
    tick = setup.sensor("uploads")
    assert len(tick.run_requests) == 1
    # Its run began, and was killed together with all that would notice.
    setup.sql(
        "update app.imports set status = 'running', attempt = 1, asked_at = null, started_at = now(),"
        " heartbeat_at = now()"
    )
    ((import_id,),) = setup.sql("select import_id from app.imports")
    assert "is running; there is nothing to retry" in str(myi("imports", "retry", str(import_id), exit_code=1))
    setup.sql("update app.imports set heartbeat_at = now() - interval '11 minutes'")
    assert myi("imports", "retry", str(import_id))["status"] == "pending"
    assert look(setup, tick.cursor)[0] == ["ana/one.zip"]
    assert imports(setup) == [("one.zip", "completed", None, 20, True)]


@pytest.mark.slow
def test_a_user_made_anew_under_one_key_has_what_is_put_into_the_folder_then(setup: Setup, myi: Myi) -> None:
    """Not what the user before had: that goes with them. The same file put there again is the new user's."""
    setup.add_users("ana", "ben")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/one.zip")
    asked, cursor = look(setup)
    assert asked == ["ana/one.zip"]
    folder = setup.settings.uploads_folder / "ana"
    ((old,),) = setup.sql("select user_id from app.users where user_key = 'ana'")

    # Removed, by a page or by hand: until that is finished, whatever lies in the folder goes with the user.
    setup.sql("delete from app.users where user_key = 'ana'")
    setup.put("ana/meanwhile.zip", rows=25)
    asked, cursor = look(setup, cursor)
    assert (asked, folder.exists()) == ([], False)
    assert setup.sql("select count(*) from raw.listening_events") == [(0,)]
    setup.put("ana/meanwhile.zip", rows=25)
    assert myi("user", "add", "ana")["user_key"] == "ana"
    sync_partitions(setup.instance, setup.warehouse)
    assert look(setup, cursor)[0] == []
    assert list(folder.iterdir()) == []

    # The same bytes under the same name, before the eyes of a sensor that remembers them.
    setup.put("ana/one.zip")
    asked, cursor = look(setup, cursor)
    assert asked == ["ana/one.zip"]
    assert imports(setup) == [("one.zip", "completed", None, 20, True)]
    ((new,),) = setup.sql("select distinct user_id from raw.listening_events")
    assert new != old
    assert look(setup, cursor)[0] == []

    # The command finishes it at once; what is put there after that waits for a user of that name, and is theirs.
    removed = myi("user", "remove", "ana", "--yes", "--no-refresh")
    assert (removed["left"], removed["errors"]) == ([], [])
    assert not folder.exists()
    setup.put("ana/one.zip")
    asked, cursor = look(setup, cursor)
    assert (asked, imports(setup)) == ([], [])
    myi("user", "add", "ana")
    sync_partitions(setup.instance, setup.warehouse)
    assert look(setup, cursor)[0] == ["ana/one.zip"]
    assert imports(setup) == [("one.zip", "completed", None, 20, True)]
