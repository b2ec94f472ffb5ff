"""The folder of a running `myi up`: in the home, short enough for a socket, and gone afterwards."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from myi_pipeline.operations.supervisor import run_folder
from myi_pipeline.postgres.embedded.socket_folders import LONGEST_SOCKET_PATH

HOLD = """
import sys
from pathlib import Path
from myi_pipeline.operations.supervisor import run_folder
with run_folder(Path(sys.argv[1]), longest_file="code.sock") as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_it_lies_in_the_home_closed_to_others_and_goes_with_its_process(tmp_path: Path) -> None:
    with run_folder(tmp_path, longest_file="code.sock") as folder, run_folder(tmp_path, longest_file="a") as other:
        assert folder != other
        assert folder.is_relative_to(tmp_path)
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert list((tmp_path / "run").iterdir()) == []


def test_what_a_killed_one_left_is_cleared_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        held = Path(holder.stdout.readline().strip())
        with run_folder(tmp_path, longest_file="code.sock"):
            assert held.exists()
        holder.kill()
    assert held.exists()
    with run_folder(tmp_path, longest_file="code.sock"):
        assert not held.exists()


def test_a_home_with_a_long_path_has_it_elsewhere_and_never_in_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 5)
    home.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with run_folder(home, longest_file="code.sock") as folder:
        assert len(os.fsencode(folder / "code.sock")) <= LONGEST_SOCKET_PATH
        assert not any(folder.is_relative_to(place) for place in ("/tmp", "/var/tmp", tempfile.gettempdir()))
    assert not folder.exists()
