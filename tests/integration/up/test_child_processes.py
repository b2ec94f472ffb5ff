"""Children are started again when they end, and nothing outlives the end of all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from myi_pipeline.operations.child_processes import Child, ChildProcesses, can_fork

# A supervisor of two: `stubborn` ignores SIGTERM and has a child that loses its parent; `dying` ends at once.
SUPERVISOR = """
import json, os, signal, sys, time
from myi_pipeline.operations.child_processes import Child, ChildProcesses, adopt_orphans

folder = sys.argv[1]
stubborn = '''
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.run([sys.executable, "-c",
    "import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True)"])
open(sys.argv[1] + "/stubborn", "w").close()
time.sleep(300)
'''
dying = 'import sys; open(sys.argv[1] + "/dying", "a").write("x"); sys.exit(3)'
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
adopt_orphans()
children = ChildProcesses()
children.add(Child("stubborn", [sys.executable, "-c", stubborn, folder], os.environ))
children.add(Child("dying", [sys.executable, "-c", dying, folder], os.environ))
while not asked:
    children.tick()
    time.sleep(0.02)
children.stop(patience_s=1.0)
"""


def wait_until(condition: Callable[[], bool], *, at_most_s: float = 30.0) -> None:
    deadline = time.monotonic() + at_most_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(folder)], env=dict(os.environ))


def times_started(folder: Path) -> int:
    path = folder / "dying"
    return len(path.read_text()) if path.exists() else 0


@pytest.mark.slow
def test_what_ends_is_started_again_and_what_will_not_end_is_killed_with_its_lost_children(tmp_path: Path) -> None:
    supervisor = start(tmp_path)
    try:
        # The first restart comes after a second, the next after two.
        wait_until(lambda: times_started(tmp_path) >= 3 and (tmp_path / "stubborn").exists())
        below = psutil.Process(supervisor.pid).children(recursive=True)
        assert "sleep" in {each.name() for each in below}

        supervisor.send_signal(signal.SIGTERM)

        assert supervisor.wait(timeout=20) == 0
        assert alive(below) == []
    finally:
        supervisor.kill()


def test_a_killed_supervisor_takes_its_children_with_it(tmp_path: Path) -> None:
    supervisor = start(tmp_path)
    wait_until(lambda: times_started(tmp_path) >= 1)
    children = [each for each in psutil.Process(supervisor.pid).children() if each.name().startswith("python")]
    wait_until(lambda: (tmp_path / "stubborn").exists())

    supervisor.kill()
    supervisor.wait()

    def ignores_the_signal(process: psutil.Process) -> bool:
        try:
            return "SIG_IGN" in json.dumps(process.cmdline())
        except psutil.NoSuchProcess:
            return False

    # The stubborn one ignores the signal that its parent's death sends; it is this test's to end.
    stubborn = [each for each in children if ignores_the_signal(each)]
    try:
        wait_until(lambda: alive([each for each in children if each not in stubborn]) == [])
        assert len(alive(stubborn)) == 1
    finally:
        for each in stubborn:
            for below in [*each.children(recursive=True), each]:
                below.kill()


@pytest.mark.slow
def test_looking_after_children_costs_next_to_nothing(tmp_path: Path) -> None:
    """Each look went through all processes of the machine: `myi up` took a third of what an idle setup costs."""
    with start(tmp_path) as supervisor:
        try:
            wait_until((tmp_path / "stubborn").exists)
            before = psutil.Process(supervisor.pid).cpu_times()
            time.sleep(4)
            after = psutil.Process(supervisor.pid).cpu_times()
        finally:
            supervisor.terminate()
    # 200 looks.
    assert after.user + after.system - before.user - before.system < 0.3


ENDING = "import sys, time; open(sys.argv[1], 'a').write('x'); time.sleep(0.2); sys.exit(int(sys.argv[2]))"


@pytest.mark.slow
def test_a_child_on_demand_runs_when_it_is_asked_for_and_again_when_it_failed(tmp_path: Path) -> None:
    now = [0.0]
    children = ChildProcesses(clock=lambda: now[0])
    said = tmp_path / "said"

    def starts() -> int:
        return len(said.read_text()) if said.exists() else 0

    def tick_until_ended(child: Child) -> None:
        wait_until(lambda: child.process is None or child.process.poll() is not None)
        children.tick()

    pages = Child("pages", [sys.executable, "-c", ENDING, str(said), "0"], os.environ, on_demand=True)
    children.add(pages)
    children.tick()
    assert pages.process is None

    children.ask_for(pages)
    children.ask_for(pages)
    tick_until_ended(pages)
    now[0] += 1000
    children.tick()
    assert (starts(), pages.process) == (1, None)

    pages.command = [*pages.command[:-1], "3"]
    children.ask_for(pages)
    tick_until_ended(pages)
    # It was in use: whoever was connected comes back.
    assert 0 < children.next_tick_s <= 1
    children.ask_for(pages)
    assert pages.process is None
    now[0] += 1
    children.tick()
    assert pages.is_running
    wait_until(lambda: starts() == 3)
    children.stop(patience_s=5)


# Not by can_fork: if that were wrong, nothing would be tested.
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to their supervisor")
# A supervisor of one that forks another. The fork is taken once the test has made a file; its command then says so.
TAKING = """
import os, signal, sys, time
from contextlib import closing
from myi_pipeline.operations.child_processes import Child, ChildProcesses, Fork, adopt_orphans

folder = sys.argv[1]
forking = '''
import socket, sys, time
from myi_pipeline.operations.child_processes import fork_sibling
if fork_sibling(socket.socket(fileno=int(sys.argv[1])), name="sibling"):
    open(sys.argv[2] + "/taken", "w").close()
time.sleep(300)
'''
again = "import sys, time; open(sys.argv[1] + '/again', 'w').close(); time.sleep(300)"
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
adopt_orphans()
children = ChildProcesses()
taken = None
sibling = Child("sibling", [sys.executable, "-c", again, folder], os.environ)
with closing(Fork()) as fork:
    end = fork.file.fileno()
    children.add(
        Child("first", ["sleep", "300"], os.environ),
        first=[sys.executable, "-c", forking, str(end), folder], files=[end],
    )
    while not asked:
        if not taken and os.path.exists(folder + "/take"):
            taken = fork.take()
            children.add(sibling, running=taken)
        children.tick()
        time.sleep(0.02)
children.stop(patience_s=5.0)
"""


@contextlib.contextmanager
def taking(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    """The supervisor, and the fork that it has not taken yet."""
    with subprocess.Popen([sys.executable, "-c", TAKING, str(folder)], env=dict(os.environ)) as supervisor:
        try:
            wait_until(lambda: any(each.name() == "sibling" for each in psutil.Process(supervisor.pid).children()))
            (sibling,) = (each for each in psutil.Process(supervisor.pid).children() if each.name() == "sibling")
            yield supervisor, sibling
        finally:
            supervisor.kill()


@ON_LINUX
def test_a_fork_of_a_child_begins_when_it_is_taken_and_its_command_starts_it_again(tmp_path: Path) -> None:
    assert can_fork()
    with taking(tmp_path) as (supervisor, sibling):
        (first,) = (each for each in psutil.Process(supervisor.pid).children() if each != sibling)
        assert not (tmp_path / "taken").exists()
        (tmp_path / "take").touch()
        wait_until((tmp_path / "taken").exists)

        sibling.kill()
        wait_until((tmp_path / "again").exists)
        assert first.is_running()
        below = psutil.Process(supervisor.pid).children()
        assert len(below) == 2

        supervisor.terminate()
        assert supervisor.wait(timeout=20) == 0
        assert alive(below) == []


@ON_LINUX
@pytest.mark.parametrize("is_taken", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_fork_outlives_its_supervisor(number: signal.Signals, is_taken: bool, tmp_path: Path) -> None:
    with taking(tmp_path) as (supervisor, sibling):
        if is_taken:
            (tmp_path / "take").touch()
            wait_until((tmp_path / "taken").exists)

        supervisor.send_signal(number)
        supervisor.wait(timeout=20)

        wait_until(lambda: alive([sibling]) == [])


THREADED = """
import os, socket, threading
from myi_pipeline.operations.child_processes import fork_sibling

waiting = threading.Event()
thread = threading.Thread(target=waiting.wait)
thread.start()
ours, theirs = socket.socketpair()
assert not fork_sibling(theirs, name="sibling")
assert ours.recv(1) == b""
waiting.set()
"""


@ON_LINUX
def test_a_process_with_a_second_thread_is_not_forked() -> None:
    done = subprocess.run([sys.executable, "-c", THREADED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "sibling is started alone" in done.stderr) == (0, True), done.stderr


# Of a supervisor without threads, or with one; what the fork says of itself comes by a file.
FORKING = """
import json, os, sys, threading
from contextlib import closing
from myi_pipeline.operations.child_processes import Fork

file, is_threaded, is_taken = sys.argv[1], sys.argv[2] == "True", sys.argv[3] == "True"
ending = threading.Event()
if is_threaded:
    threading.Thread(target=ending.wait).start()
with closing(Fork()) as fork:
    words = fork.fork(name="forked", others=[Fork()])
    if words is not None:
        name = open("/proc/self/comm").read().strip()
        stands_alone = os.getsid(0) == os.getpid()
        with open(file, "w") as said:
            json.dump([name, list(words), dict(os.environ), os.readlink("/proc/self/fd/0"), stands_alone], said)
        sys.exit(3)
    taken = fork.take({"ONLY": "this", "MALLOC_ARENA_MAX": "2"}, ["a", "b"]) if is_taken else None
code = taken.wait() if taken else None
ending.set()
try:
    # One that was not taken goes by itself.
    os.waitpid(-1, 0)
except ChildProcessError:
    pass
print(code)
"""


def forked(file: Path, *, is_threaded: bool = False, is_taken: bool = True) -> str:
    command = [sys.executable, "-c", FORKING, str(file), str(is_threaded), str(is_taken)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


@ON_LINUX
def test_a_fork_of_the_supervisor_works_with_what_it_was_taken_with(tmp_path: Path) -> None:
    assert forked(tmp_path / "said") == "3"

    name, words, environment, reads, stands_alone = json.loads((tmp_path / "said").read_text())
    assert (name, words, reads, stands_alone) == ("forked", ["a", "b"], os.devnull, True)
    assert environment == {"ONLY": "this", "MALLOC_ARENA_MAX": "2"}


@ON_LINUX
def test_a_fork_that_is_not_taken_goes(tmp_path: Path) -> None:
    assert forked(tmp_path / "said", is_taken=False) == "None"
    assert not (tmp_path / "said").exists()


@ON_LINUX
def test_a_supervisor_with_a_second_thread_has_no_fork_to_take(tmp_path: Path) -> None:
    assert forked(tmp_path / "said", is_threaded=True) == "None"
    assert not (tmp_path / "said").exists()
