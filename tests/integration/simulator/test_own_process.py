"""The simulator as a process of its own, and as a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from myi_pipeline.simulator.live import (
    MovableClock,
    SimulatorFailed,
    SimulatorSpec,
    mixed_listeners,
    running_simulator,
)

SPEC = SimulatorSpec(listeners=mixed_listeners(3), artists=20)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_in_a_process_of_its_own_it_answers_alike_and_clocks_move_together() -> None:
    pages = []
    for own_process in (False, True):
        clock = MovableClock(START)
        with running_simulator(SPEC, clock=clock, own_process=own_process) as simulator:
            token = simulator.sign_in("listener-1").access_token
            clock.advance(timedelta(minutes=30))
            assert simulator.control.now() == clock.now() == START + timedelta(minutes=30)
            simulator.control.advance(60)
            assert simulator.control.now() == clock.now() == START + timedelta(minutes=31)
            page = httpx.get(
                f"{simulator.api_url}/me/player/recently-played", headers={"authorization": f"Bearer {token}"}
            ).text
            pages.append((token, page.replace(simulator.api_url, "")))
            truth = simulator.control.truth("listener-1")
        assert truth[-1].ended_at <= clock.now()
    assert pages[0] == pages[1]


@pytest.mark.slow
def test_its_process_ends_when_its_parent_is_killed() -> None:
    code = (
        "import sys, time\n"
        "from myi_pipeline.simulator.live import running_simulator\n"
        "with running_simulator(own_process=True) as simulator:\n"
        "    print(simulator.accounts_url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline().startswith("http://127.0.0.1:")
    children = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert gone
    assert not alive


def test_a_port_that_is_taken_is_named() -> None:
    with running_simulator(SPEC) as simulator:
        port = int(simulator.accounts_url.rsplit(":", 1)[1])
        with pytest.raises(SimulatorFailed, match=str(port)), running_simulator(SPEC, port=port):
            pass


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_is_and_ends_at_a_signal(tmp_path: Path, ending: signal.Signals) -> None:
    command = [sys.executable, "-c", "from myi_pipeline.cli import main; main()"]
    options = ["simulator", "--port", "0", "--json", "--listeners", "7", "--start", "2026-03-02", "--speed", "0"]
    child = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MYI_HOME": str(tmp_path)},
    )
    assert child.stdout is not None
    lines = []
    while (line := child.stdout.readline()) and line != "}\n":
        lines.append(line)
    found = json.loads("".join(lines) + "}")
    assert httpx.get(f"{found['control_url']}/clock").json()["now"] == "2026-03-02T00:00:00+00:00"
    assert found["environment"]["MYI_SPOTIFY_API_URL"] == found["url"] + "/v1"
    assert len(httpx.get(f"{found['control_url']}/listeners").json()) == 7
    child.send_signal(ending)
    child.communicate(timeout=20)
    assert child.returncode == (0 if ending == signal.SIGINT else 143)
