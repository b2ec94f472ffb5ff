"""The daemon as a process: its loop leaves signs of life, for whoever watches its container."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from myi_pipeline.defs.daemon import SIGN_OF_LIFE, leave_signs_of_life
from myi_pipeline.settings import Settings

# It imports Dagster, on a machine that others use too.
_STARTS_WITHIN_S = 120.0


@contextmanager
def daemon(settings: Settings, folder: Path) -> Iterator[subprocess.Popen[str]]:
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    with (folder / "daemon.log").open("w") as said:
        program = subprocess.Popen(
            [sys.executable, "-m", "myi_pipeline.defs.daemon", str(workspace), "info", "json"],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True, cwd=folder,
        )  # fmt: skip
        try:
            yield program
        finally:
            program.send_signal(signal.SIGCONT)
            program.terminate()
            assert program.wait(60) == 0, (folder / "daemon.log").read_text()[-3000:]


def touched_after(file: Path, moment: float, *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if file.exists() and file.stat().st_mtime > moment:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_loop_leaves_signs_of_life_until_it_hangs(dagster_home: Settings, tmp_path: Path) -> None:
    file = dagster_home.dagster_home / SIGN_OF_LIFE
    with daemon(dagster_home, tmp_path) as program:
        assert touched_after(file, 0.0, within_s=_STARTS_WITHIN_S)
        assert touched_after(file, file.stat().st_mtime, within_s=60)
        program.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        assert not touched_after(file, file.stat().st_mtime, within_s=12)


def test_a_thread_that_has_ended_leaves_none_and_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    threads = iter([None, RuntimeError("no longer running")])

    def look() -> None:
        if (ended := next(threads)) is not None:
            raise ended

    controller: Any = SimpleNamespace(check_daemon_threads=look)
    leave_signs_of_life(controller, tmp_path / "nowhere" / "file")
    controller.check_daemon_threads()
    leave_signs_of_life(controller, tmp_path / "file")
    with pytest.raises(RuntimeError):
        controller.check_daemon_threads()
    assert not (tmp_path / "file").exists()
