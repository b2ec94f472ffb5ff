"""`eval "$(myi env)"`: bare dagster commands work in that shell, and what was started for it ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from myi_pipeline.services.prepare_dagster import project_root
from myi_pipeline.shell_environment import find_shell
from tests.conftest import remove_outside

ENV = """
import sys
from myi_pipeline.settings import load_settings
from myi_pipeline.shell_environment import shell_environment
sys.stdout.write(shell_environment(load_settings()))
"""
SCRIPT = """
set -eu
eval "$("$PYTHON" -c "$MYI_ENV_CODE")"
eval "$("$PYTHON" -c "$MYI_ENV_CODE")"
echo "keepers: $(ls "$MYI_HOME/keepers" | wc -l)"
echo "url: $DAGSTER_POSTGRES_URL"
"$(dirname "$PYTHON")/dagster" definitions validate -w workspace.yaml
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    # Blanks and quotes in a path are what eval breaks on.
    home = tmp_path / "it's a home"
    yield home
    remove_outside(home)


def keepers_of(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command = process.info["cmdline"] or []
        if "myi_pipeline.shell_environment" in command and (process.info["environ"] or {}).get("MYI_HOME") == str(home):
            found.append(process)
    return found


@pytest.mark.timeout(240)
def test_a_shell_gets_what_dagster_needs_for_as_long_as_it_lives(home: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MYI_", "DAGSTER_"))}
    done = subprocess.run(
        ["bash", "-c", SCRIPT],
        env={**inherited, "MYI_HOME": str(home), "PYTHON": sys.executable, "MYI_ENV_CODE": ENV},
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "keepers: 1" in done.stdout
    assert "All code locations passed validation" in done.stdout + done.stderr
    url = next(line for line in done.stdout.splitlines() if line.startswith("url: "))
    assert url.startswith("url: postgresql+psycopg2://myi_dagster@/myi_dagster?")
    passfile = next((home / "secrets").glob("dagster-*.pgpass"))
    assert passfile.stat().st_mode & 0o777 == 0o600

    # The shell is gone: its keeper follows, and with it the server.
    deadline = time.monotonic() + 30
    while keepers_of(home):
        assert time.monotonic() < deadline, "the keeper outlives its shell"
        time.sleep(0.2)
    assert not list((home / "keepers").iterdir())


def test_the_shell_is_found_above_its_own_copy_and_above_other_programs() -> None:
    code = (
        "import psutil; from myi_pipeline.shell_environment import find_shell; print(find_shell(psutil.Process()).pid)"
    )
    script = 'echo "$$ $( (env -u NOTHING "$PYTHON" -c "$CODE"; true) )"; true'
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PYTHON": sys.executable, "CODE": code},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    shell, found = done.stdout.split()
    assert found == shell


def test_without_a_shell_above_the_parent_is_taken() -> None:
    process = psutil.Process()
    assert find_shell(process).pid in {process.pid, *(each.pid for each in process.parents())}
