"""`myi up` as a person uses it: one process in front, everything there, nothing left behind."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from myi_pipeline.errors import Permanent
from myi_pipeline.operations.supervisor import refuse_used_port
from myi_pipeline.settings import Settings

BY_COMMAND = "from myi_pipeline.cli import main; main(['up'])"
UP = """
import sys
from myi_pipeline.logs import configure_logs
from myi_pipeline.settings import load_settings
from myi_pipeline.operations.supervisor import run_up

configure_logs(level="info", layout="json")
sys.exit(run_up(load_settings()))
"""


# What a user's shell may hold for other purposes; each has led a part of it astray, or into waiting for ever.
UNKIND = {
    "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "elsewhere", "PGSSLMODE": "verify-full", "PGOPTIONS": "-c nothing=1",
    "DBT_TARGET": "prod", "DBT_PROFILES_DIR": "/nonexistent", "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": "none",
    "HTTP_PROXY": "http://192.0.2.1:9", "ALL_PROXY": "http://192.0.2.1:9", "NO_COLOR": "1", "TMPDIR": "/nonexistent",
    "WEB_CONCURRENCY": "many", "FORWARDED_ALLOW_IPS": "*", "PYTHONWARNINGS": "ignore", "GRPC_POLL_STRATEGY": "none",
}  # fmt: skip


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
            env={**environment_for_tests, **UNKIND, "MYI_DAGSTER_PORT": str(port)},
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
    # Dagster's pages start when somebody connects.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def first_line(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        return connection.recv(100).partition(b"\r\n")[0]


def enter(port: int, secret: str) -> tuple[int, int]:
    """Using the link that `myi up` prints, and the first page after it."""
    same_site = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=same_site, trust_env=False) as browser:
        came_in = browser.post("/myi/enter", data={"secret": secret})
        return came_in.status_code, browser.get("/").status_code


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

    wait_until(lambda: f"Dagster: http://127.0.0.1:{port}" in log(), at_most_s=150, what="it does not come up")
    assert running("dagster_pages.server") == []
    assert get(port, "/server_info") == 200
    assert get(port, "/") == 401
    (link,) = re.findall(rf"http://127.0.0.1:{port}/myi/enter#(\S+)", log())
    assert enter(port, link) == (303, 200)
    wait_until(lambda: answers(settings_for_tests.api_port), at_most_s=60, what="the API does not come up")
    assert f"MYI: http://127.0.0.1:{settings_for_tests.api_port}" in log()
    # A temporary folder is cleared of what looks old: nothing that it runs by lies there.
    words = next(each.cmdline() for each in below() if "--socket" in each.cmdline())
    folder = Path(words[words.index("--socket") + 1]).parent
    # Where the path of the home is too long for a socket, the folder lies beside other programs' in /run.
    assert not folder.is_relative_to(tempfile.gettempdir()) or folder.is_relative_to(settings_for_tests.home)
    assert {"code.sock", "workspace.yaml", "tmp"} <= {path.name for path in folder.iterdir()}
    of_children = [each.environ() for each in psutil.Process(up.pid).children()]
    assert {environ["TMPDIR"] for environ in of_children if "TMPDIR" in environ} == {str(folder / "tmp")}
    assert not any(UNKIND.keys() & environ.keys() - {"HTTP_PROXY", "ALL_PROXY", "TMPDIR"} for environ in of_children)
    for each in (port, settings_for_tests.api_port):
        assert (
            first_line(each, b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\n\r\n")
            == b"HTTP/1.1 400 Bad Request"
        )
        assert b" 431 " in first_line(each, b"GET / HTTP/1.1\r\nx: " + b"a" * 100_000)
    with pytest.raises(Permanent, match=f"port {port} is in use"):
        refuse_used_port(port)

    (pages,) = running("dagster_pages.server")
    pages.kill()
    wait_until(
        lambda: len(running("dagster_pages.server")) == 1 and running("dagster_pages.server") != [pages],
        at_most_s=30,
        what="the pages are not started again",
    )
    assert re.search(r"dagster-webserver was ended by SIGKILL after \d+ s; it is started again in 1 s", log())

    # It began as a fork of the code server, with which it shares what both import; alone it is started like any other.
    (daemon,) = [each for each in psutil.Process(up.pid).children() if each.name() == "dagster-daemon"]
    assert running("defs.daemon") == []
    daemon.kill()
    wait_until(lambda: len(running("defs.daemon")) == 1, at_most_s=30, what="the daemon is not started again")

    # With no marts yet, the sensor on the ledger asks for a refresh: its run is a process below the code server.
    wait_until(lambda: bool(running("multiprocessing.spawn")), at_most_s=120, what="no run is started")
    everything = below()
    assert len(everything) >= 4

    up.send_signal(signal.SIGTERM)

    assert up.wait(timeout=60) == 0
    assert [each for each in everything if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert log().rstrip().endswith("stopped")
    assert list((settings_for_tests.home / "run").iterdir()) == []
    # Nothing that reaches a terminal or a log file holds a password.
    assert not re.search(r"://[^\s:/@]+:[^\s/*]+@", log())


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to their supervisor")
def test_the_command_has_what_its_parts_import_once_in_memory(
    environment_for_tests: dict[str, str], port: int, settings_for_tests: Settings, tmp_path: Path
) -> None:
    def log() -> str:
        return (tmp_path / "log").read_text(encoding="utf-8", errors="replace")

    def children() -> dict[str, psutil.Process]:
        return {each.name(): each for each in psutil.Process(up.pid).children()}

    environment = {**environment_for_tests, **UNKIND, "MYI_DAGSTER_PORT": str(port)}
    with (tmp_path / "log").open("wb") as file:
        up = subprocess.Popen([sys.executable, "-c", BY_COMMAND], env=environment, stdout=file, stderr=file)
    try:
        wait_until(lambda: f"Dagster: http://127.0.0.1:{port}" in log(), at_most_s=150, what="it does not come up")
        forks = children()
        assert forks.keys() == {"myi api", "code server", "dagster-daemon"}
        for each in forks.values():
            assert each.cmdline() == psutil.Process(up.pid).cmdline()
        assert answers(settings_for_tests.api_port)
        assert get(port, "/server_info") == 200

        # Alone each is a program like any other.
        for name in ("myi api", "code server"):
            forks[name].kill()
        wait_until(lambda: not forks.keys() - {"dagster-daemon"} & children().keys(), at_most_s=30, what="it stays")
        wait_until(lambda: answers(settings_for_tests.api_port), at_most_s=60, what="the API does not come back")
        wait_until(
            lambda: any("myi_pipeline.definitions" in each.cmdline() for each in children().values()),
            at_most_s=60,
            what="the code server does not come back",
        )
    finally:
        left = psutil.Process(up.pid).children(recursive=True) if up.poll() is None else []
        up.terminate()
        try:
            assert up.wait(timeout=60) == 0
        finally:
            up.kill()
    assert [each for each in left if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert log().rstrip().endswith("stopped")


def test_a_used_port_is_refused_before_anything_is_started() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(Permanent, match="MYI_DAGSTER_PORT"):
            refuse_used_port(other.getsockname()[1])
