"""A process that refreshes in forks of its own, dbt and all, and kills them where it is told to.

Run as `python -m tests.dbt.properties.refresher_process`. It imports dbt and parses the project once; a refresh is a
fork of it and that one's dbt is a fork again, so that a kill costs no start-up. The first line of standard input is the
World; each further one is an Order, and one Outcome a line comes back. A fork is killed as the kernel kills it, by
SIGKILL or an alarm without handler: nothing of it tidies up.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from myi_pipeline.archives import loading, read_files
from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.errors import Transient
from myi_pipeline.marts import refresh as refreshing
from myi_pipeline.marts import runs
from myi_pipeline.marts.dbt_main import Dbt, end_with_parent
from myi_pipeline.marts.dbt_protocol import VERIFY_TARGET
from myi_pipeline.marts.dbt_runner import DbtNode, DbtResult, OnNode
from myi_pipeline.marts.verify import verify_marts
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.sql_files import load_statements
from tests.integration.archives.setups import hash_account

# How the statements end by which a run inherits what one before it has left.
INHERITED = ("from ops.mart_run_days", "from ops.mart_run_contents", "from ops.mart_run_users")
# No fork of these small orders takes longer.
MOST_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class World:
    """Where the marts are: the database's URLs by role, and dbt's environment."""

    urls: dict[str, str]
    environment: dict[str, str]

    def warehouse(self) -> Warehouse:
        return Warehouse(urls={Role(role): url for role, url in self.urls.items()}, dagster_url=self.urls["owner"])


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to do, and when to kill whom: at a label (see Outcome.labels), or after so many seconds, or not at all."""

    do: Literal["refresh", "verify", "import", "await the orphan"]
    path: str = ""
    user: str = ""
    victim: Literal["parent", "dbt"] = "parent"
    kill_at: str | None = None
    kill_after_s: float | None = None
    # Else dbt outlives its parent, as it would where the kernel does not tell it.
    dbt_dies_too: bool = True
    # dbt waits at the start of this model until the file is there.
    hold_at: str | None = None
    hold_file: str = ""
    # Becomes `myi.orphan = 1` in dbt's sessions.
    is_marked: bool = False
    # The broken variant: the ledger is closed when it is frozen, and what a crash leaves is not inherited.
    closes_first: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`code`: as a shell has it, -9 for a kill. `labels`: the moments passed. `result`: what the service returned."""

    code: int
    labels: list[str]
    result: dict[str, Any] | None
    seconds: float

    @property
    def was_killed(self) -> bool:
        return self.code < 0

    @property
    def was_hit(self) -> bool:
        """Whether the kill reached the refresher or its dbt before they were done."""
        return self.was_killed or (self.result or {}).get("error") == "dbt ended without an answer"


Tell = Callable[[Mapping[str, Any]], None]


class ForkedDbt:
    """A DbtRunner whose dbt is a fork of this process.

    dbt keeps the descriptor `keep`, whose other end hears so how long it lives, and closes `parents`, which says the
    same of its parent.
    """

    def __init__(self, own: Dbt, order: Order, *, keep: int, parents: int, pass_by: Callable[[str], None]) -> None:
        self.own, self.order, self.keep, self.parents, self.pass_by = own, order, keep, parents, pass_by
        self.pid = 0

    def invoke(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: OnNode | None = None
    ) -> DbtResult:
        answers, said = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._be_dbt(arguments, environment, said, answers)
        os.close(said)
        with os.fdopen(answers) as lines:
            for line in lines:
                message = json.loads(line)
                if "success" in message:
                    os.waitpid(self.pid, 0)
                    nodes = tuple(DbtNode(**node) for node in message["nodes"])
                    return DbtResult(message["success"], nodes, message["error"])
                if "started" in message:
                    self.pass_by(f"started {message['started']}")
                elif "finished" in message:
                    self.pass_by(f"{message['finished']['status']} {message['finished']['name']}")
        os.waitpid(self.pid, 0)
        raise Transient("dbt ended without an answer")

    def _be_dbt(self, arguments: Sequence[str], environment: Mapping[str, str], said: int, answers: int) -> None:
        os.close(answers)
        os.close(self.parents)
        _close_sockets()
        if self.order.dbt_dies_too:
            end_with_parent()
        if self.order.is_marked:
            environment = {**environment, "PGOPTIONS": "-c myi.orphan=1"}
        if self.order.victim == "dbt" and self.order.kill_after_s is not None:
            signal.setitimer(signal.ITIMER_REAL, self.order.kill_after_s)
        write, keep = _writer(said), _writer(self.keep)

        def answer(**message: Any) -> None:
            if "success" in message:
                keep({"result": message})
            # Whoever asked may be dead: an orphan goes on all the same.
            with suppress(BrokenPipeError):
                write(message)
            if self.order.hold_at is not None and message.get("started") == self.order.hold_at:
                while not Path(self.order.hold_file).exists():
                    time.sleep(0.02)

        self.own.invoke(arguments, environment, answer)
        os._exit(0)


def _close_sockets() -> None:
    """A fork has its parent's connections, which a program of its own would not: the parent's lock goes with it."""
    for descriptor in range(3, 512):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.close(descriptor)


def _writer(descriptor: int) -> Tell:
    def write(message: Mapping[str, Any]) -> None:
        os.write(descriptor, json.dumps(message).encode() + b"\n")

    return write


class Parent:
    """The process that refreshes: watched, and killed at its label."""

    def __init__(self, world: World, order: Order, own: Dbt, *, said: int, keep: int) -> None:
        self.world, self.order, self.say = world, order, _writer(said)
        self.dbt = ForkedDbt(own, order, keep=keep, parents=said, pass_by=self.pass_by)

    def pass_by(self, label: str) -> None:
        self.say({"label": label})
        if label == self.order.kill_at:
            if self.order.victim == "dbt":
                os.kill(self.dbt.pid, signal.SIGKILL)
            else:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(MOST_SECONDS)

    def carry_out(self) -> dict[str, Any]:
        warehouse, environment = self.world.warehouse(), self.world.environment
        if self.order.do == "import":
            read_files._ROWS_A_BATCH, loading.ROWS_A_CHUNK = 50, 100
            imported = import_history(
                warehouse,
                paths=Path(self.order.path),
                user_key=self.order.user,
                limits=Limits(),
                hash_account=hash_account,
                is_confirmed=True,
            )
            return {"status": imported.status, "import_id": imported.import_id}
        if self.order.do == "verify":
            verified = verify_marts(warehouse, dbt=self.dbt, environment=environment)
            differing = [asdict(mart) for mart in verified.differing]
            return {"is_good": verified.is_good, "error": verified.error, "differing": differing}
        self.watch()
        result = refreshing.refresh_marts(
            warehouse, dbt=self.dbt, environment=environment, run_tests=self.order.kill_at == "testing"
        )
        return {"status": result.status, "run_id": result.run_id, "error": result.error}

    def watch(self) -> None:
        """Labels: each statement that opens or closes a run, and the moments between opening, building and closing."""
        load, opened = load_statements, runs.open_mart_run
        finish, test = runs.MartRun.finish, refreshing.run_data_tests

        def statements(name: str) -> Iterator[str]:
            for number, statement in enumerate(load(name)):
                self.pass_by(f"{name.rpartition('/')[2]} {number}")
                if not (self.order.closes_first and statement.endswith(INHERITED)):
                    yield statement
            self.pass_by(f"{name.rpartition('/')[2]} done")

        def after_opening(*args: Any, **options: Any) -> Any:
            run = opened(*args, **options)
            if self.order.closes_first:
                for statement in load("marts/mart_runs/close_run"):
                    if "ops.changed_" in statement:
                        run.connection.execute(statement, {"run_id": run.run_id})
            self.pass_by("opened")
            return run

        def around_finish(*args: Any, **options: Any) -> Any:
            self.pass_by("built")
            finished = finish(*args, **options)
            self.pass_by("closed")
            return finished

        def before_tests(*args: Any, **options: Any) -> Any:
            self.pass_by("testing")
            return test(*args, **options)

        vars(runs)["load_statements"] = statements
        runs.open_mart_run = after_opening
        runs.MartRun.finish = around_finish  # type: ignore[method-assign]
        refreshing.run_data_tests = before_tests


class Refresher:
    """The warm process: forks, waits, kills, answers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dbt = Dbt()
        self.orphan: int | None = None
        beside = {
            **world.environment,
            "DBT_TARGET": VERIFY_TARGET,
            "DBT_TARGET_PATH": str(Path(world.environment["DBT_TARGET_PATH"]).with_name("verify")),
        }
        for given in (world.environment, beside):
            self.dbt.invoke(["parse"], given, self._need)

    @staticmethod
    def _need(**message: Any) -> None:
        if not message.get("success", True):
            raise SystemExit(f"dbt cannot read the project: {message['error']}")

    def supervise(self, order: Order) -> Outcome:
        started = time.monotonic()
        if order.do == "await the orphan":
            return Outcome(code=0, labels=[], result=self._await_orphan(), seconds=time.monotonic() - started)
        heard, said = os.pipe()
        alive, keep = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            self._be_parent(order, said, keep)
        os.close(said)
        os.close(keep)
        kill_after_s = order.kill_after_s if order.victim == "parent" else None
        messages = [json.loads(line) for line in self._hear(heard, child, kill_after_s)]
        _, status = os.waitpid(child, 0)
        if order.dbt_dies_too:
            _read_to_the_end(alive)
        else:
            if self.orphan is not None:
                os.close(self.orphan)
            self.orphan = alive
        return Outcome(
            code=os.waitstatus_to_exitcode(status),
            labels=[message["label"] for message in messages if "label" in message],
            result=next((message["returned"] for message in messages if "returned" in message), None),
            seconds=time.monotonic() - started,
        )

    def _be_parent(self, order: Order, said: int, keep: int) -> None:
        try:
            parent = Parent(self.world, order, self.dbt, said=said, keep=keep)
            parent.say({"returned": parent.carry_out()})
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _hear(self, heard: int, child: int, kill_after_s: float | None) -> list[bytes]:
        """What the child says until its end, which comes after MOST_SECONDS at the latest."""
        heard_all = b""
        deadline = time.monotonic() + (MOST_SECONDS if kill_after_s is None else kill_after_s)
        while True:
            ready, _, _ = select.select([heard], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                # Not reaped yet, so the number is still the child's.
                os.kill(child, signal.SIGKILL)
                deadline = time.monotonic() + MOST_SECONDS
                continue
            part = os.read(heard, 65_536)
            if not part:
                os.close(heard)
                return heard_all.splitlines()
            heard_all += part

    def _await_orphan(self) -> dict[str, Any] | None:
        """Until everything that the last order has forked is gone; what dbt last answered, to whomever."""
        if self.orphan is None:
            return None
        descriptor, self.orphan = self.orphan, None
        answers = _read_to_the_end(descriptor)
        return answers[-1]["result"] if answers else None


def _read_to_the_end(descriptor: int) -> list[dict[str, Any]]:
    with os.fdopen(descriptor) as lines:
        return [json.loads(line) for line in lines]


def main(orders: TextIO) -> None:
    # dbt and its plug-ins may print: the answers get a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    refresher = Refresher(World(**json.loads(orders.readline())))
    for line in orders:
        answers.write(json.dumps(asdict(refresher.supervise(Order(**json.loads(line))))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin)
