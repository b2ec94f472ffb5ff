"""The hosts of these tests are apart from each other, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.scale.hosts import CpuShare, Host, HostFailed, Machines, can_make_namespaces, machines, wait_until

pytestmark = pytest.mark.slow
_ASK = """
import socket, sys
print(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).recv(9).decode())
"""
_ANSWER = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listening:
    while True:
        listening.accept()[0].sendall(b"here")
"""
_DRIVER = """
import sys, time
from pathlib import Path
from tests.scale.hosts import machines
with machines(Path(sys.argv[1])) as made:
    made.host("alone").start(["sleep", "987654"])
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=[True, False], ids=["namespaces", "processes"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Machines, Host, Host]:
    if request.param and not can_make_namespaces():
        pytest.skip("no namespaces can be made here: that takes root, Linux and `ip`")
    with machines(tmp_path, namespaces=request.param) as made:
        yield made, made.host("one"), made.host("two")  # type: ignore[misc]


def _answering(host: Host) -> int:
    port = host.port(8_000)
    host.start([sys.executable, "-S", "-c", _ANSWER, host.address, str(port)])
    return port


def _hears(host: Host, other: Host, port: int) -> bool:
    try:
        return host.run([sys.executable, "-S", "-c", _ASK, other.address, str(port)], timeout_s=30) == "here\n"
    except HostFailed:
        return False


def test_a_host_loses_its_network_and_its_power_and_comes_back(two: tuple[Machines, Host, Host]) -> None:
    made, one, other = two
    port = _answering(other)
    wait_until("it answers", lambda: _hears(one, other, port), within_s=60)
    assert len(other.processes()) == 1
    other.cut_off()
    assert not _hears(one, other, port)
    other.reconnect()
    wait_until("it answers again", lambda: _hears(one, other, port), within_s=60)
    other.kill(silently=True)
    assert other.processes() == []
    assert not _hears(one, other, port)
    other.boot()
    port = _answering(other)
    wait_until("it answers after its start", lambda: _hears(one, other, port), within_s=60)
    if made.has_namespaces:
        assert one.run(["hostname"]) == "one\n"


@pytest.mark.skipif(not can_make_namespaces(), reason="no namespaces can be made here")
def test_of_a_driver_that_is_killed_nothing_is_left(tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert driver.stdout is not None
    try:
        assert driver.stdout.readline() == "ready\n"
        left = [each for each in psutil.process_iter(["cmdline"]) if (each.info["cmdline"] or [])[-1:] == ["987654"]]
        assert left
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.communicate(timeout=60)
    _, alive = psutil.wait_procs(left, timeout=60)
    assert alive == []


@pytest.mark.skipif(not CpuShare.can_be_made(), reason="no control groups can be made here")
def test_a_host_is_held_to_its_share_of_a_core(tmp_path: Path) -> None:
    with machines(tmp_path) as made:
        host = made.host("held", cores=0.2)
        assert host.share is not None
        for _ in range(2):
            host.start([sys.executable, "-S", "-c", "while True: pass"])
        used, began = host.share.used_s(), time.monotonic()
        wait_until("it works", lambda: host.share is not None and host.share.used_s() - used > 0.5, within_s=120)
        # A busy machine may give it less; the kernel gives no more, but for the last period.
        assert (host.share.used_s() - used) / (time.monotonic() - began) < 0.3
