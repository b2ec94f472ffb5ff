"""`myi user` on a real database."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from myi_pipeline.archives.import_log import archive_lock
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from tests.hostile import decoys


def test_a_user_is_added_listed_changed_and_removed(myi: Callable, warehouse: Warehouse) -> None:
    added = myi("user", "add", "ana", "--time-zone", "Europe/Berlin", "--name", "Ana", "--json")
    assert added.code == 0, added.err
    assert added.document["user_key"] == "ana"
    assert added.document["time_zone"] == "Europe/Berlin"

    listed = myi("user", "list", "--json").document["users"]
    assert [(user["user_key"], user["display_name"], user["imports"]) for user in listed] == [("ana", "Ana", 0)]

    changed = myi("user", "set", "ana", "--time-zone", "Asia/Tokyo", "--name", "", "--json").document
    assert (changed["time_zone"], changed["display_name"]) == ("Asia/Tokyo", None)
    with warehouse.connect(Role.INGEST) as connection:
        scopes = connection.execute("select scope from ops.changed_users order by change_id").fetchall()
    assert {scope for (scope,) in scopes} == {"profile", "everything"}

    moved = myi("user", "set", "ana", "--time-zone", "Europe/Lisbon", "--since", "2024-02-29", "--json").document
    assert moved["time_zone"] == "Europe/Lisbon"
    with warehouse.connect(Role.INGEST) as connection:
        zones = connection.execute("select time_zone from app.user_time_zones order by valid_from").fetchall()
    assert zones == [("Asia/Tokyo",), ("Europe/Lisbon",)]
    listed = myi("user", "time-zones", "ana", "--json").document["time_zones"]
    assert [(each["time_zone"], each["valid_from"]) for each in listed] == [
        ("Asia/Tokyo", None),
        ("Europe/Lisbon", "2024-02-29T00:00:00+00:00"),
    ]
    assert "2024-02-29" in myi("user", "time-zones", "ana").out
    # The same zone from an earlier day on was listed twice; one neighbour after another is one.
    assert myi("user", "set", "ana", "--time-zone", "Europe/Lisbon", "--since", "2023-05-01").code == 0
    assert myi("user", "set", "ana", "--time-zone", "Europe/Lisbon", "--since", "2024-06-01").code == 0
    listed = myi("user", "time-zones", "ana", "--json").document["time_zones"]
    assert [(each["time_zone"], each["valid_from"]) for each in listed] == [
        ("Asia/Tokyo", None),
        ("Europe/Lisbon", "2023-04-30T23:00:00+00:00"),
    ]
    assert myi("user", "set", "ana", "--time-zone", "Asia/Tokyo").code == 0
    listed = myi("user", "time-zones", "ana", "--json").document["time_zones"]
    assert [(each["time_zone"], each["valid_from"]) for each in listed] == [("Asia/Tokyo", None)]
    assert myi("user", "set", "ana", "--since", "2024-02-29").code == 2
    assert "between 2005 and today" in myi("user", "set", "ana", "--time-zone", "UTC", "--since", "2999-01-01").err

    assert myi("user", "remove", "ana", "--yes", "--json").document["removed"]["user_key"] == "ana"
    assert myi("user", "list", "--json").document == {"users": []}


def test_removing_a_user_deletes_the_archives_and_the_key_is_free_when_nothing_is_left(
    myi: Callable, no_report: None, warehouse: Warehouse, settings_for_tests: Settings, tmp_path: Path
) -> None:
    assert myi("user", "add", "ana").code == 0
    folder = settings_for_tests.uploads_folder / "ana"
    decoys.plain_zip(folder / "a.zip")
    assert myi("import", folder / "a.zip", "--user", "ana", "--no-refresh").code == 0

    removed = myi("user", "remove", "ana", "--yes", "--json").document
    assert (removed["left"], removed["errors"]) == ([], [])
    assert not folder.exists()
    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        assert connection.execute("select count(*) from raw.contents").fetchone() == (0,)
        # The marts have been built, and still show whoever has the key next.
        connection.execute("update ops.mart_state set completed_run_id = 1")
        assert myi("user", "add", "ana").code == 0
        assert myi("user", "remove", "ana", "--yes", "--no-refresh", "--json").document["left"] == [
            "rows of the marts, until the next refresh"
        ]
        again = myi("user", "add", "ana")
        assert again.code == 1
        assert "the key 'ana' is not free yet" in again.err
        assert "myi refresh" in again.err
        assert "still to be removed" in myi("user", "remove", "ana", "--no-refresh").out.lower()
        connection.execute("delete from ops.changed_users")
    assert myi("user", "add", "ana").code == 0


def test_erasing_says_before_what_would_go_and_afterwards_what_went(
    myi: Callable,
    no_report: None,
    warehouse: Warehouse,
    settings_for_tests: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert myi("user", "add", "ana").code == 0
    folder = settings_for_tests.uploads_folder / "ana"
    decoys.plain_zip(folder / "a.zip")
    assert myi("import", folder / "a.zip", "--user", "ana", "--no-refresh").code == 0
    preview = myi("user", "erase", "ana", "--dry-run", "--json").document["would_go"]
    assert (preview["plays"], preview["archives"], preview["files"]) == (20, 1, 1)
    assert "plays" in myi("user", "erase", "ana", "--dry-run").out
    assert len(myi("user", "list", "--json").document["users"]) == 1

    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update app.imports set status = 'running'")
        ((sha256, user_id),) = connection.execute("select sha256, user_id from app.imports").fetchall()
        with archive_lock(connection, user_id=user_id, sha256=bytes(sha256), wait_s=1):
            refused = myi("user", "erase", "ana", "--yes")
        assert refused.code == 1
        assert "a.zip is being imported: wait until that has ended" in refused.err
        assert connection.execute("select count(*) from raw.listening_events").fetchone() == (20,)

    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    mistyped = myi("user", "erase", "ana")
    assert (mistyped.code, "nothing was erased: ana was not typed" in mistyped.err) == (1, True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("ana\n"))
    erased = myi("user", "erase", "ana")
    assert (erased.code, "Type ana to erase it for good" in erased.err) == (0, True), erased.err
    with warehouse.connect(Role.OWNER) as connection:
        ((number,),) = connection.execute("select receipt_id from ops.erasures").fetchall()
    receipt = myi("user", "receipt", number, "--json").document["receipt"]
    assert (receipt["counts"]["plays"], receipt["counts"]["files"]) == (20, 1)
    assert receipt["finished_at"] is not None
    again = myi("user", "receipt", receipt["receipt_id"])
    assert "the last trace was removed" in again.out
    assert "ana" not in again.out
    assert myi("user", "receipt", "0" * 24).code == 1


def test_without_a_zone_a_new_user_gets_the_one_of_the_settings(myi: Callable) -> None:
    assert myi("user", "add", "ana", "--json").document["time_zone"] == "UTC"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("user", "add", "Ana"), "cannot be a user key"),
        (("user", "add", "../etc"), "cannot be a user key"),
        (("user", "add", "ana", "--time-zone", "Mars/Olympus"), "not a time zone"),
        (("user", "add", "ana", "--name", "x" * 201), "display name"),
        (("user", "add", "ana", "--name", "a\x1b[2J"), "display name"),
        (("user", "set", "ana", "--time-zone", "Mars/Olympus"), "not a time zone"),
        (("user", "set", "ana", "--time-zone", "UTC", "--since", "1999-01-01"), "between 2005 and today"),
        (
            ("user", "set", "ana", "--time-zone", "UTC", "--since", "2020-02-30"),
            "is not a day of the calendar",
        ),
        (("user", "set", "nobody", "--name", "N"), "there is no user 'nobody'"),
        (("user", "remove", "nobody", "--yes"), "there is no user 'nobody'"),
    ],
)
def test_what_cannot_be_is_wrong_usage_in_one_sentence(myi: Callable, arguments: tuple[str, ...], part: str) -> None:
    """A wrong zone, key or name ended as refused input does, with 1."""
    if "set" in arguments:
        assert myi("user", "add", "ana").code == 0
    ran = myi(*arguments)
    assert ran.code == 2
    assert part in ran.err
    assert "Traceback" not in ran.err
    assert "%Y" not in ran.err
    assert ran.out == ""


def test_a_key_is_given_once(myi: Callable) -> None:
    assert myi("user", "add", "ana").code == 0
    again = myi("user", "add", "ana", "--json")
    assert again.code == 1
    assert again.document["error"]["kind"] == "BadInput"
    assert again.document["exit_code"] == 1
    assert again.document["correlation_id"]


def test_an_error_for_a_script_is_one_json_document(myi: Callable) -> None:
    ran = myi("user", "set", "nobody", "--name", "N", "--json")
    assert ran.code == 2
    assert ran.document["error"]["kind"] == "UnknownUser"
    assert "nobody" in ran.document["error"]["message"]


def test_removing_with_json_does_not_ask_but_wants_yes(myi: Callable) -> None:
    myi("user", "add", "ana")
    assert myi("user", "remove", "ana", "--json").code == 2
    assert len(myi("user", "list", "--json").document["users"]) == 1


def test_for_people_a_list_is_a_table(myi: Callable) -> None:
    assert "No users yet" in myi("user", "list").out
    myi("user", "add", "ana")
    assert "ana" in myi("user", "list").out
