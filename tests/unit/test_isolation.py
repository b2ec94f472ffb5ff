"""Variables of a user's shell that belong to other programs change nothing in ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from myi_pipeline.isolation import children_environment, isolate_process

MYI = str(Path(sys.executable).with_name("myi"))


def test_what_steers_other_programs_is_dropped_and_what_is_the_users_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = {
        "PGHOST": "elsewhere", "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "s", "PGSSLMODE": "require", "PGOPTIONS": "-c x",
        "PGPASSFILE": "/none", "PGTZ": "Asia/Tokyo", "PGCONNECT_TIMEOUT": "1", "DBT_TARGET": "prod",
        "DBT_PROFILES_DIR": "/none", "DBT_X": "1",
        "DAGSTER_POSTGRES_URL": "postgresql://elsewhere", "PYTHONWARNINGS": "error", "PYTHONHOME": "/none",
        "PYTHONSTARTUP": "/none", "UVICORN_RELOAD": "1", "FORWARDED_ALLOW_IPS": "*", "WEB_CONCURRENCY": "many",
        "GRPC_POLL_STRATEGY": "none",
    }  # fmt: skip
    own = {"MYI_HOME": "/home/me", "PATH": "/bin", "HOME": "/home/me", "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8",
           "TZ": "Europe/Berlin", "TMPDIR": "/none", "PGP_KEY": "no libpq variable"}  # fmt: skip
    for name, value in (foreign | own | {"NO_COLOR": "1", "FORCE_COLOR": "1"}).items():
        monkeypatch.setenv(name, value)

    of_a_child = children_environment()
    assert {name: of_a_child.get(name) for name in own} == own
    assert not (foreign.keys() | {"NO_COLOR", "FORCE_COLOR"}) & of_a_child.keys()

    isolate_process(is_dagster=True)
    assert foreign.keys() & os.environ.keys() == {"DAGSTER_POSTGRES_URL"}
    isolate_process()
    assert not foreign.keys() & os.environ.keys()
    # How a person wants their own terminal is theirs to say.
    assert os.environ["NO_COLOR"] == "1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://proxy:8080"}, "127.0.0.1,::1,localhost"),
        ({"all_proxy": "socks5://proxy", "no_proxy": "intern, 127.0.0.1"}, "intern,127.0.0.1,::1,localhost"),
        ({"https_proxy": "http://proxy:8080", "no_proxy": "*"}, "*"),
    ],
)
def test_a_proxy_of_the_shell_is_never_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert children_environment().get("no_proxy") == expected


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ({"ALL_PROXY": "socks5://proxy"}, True),
        ({"ALL_PROXY": "socks5://proxy", "https_proxy": ""}, True),
        ({"ALL_PROXY": "socks5://proxy", "https_proxy": "http://proxy"}, False),
    ],
)
def test_a_proxy_for_everything_goes_where_one_for_the_way_to_spotify_is_named(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], is_kept: bool
) -> None:
    """Programs that set all three variables give a SOCKS proxy to ALL_PROXY, and every poll failed of it."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ("ALL_PROXY" in children_environment()) is is_kept


def test_variables_of_python_change_nothing_in_a_command(tmp_path: Path) -> None:
    """Warnings as errors ended it at an import, and a module in PYTHONPATH took the place of one that we need."""
    (tmp_path / "typer.py").write_text("raise SystemExit('the wrong module')")
    unkind = {
        "PYTHONPATH": str(tmp_path), "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONINSPECT": "1",
        "PYTHONIOENCODING": "ascii", "PYTHONVERBOSE": "", "PYTHONTZPATH": "/none", "TMPDIR": "/none",
    }  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [MYI, "doctor", "--json"]
    done = subprocess.run(
        command, env={**kept, **unkind, "MYI_HOME": str(tmp_path / "Mü 音")}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Mü 音" in str(json.loads(done.stdout))


def test_names_that_a_terminal_cannot_show_do_not_end_a_command(tmp_path: Path) -> None:
    """In an old encoding a question mark stands for them, in JSON an escape."""
    program = (
        "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='latin-1');"
        "from myi_pipeline.cli.app import main; main(sys.argv[1:])"
    )
    for arguments, shown in (([], "M? ?"), (["--json"], "M\\u00fc \\u97f3")):
        done = subprocess.run(
            [sys.executable, "-c", program, "doctor", *arguments],
            env={**os.environ, "MYI_HOME": str(tmp_path / "Mü 音")},
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        assert b"Traceback" not in done.stderr, done.stderr
        assert (shown if arguments else "?") in done.stdout.decode("latin-1")
