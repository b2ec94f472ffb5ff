"""The process of dbt that waits for work, with a dbt that does as it is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from myi_pipeline.marts.dbt_channels import MODULE, await_warm, greet_warm
from myi_pipeline.marts.dbt_main import _LARGEST_BYTES
from myi_pipeline.marts.dbt_protocol import LIVE_TARGET
from myi_pipeline.marts.dbt_runner import DbtEnded, DbtProcess
from myi_pipeline.marts.warm_dbt import warm_dbt
from tests.unit.marts.test_dbt_process import make_dbt

TELLS = "open(os.environ['NOTE'], 'a').write(str(os.getpid()) + ' ')"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return make_dbt(tmp_path, monkeypatch) | {"DBT_TARGET": LIVE_TARGET, "NOTE": str(tmp_path / "note")}


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "warm" / "dbt.sock"


def served_by(environment: dict[str, str]) -> list[int]:
    """The processes that carried out TELLS, in order."""
    return [int(pid) for pid in Path(environment["NOTE"]).read_text().split()]


def ask(path: Path, environment: dict[str, str], *lines: str) -> None:
    with DbtProcess(warm=path) as dbt:
        assert dbt.invoke([TELLS, *lines], environment=environment).success


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def warm_children() -> list[psutil.Process]:
    """Other tests' processes of dbt are not warm: they have no time after which they end."""

    def is_warm(child: psutil.Process) -> bool:
        try:
            return MODULE in child.cmdline()[:-1]
        except psutil.Error:
            # It has just ended.
            return False

    return [child for child in psutil.Process().children() if is_warm(child)]


@pytest.fixture
def kept(environment: dict[str, str], socket_path: Path) -> Iterator[None]:
    with warm_dbt(socket_path, idle_s=60):
        yield
    assert warm_children() == []
    assert not socket_path.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_one_process_serves_one_refresh_after_another(environment: dict[str, str], socket_path: Path) -> None:
    ask(socket_path, environment)
    # What one command was told is gone when the next one comes.
    ask(socket_path, {**environment, "MYI_MART_RUN_ID": "7"}, "assert os.environ['MYI_MART_RUN_ID'] == '7'")
    ask(socket_path, environment, "assert 'MYI_MART_RUN_ID' not in os.environ")
    assert len(set(served_by(environment))) == 1
    assert served_by(environment)[0] != os.getpid()


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_what_its_parent_holds_is_not_its_own_size(environment: dict[str, str], socket_path: Path) -> None:
    """The peak that the system accounts to a process begins with its parent's: each refresh would start dbt anew."""
    held = b"1" * (_LARGEST_BYTES + 1)
    ask(socket_path, environment)
    del held
    ask(socket_path, environment)
    assert len(set(served_by(environment))) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_whoever_comes_while_it_is_busy_starts_a_dbt_of_their_own(
    environment: dict[str, str], socket_path: Path
) -> None:
    ask(socket_path, environment)
    with DbtProcess(warm=socket_path) as first:
        first.start(environment)
        ask(socket_path, environment)
        assert first.invoke([TELLS], environment=environment).success
    one, other, again = served_by(environment)
    assert one == again
    assert one != other


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_client_that_goes_in_the_middle_ends_the_command_and_the_next_gets_a_new_process(
    environment: dict[str, str], socket_path: Path
) -> None:
    ask(socket_path, environment)
    with DbtProcess(warm=socket_path, timeout_s=1) as dbt, pytest.raises(DbtEnded, match="did not answer"):
        dbt.invoke(["import time; time.sleep(60)"], environment=environment)
    (killed,) = set(served_by(environment))
    eventually(lambda: not psutil.pid_exists(killed))
    ask(socket_path, environment)
    assert served_by(environment)[-1] != killed


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_process_that_is_killed_is_a_dbt_that_ended_and_the_next_refresh_has_another(
    environment: dict[str, str], socket_path: Path
) -> None:
    ask(socket_path, environment)

    def kill() -> None:
        time.sleep(0.5)
        psutil.Process(served_by(environment)[0]).kill()

    killing = threading.Thread(target=kill)
    with DbtProcess(warm=socket_path) as dbt:
        killing.start()
        with pytest.raises(DbtEnded):
            dbt.invoke(["import time; time.sleep(60)"], environment=environment)
        assert dbt.invoke([TELLS], environment=environment).success
    killing.join()
    assert served_by(environment)[-1] != served_by(environment)[0]


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_other_code_is_not_served_by_what_is_in_memory(
    environment: dict[str, str], socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(socket_path, environment)
    monkeypatch.setattr("myi_pipeline.marts.dbt_channels.code_fingerprint", lambda: "other code")
    ask(socket_path, environment)
    one, other = served_by(environment)
    assert one != other
    eventually(lambda: not psutil.pid_exists(one))


@pytest.mark.slow
def test_it_ends_after_some_time_without_work_and_comes_again(environment: dict[str, str], socket_path: Path) -> None:
    with warm_dbt(socket_path, idle_s=1):
        assert warm_children() == []
        ask(socket_path, environment)
        eventually(lambda: warm_children() == [])
        ask(socket_path, environment)
    assert len(set(served_by(environment))) == 2


@pytest.mark.slow
def test_its_temporary_files_are_where_it_is_told(
    environment: dict[str, str], socket_path: Path, tmp_path: Path
) -> None:
    with warm_dbt(socket_path, idle_s=60, temporary=tmp_path):
        ask(socket_path, environment)
        (child,) = warm_children()
        assert child.environ()["TMPDIR"] == str(tmp_path)


def test_one_that_cannot_start_turns_its_clients_away(
    environment: dict[str, str], socket_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "dbt/cli/main.py").write_text("raise SystemExit(3)")
    with warm_dbt(socket_path):
        started = time.monotonic()
        greeted = greet_warm(socket_path)
        assert greeted is not None
        assert await_warm(greeted) is None
        assert time.monotonic() - started < 30


@pytest.mark.slow
def test_nobody_listens_where_a_keeper_was_killed(environment: dict[str, str], socket_path: Path) -> None:
    with warm_dbt(socket_path, idle_s=60):
        left_behind = socket_path.with_name("kept")
        os.link(socket_path, left_behind)
    left_behind.rename(socket_path)
    assert greet_warm(socket_path) is None
    ask(socket_path, environment)
    with warm_dbt(socket_path, idle_s=60):
        ask(socket_path, environment)
        assert len(warm_children()) == 1


def test_the_folders_name_may_be_longer_than_a_sockets_address(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120) / "dbt.sock"
    with warm_dbt(path, idle_s=60):
        ask(path, environment)
        assert len(warm_children()) == 1
