"""`eval "$(myi env)"`: bare dagster commands work in that shell, and what was started for it ends with it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import end_outside

MYI = str(Path(sys.executable).with_name("myi"))
# Each leaves the variables in the shell; between the shell and the command stand subshells, pipes and other programs.
WAYS = {
    "plainly": 'eval "$("$MYI" env)"',
    "in a subshell": 'eval "$( (cd /; "$MYI" env; true) )"',
    "in a pipe": 'eval "$("$MYI" env | cat)"',
    "by a script of one's own": 'eval "$("$WRAPPER")"',
    "by a script with a pipe": 'eval "$("$WRAPPER" | grep -v NOTHING)"',
    "by a program": 'eval "$(timeout 60 env -u NOTHING "$MYI" env)"',
    "by a file": '"$MYI" env > "$MYI_HOME/.variables"; . "$MYI_HOME/.variables"',
    "by a process substitution": 'source <("$MYI" env)',
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    # Blanks and quotes in a path are what eval breaks on.
    home = tmp_path / "it's a home"
    home.mkdir(mode=0o700)
    yield home
    end_outside(home)


def shell(script: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MYI_", "DAGSTER_"))}
    return subprocess.run(
        ["bash", "-c", script],
        env={**inherited, "MYI_HOME": str(home), "MYI": MYI} | more,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def keepers_of(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command = process.info["cmdline"] or []
        if "myi_pipeline.cli.shell_environment" in command and (process.info["environ"] or {}).get("MYI_HOME") == str(
            home
        ):
            found.append(process)
    return found


@pytest.mark.slow
def test_the_shell_that_asked_is_found_however_it_asked(tmp_path: Path) -> None:
    asks = tmp_path / "asks"
    code = "import psutil, os; from myi_pipeline.cli.shell_environment import readers_of_output as r"
    asks.write_text(f"#!{sys.executable}\n{code}\nprint('FOUND=' + ','.join(str(p.pid) for p in r(psutil.Process())))")
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\n"$MYI" env\n')
    for each in (asks, wrapper):
        each.chmod(0o700)
    script = "\n".join(f'{way}; echo "$$ $FOUND"' for way in WAYS.values())
    done = shell(script, tmp_path, MYI=str(asks), WRAPPER=str(wrapper))
    found = [line.split() for line in done.stdout.splitlines()]
    wrong = [way for way, (shell_pid, readers) in zip(WAYS, found, strict=True) if shell_pid != readers]
    assert wrong == [], done.stderr


def test_a_program_that_reads_the_variables_itself_is_found_too() -> None:
    """Such as a service of one's own: the shell above it may end before it does."""
    code = (
        "import subprocess, sys; print(__import__('os').getpid(), subprocess.check_output([sys.executable, '-c',"
        " 'import psutil; from myi_pipeline.cli.shell_environment import readers_of_output as r; print([p.pid for p in"
        " r(psutil.Process())])'], text=True))"
    )
    shown = subprocess.run(
        ["bash", "-c", f'echo "$$ $({shlex.quote(sys.executable)} -c {shlex.quote(code)})"; true'],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shell_pid, program, readers = shown.split(maxsplit=2)
    assert readers.strip() == f"[{program}, {shell_pid}]"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_shell_keeps_its_server_for_as_long_as_it_lives(home: Path) -> None:
    way = WAYS["in a subshell"]
    reach = "import os, sqlalchemy; sqlalchemy.create_engine(os.environ['DAGSTER_POSTGRES_URL']).connect()"
    # A keeper looks at its shell once a second.
    again = f'{way}\nsleep 2.5; "$PYTHON" -c {shlex.quote(reach)}\necho "keepers: $(ls "$MYI_HOME/keepers" | wc -l)"'
    done = shell(f"set -eu\n{way}\n{again}", home, PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "keepers: 1" in done.stdout
    deadline = time.monotonic() + 30
    while keepers_of(home):
        assert time.monotonic() < deadline, "the keeper outlives its shell"
        time.sleep(0.1)
    assert not list((home / "keepers").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_bare_dagster_works_in_that_shell_whatever_else_it_has_set(home: Path) -> None:
    unkind = {
        "PGSSLMODE": "verify-full", "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "elsewhere", "PGOPTIONS": "-c nothing=1",
        "PGPASSFILE": "/nonexistent", "DBT_TARGET": "prod", "DBT_PROFILES_DIR": "/nonexistent", "NO_COLOR": "1",
    }  # fmt: skip
    dagster = shlex.quote(str(Path(sys.executable).with_name("dagster")))
    shows = 'set -eu\neval "$("$MYI" env)"\necho "url: $DAGSTER_POSTGRES_URL"'
    script = f"{shows}\n{dagster} definitions validate -w workspace.yaml"
    done = shell(script, home, **unkind)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "All code locations passed validation" in done.stdout + done.stderr
    url = next(line for line in done.stdout.splitlines() if line.startswith("url: "))
    assert url.startswith("url: postgresql+psycopg2://myi_dagster@/myi_dagster?")
    passfile = next((home / "secrets").glob("dagster-*.pgpass"))
    assert passfile.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_the_environment_of_a_home_says_nothing_about_the_uploads_of_another(home: Path) -> None:
    done = shell('"$MYI" env', home)
    assert done.returncode == 0, done.stderr
    assert f"export MYI_HOME={shlex.quote(str(home))}" in done.stdout
    assert "MYI_UPLOADS" not in done.stdout
