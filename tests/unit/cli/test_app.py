"""The root of `myi`: exit codes, and how every failure ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer

from myi_pipeline import __version__
from myi_pipeline.cli import app as root
from myi_pipeline.cli.audit import UNRECORDED
from myi_pipeline.errors import BadInput, Transient
from myi_pipeline.settings import SettingsError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A command `fail` that raises what the test puts into `errors`."""
    errors: list[BaseException] = []
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(root.root)

    @app.command("fail")
    def fail(as_json: bool = typer.Option(False, "--json")) -> None:
        raise errors[0]

    monkeypatch.setattr(root, "app", app)
    yield errors
    root.debug_wanted.set(False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("this is no archive"), 1),
        (Transient("the database is away"), 1),
        (psycopg.OperationalError("connection lost\nsecond line"), 1),
        (SettingsError("MYI_HOME: is no folder"), 2),
        (root.WrongUsage("give a user"), 2),
        (KeyboardInterrupt(), 130),
        (root._Terminated(), 143),
        (typer.Exit(3), 3),
    ],
)
def test_every_failure_has_its_code_and_no_traceback(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    failing.append(error)
    assert root.run(["fail"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_with_debug_an_error_shows_where_it_came_from(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(BadInput("this is no archive"))
    assert root.run(["--debug", "fail"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_shows_where_it_came_from_without_its_secrets(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(RuntimeError("postgresql://u:canary@host/db"))
    assert root.run(["fail"]) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert "canary" not in captured.err


def test_for_scripts_a_failure_is_one_json_document(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(BadInput("row 3 is broken", place="a.json", rule="an object"))
    assert root.run(["fail", "--json"]) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["error"] == {
        "kind": "BadInput",
        "message": "row 3 is broken",
        "place": "a.json",
        "rule": "an object",
    }
    assert document["exit_code"] == 1
    assert captured.err == "myi: row 3 is broken\n"


@pytest.mark.parametrize(
    "arguments",
    [["nope"], ["user", "add"], ["imports", "show", "x"], ["import", "/nowhere", "--user", "a"], ["--nope"], []],
)
def test_wrong_usage_is_2_and_says_how_to_get_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--help" in captured.err


def test_days_are_asked_for_as_people_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    """The help and the refusal showed `%Y-%m-%d`."""
    days = {
        ("user", "set", "ana"): "--since",
        ("corrections", "add", "ana", "--action", "hide"): "--from",
        ("refresh", "--user", "ana"): "--to",
        ("playlists", "from-plays", "ana"): "--not-since",
        ("simulator",): "--start",
    }
    for command, option in days.items():
        assert root.run([*command, option, "2020-02-30"]) == 2
        assert root.run([*command, "--help"]) == 0
        said = capsys.readouterr()
        assert "'2020-02-30' is not a day" in said.err
        assert "YYYY-MM-DD" in said.err
        assert "YYYY-MM-DD" in said.out
        assert "%Y" not in said.err + said.out


def test_a_bad_setting_is_2_and_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MYI_DAGSTER_PORT", "many")
    assert root.run(["user", "list"]) == 2
    assert "MYI_DAGSTER_PORT" in capsys.readouterr().err.splitlines()[0]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["--version"]) == 0
    assert capsys.readouterr().out == f"myi {__version__}\n"


def test_help_needs_neither_dagster_nor_dbt_nor_a_database_driver() -> None:
    program = (
        "import sys\n"
        "from myi_pipeline.cli.app import run\n"
        "run(['--help'])\n"
        "heavy = {'dagster', 'dbt', 'dagster_dbt', 'psycopg', 'sqlalchemy', 'alembic'}\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & heavy), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
    assert "import" in done.stdout


def test_the_console_script_ends_quietly_when_its_reader_leaves(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from myi_pipeline.cli import main; main(['--help'])"],
            stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


def test_every_command_is_recorded_but_those_that_only_read_or_are_routine() -> None:
    names = {str(info.name) for info in root.app.registered_commands}
    for group in root.app.registered_groups:
        assert group.typer_instance is not None
        names |= {f"{group.name} {info.name}" for info in group.typer_instance.registered_commands}
    assert UNRECORDED - names == set()
    assert {"user remove", "user sign-out", "token revoke", "keys rotate", "import", "migrate"} <= names - UNRECORDED
