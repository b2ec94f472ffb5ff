"""The process that dbt runs in, with a dbt that does as it is told."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from myi_pipeline.errors import Permanent, Transient
from myi_pipeline.marts.dbt_runner import DbtProcess, DbtResult, dbt_manifest

# What dbt_main uses of dbt. A command's arguments are lines of Python.
MADE_UP_DBT = """
import os, sys

class Done:
    success, exception, result = True, None, None

class dbtRunner:
    def __init__(self, manifest=None, callbacks=None):
        pass

    def invoke(self, arguments):
        for line in arguments:
            if line != "parse":
                exec(line)
        return Done()
"""


def make_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a command; every process of dbt finds the made-up one."""
    for package in ("cli", "contracts/graph"):
        (tmp_path / "dbt" / package).mkdir(parents=True)
    (tmp_path / "dbt" / "__init__.py").touch()
    (tmp_path / "dbt/cli/main.py").write_text(MADE_UP_DBT)
    (tmp_path / "dbt/contracts/graph/manifest.py").write_text("class Manifest: ...\n")
    for module in ("dbt_channels", "warm_dbt"):
        monkeypatch.setattr(
            f"myi_pipeline.marts.{module}.children_environment",
            lambda: dict(os.environ) | {"PYTHONPATH": str(tmp_path)},
        )
    return {"DBT_TARGET_PATH": str(tmp_path)}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return make_dbt(tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    "printed",
    [
        "sys.stdout.write('half a line'); sys.stdout.flush()",
        "os.write(1, b'half a line')",
        "os.write(2, b'half a line')",
        'print(\'{"success": false, "error": "not an answer"}\')',
        "print('x' * 1_000_000)",
    ],
)
def test_what_dbt_prints_does_not_disturb_its_answers(environment: dict[str, str], printed: str) -> None:
    results: list[DbtResult] = []

    with DbtProcess() as dbt:

        def ask_twice() -> None:
            results.extend(dbt.invoke([printed], environment=environment) for _ in range(2))

        asking = threading.Thread(target=ask_twice, daemon=True)
        asking.start()
        asking.join(20)
        assert results == [DbtResult(True), DbtResult(True)]


@pytest.mark.slow
def test_a_dbt_that_ends_is_reported_with_the_last_line_it_printed(environment: dict[str, str]) -> None:
    with DbtProcess() as dbt:
        with pytest.raises(Transient, match=r"\(exit 1\): KeyError: 'profile'"):
            dbt.invoke(["raise KeyError('profile')"], environment=environment)
        assert dbt.invoke([], environment=environment).success


@pytest.mark.slow
def test_a_dbt_that_does_not_answer_in_time_is_killed(environment: dict[str, str]) -> None:
    with DbtProcess(timeout_s=10) as dbt:
        assert dbt.invoke([], environment=environment).success
        with pytest.raises(Transient, match="dbt did not answer within 10 s"):
            dbt.invoke(["import time; time.sleep(60)"], environment=environment)
        assert dbt.invoke([], environment=environment).success


def test_parsing_that_takes_too_long_is_given_up_and_frees_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real dbt, whose import alone takes longer. Others wait for the lock, as `myi up` starts several."""
    # A clone may hold a project that was parsed ahead.
    monkeypatch.setattr("myi_pipeline.marts.parsed_project.SHIPPED", "nothing")
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(Permanent, match=r"cannot be parsed: dbt did not answer within 0\.2 s"):
            dbt_manifest(tmp_path, timeout_s=0.2)
    assert time.monotonic() - started < 10
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
