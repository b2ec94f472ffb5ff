"""`myi up` as a person uses it: one process in front, everything there, nothing left behind."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from myi_pipeline.core.errors import Permanent
from myi_pipeline.settings import Settings
from myi_pipeline.supervisor import refuse_used_port

UP = """
import sys
from myi_pipeline.logs import configure_logs
from myi_pipeline.settings import load_settings
from myi_pipeline.supervisor import run_up

configure_logs(level="info", layout="json")
sys.exit(run_up(load_settings()))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], *, at_most_s: float, what: str) -> None:
    deadline = time.monotonic() + at_most_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def up(environment_for_tests: dict[str, str], port: int, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", UP],
            env={**environment_for_tests, "MYI_DAGSTER_PORT": str(port)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            left = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.kill()
            for each in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        # It has just ended.
        return ""


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def answers(port: int) -> bool:
    try:
        return get(port, "/readyz") == 200
    except OSError:
        return False


@pytest.mark.timeout(300)
def test_up_serves_restarts_what_dies_and_leaves_no_orphan_in_the_middle_of_a_run(
    up: subprocess.Popen[bytes], port: int, settings_for_tests: Settings, tmp_path: Path
) -> None:
    def log() -> str:
        return (tmp_path / "log").read_text(encoding="utf-8", errors="replace")

    def below() -> list[psutil.Process]:
        return psutil.Process(up.pid).children(recursive=True)

    def running(name: str) -> list[psutil.Process]:
        return [each for each in below() if name in command_line(each)]

    wait_until(lambda: f"Dagster: http://127.0.0.1:{port}" in log(), at_most_s=150, what="the pages do not come up")
    assert get(port, "/server_info") == 200
    wait_until(lambda: answers(settings_for_tests.api_port), at_most_s=60, what="the API does not come up")
    assert f"MYI: http://127.0.0.1:{settings_for_tests.api_port}" in log()
    with pytest.raises(Permanent, match=f"port {port} is in use"):
        refuse_used_port(port)

    (pages,) = running("dagster-webserver --")
    pages.kill()
    wait_until(
        lambda: len(running("dagster-webserver --")) == 1 and running("dagster-webserver --") != [pages],
        at_most_s=30,
        what="the pages are not started again",
    )
    assert re.search(r"dagster-webserver was ended by SIGKILL after \d+ s; it is started again in 1 s", log())

    # With no marts yet, the sensor on the ledger asks for a refresh: its run is a process below the code server.
    wait_until(lambda: bool(running("multiprocessing.spawn")), at_most_s=120, what="no run is started")
    everything = below()
    assert len(everything) >= 4

    up.send_signal(signal.SIGTERM)

    assert up.wait(timeout=60) == 0
    assert [each for each in everything if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert log().rstrip().endswith("stopped")
    # Nothing that reaches a terminal or a log file holds a password.
    assert not re.search(r"://[^\s:/@]+:[^\s/*]+@", log())


def test_a_used_port_is_refused_before_anything_is_started() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(Permanent, match="MYI_DAGSTER_PORT"):
            refuse_used_port(other.getsockname()[1])
