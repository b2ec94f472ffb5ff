"""Running dbt: its project, its environment, its commands and their results.

dbt runs in a child process (dbt_main): importing it takes 3 CPU seconds and 150 MB, which no command should have to
bear. It reports progress as dbt's events arrive, and the results at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from myi_pipeline.errors import Permanent, Transient
from myi_pipeline.marts.dbt_channels import Channel, ChildChannel, WarmChannel, await_warm, greet_warm
from myi_pipeline.marts.dbt_protocol import KEPT, LIVE_TARGET
from myi_pipeline.marts.parsed_project import (
    MANIFEST,
    contents_of,
    find_parsed,
    fingerprint_of,
    manifest_fingerprint,
    project_folder,
)
from myi_pipeline.marts.runs import Project
from myi_pipeline.postgres.connections import Role, Warehouse, libpq_options
from myi_pipeline.postgres.role_passwords import private_folder, write_private

log = logging.getLogger(__name__)

# A parse takes 8 to 13 s on two cores, and many times that if they are busy.
_PARSE_TIMEOUT_S = 300
_BAD = frozenset({"error", "fail", "runtime error", "skipped"})


@dataclass(frozen=True)
class DbtNode:
    """One model or test that dbt ran; `failures` counts the rows that a test found."""

    name: str
    kind: str
    status: str
    seconds: float
    failures: int | None = None
    message: str | None = None
    unique_id: str = ""
    # Rows written by the last statement of a model; None if unknown.
    rows: int | None = None

    @property
    def is_bad(self) -> bool:
        return self.status in _BAD


@dataclass(frozen=True)
class DbtResult:
    success: bool
    nodes: tuple[DbtNode, ...] = ()
    error: str | None = None

    @property
    def bad_nodes(self) -> tuple[DbtNode, ...]:
        return tuple(node for node in self.nodes if node.is_bad)

    def first_error(self) -> str | None:
        """The first cause, on one line."""
        causes = [f"{n.name}: {n.message}" for n in self.bad_nodes if n.message and n.status != "skipped"]
        text = causes[0] if causes else self.error
        # What dbt adds after this is its own stack of macros.
        return None if text is None else " ".join(text.split()).partition(" > in macro ")[0]


# Called with a node's name and its status: `started`, then the status that dbt reports.
OnNode = Callable[[str, str], None]


class DbtEnded(Transient):
    """dbt ended without an answer, or was killed by the time limit. `finished`: the nodes reported until then."""

    def __init__(self, message: str, finished: Sequence[DbtNode] = ()) -> None:
        super().__init__(message)
        self.finished = tuple(finished)


class DbtRunner(Protocol):
    """Runs one dbt command at a time in the project. Raises DbtEnded if dbt is killed."""

    def invoke(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: OnNode | None = None
    ) -> DbtResult: ...


def _tell_nobody(_name: str, _status: str) -> None:
    pass


class DbtProcess:
    """A DbtRunner; a context manager, within which commands share a process.

    The process is the warm one listening at `warm`, if there is one, or else a child of this one. The environment is
    dbt_environment()'s, plus the run's part. A command that takes longer than `timeout_s` is killed and raises
    DbtEnded; a rebuild may take hours.
    """

    def __init__(self, *, timeout_s: float | None = None, warm: Path | None = None) -> None:
        self._timeout_s = timeout_s
        self._warm = warm
        self._channel: Channel | None = None
        # A warm process that start() has contacted, but whose reply nobody has read yet.
        self._greeted: socket.socket | None = None
        # Whether start() has sent a command whose answer nobody has read yet.
        self._parsing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process before there is a command for it, without waiting for it.

        Importing dbt and reading the project take 3 s of CPU, and 12 s more if nothing was parsed yet. As
        `environment`, dbt_options() is enough.
        """
        if self._channel is None and self._greeted is None and self._may_be_warm(environment):
            self._greeted = greet_warm(self._warm) if self._warm is not None else None
        if self._greeted is not None:
            return
        channel = self._open(environment)
        if not self._parsing:
            with contextlib.suppress(OSError):
                self._ask(channel, ["parse"], environment)
                self._parsing = True

    def invoke(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: OnNode | None = None
    ) -> DbtResult:
        channel = self._open(environment)
        error: str | None = None
        finished: list[DbtNode] = []
        told = on_node or _tell_nobody
        try:
            with self._limit(channel) as late:
                self._ask(channel, arguments, environment)
                for line in channel.answers:
                    # A killed process may leave half a line.
                    message = json.loads(line) if line.endswith("\n") else {}
                    if self._parsing:
                        # If the project cannot be parsed, the command itself will report that again.
                        self._parsing = "success" not in message
                        continue
                    error = message.get("error") or error
                    if "success" in message:
                        success = bool(message["success"])
                        nodes = tuple(DbtNode(**node) for node in message["nodes"])
                        return DbtResult(success, nodes, None if success else error or "dbt failed")
                    if "started" in message:
                        told(message["started"], "started")
                    elif "finished" in message:
                        finished.append(DbtNode(**message["finished"]))
                        told(finished[-1].name, finished[-1].status)
        except OSError as broken:
            log.debug("dbt has closed the connection: %s", broken)
        except BaseException:
            self.close()
            raise
        self._channel, self._parsing = None, False
        code, printed = channel.last_words()
        if late.is_set():
            raise DbtEnded(f"dbt did not answer within {self._timeout_s:g} s", finished)
        raise DbtEnded(f"dbt ended without an answer (exit {code}): {printed or error or 'no message'}", finished)

    def close(self) -> int | None:
        """End the process. Returns its exit code, or None if there is none."""
        channel, self._channel, self._parsing = self._channel, None, False
        greeted, self._greeted = self._greeted, None
        if greeted is not None:
            greeted.close()
        return None if channel is None else channel.close()

    def _ask(self, channel: Channel, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        command = {"arguments": list(arguments), "environment": dict(environment)}
        channel.requests.write(json.dumps(command) + "\n")
        channel.requests.flush()

    def _open(self, environment: Mapping[str, str]) -> Channel:
        may_be_warm = self._may_be_warm(environment)
        if not may_be_warm and (self._greeted is not None or isinstance(self._channel, WarmChannel)):
            self.close()
        if self._channel is None:
            greeted, self._greeted = self._greeted, None
            if greeted is None and may_be_warm and self._warm is not None:
                greeted = greet_warm(self._warm)
            self._channel = (await_warm(greeted) if greeted is not None else None) or ChildChannel()
        return self._channel

    def _may_be_warm(self, environment: Mapping[str, str]) -> bool:
        return self._warm is not None and environment.get("DBT_TARGET") == LIVE_TARGET

    @contextmanager
    def _limit(self, channel: Channel) -> Iterator[threading.Event]:
        """Kills the process after `timeout_s`; the event is set if that happened."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            channel.kill()

        timer = threading.Timer(self._timeout_s or 0, kill)
        if self._timeout_s is not None:
            timer.start()
        try:
            yield late
        finally:
            timer.cancel()


def project(kept: Path | None = None) -> Project:
    """The dbt project of this installation, with its parsed form if that is in `kept` or was shipped.

    Descriptions and tests are not part of the fingerprint.
    """
    folder = project_folder()
    code = [folder / "dbt_project.yml", *folder.glob("macros/**/*.sql"), *folder.glob("models/**/*.sql")]
    models = sorted(folder.glob("models/*/*.sql"))
    parsed = None if kept is None else find_parsed(kept)
    return Project(
        fingerprint_of(folder, code),
        tuple(f"{model.parent.name}.{model.stem}" for model in models),
        "" if kept is None else manifest_fingerprint(folder),
        None if parsed is None else contents_of(parsed),
    )


def project_of(environment: Mapping[str, str]) -> Project:
    """The same, for a command with dbt_environment()'s environment."""
    return project(Path(environment[KEPT]) if KEPT in environment else None)


def dbt_environment(warehouse: Warehouse, *, target: Path, logs: Path) -> dict[str, str]:
    """What dbt needs to reach the warehouse; the run's own part is MartRun.environment. Secret."""
    parts = warehouse.parts(Role.DBT)
    values = {
        "MYI_DBT_HOST": parts.host,
        "MYI_DBT_PORT": str(parts.port),
        "MYI_DBT_USER": parts.user,
        "MYI_DBT_PASSWORD": parts.password,
        "MYI_DBT_NAME": parts.database,
        "MYI_DBT_API_ROLE": warehouse.role_name(Role.API),
        "MYI_DBT_ANALYST_ROLE": warehouse.role_name(Role.ANALYST),
        "PGTZ": "UTC",
    }
    # dbt's profile supports few of a URL's options; libpq takes all of them.
    return values | dbt_options(target=target, logs=logs) | libpq_options(parts)


def developer_environment(warehouse: Warehouse, *, home: Path) -> dict[str, str]:
    """What a shell needs for a developer's own dbt commands, on the target `dev`. Not secret.

    The password is in a file below `home` that only its owner can read; libpq finds it through PGPASSFILE.
    """
    folder = private_folder(home / "dbt" / "dev")
    passfile = folder / "pgpass"
    parts = warehouse.parts(Role.DBT)
    password = parts.password.replace("\\", "\\\\").replace(":", "\\:")
    write_private(passfile, f"*:*:*:{parts.user}:{password}\n")
    environment = dbt_environment(warehouse, target=folder / "target", logs=folder / "logs")
    meant_for_programs = (
        "MYI_DBT_PASSWORD",
        "DBT_TARGET",
        KEPT,
        *(name for name in environment if name.startswith("DBT_LOG_")),
    )
    kept = {name: value for name, value in environment.items() if name not in meant_for_programs}
    return {**kept, "DBT_LOG_PATH": str(folder / "logs"), "PGPASSFILE": str(passfile)}


def dbt_options(*, target: Path, logs: Path) -> dict[str, str]:
    """dbt's command-line options, as variables: what it needs to read the project without a warehouse."""
    folder = str(project_folder())
    return {
        "DBT_PROJECT_DIR": folder,
        "DBT_PROFILES_DIR": folder,
        "DBT_TARGET": LIVE_TARGET,
        KEPT: str(target.parent / "manifests"),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(logs),
        "DBT_LOG_LEVEL": "none",
        "DBT_LOG_FORMAT_FILE": "text",
        "DBT_LOG_LEVEL_FILE": "warn",
        "DBT_USE_COLORS": "false",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "DO_NOT_TRACK": "1",
    }


def dbt_manifest(folder: Path, *, timeout_s: float = _PARSE_TIMEOUT_S) -> Path:
    """manifest.json of the project as its files are now, parsed into a sub-folder of `folder` unless it is already
    there.

    Processes that start at the same time parse once. Raises Permanent, also if parsing takes longer than `timeout_s`.
    """
    found = find_parsed(folder)
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / "lock"):
            found = find_parsed(folder) or _parse(folder, timeout_s)
    return found / MANIFEST


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _parse(kept: Path, timeout_s: float) -> Path:
    try:
        # The profile has defaults for commands that do not connect.
        with tempfile.TemporaryDirectory() as made, DbtProcess(timeout_s=timeout_s) as dbt:
            environment = {**dbt_options(target=Path(made), logs=Path(made)), KEPT: str(kept)}
            parsed = dbt.invoke(["parse"], environment=environment)
    except DbtEnded as failure:
        raise Permanent(f"the dbt project cannot be parsed: {failure}") from None
    found = find_parsed(kept) if parsed.success else None
    if found is None:
        raise Permanent(f"the dbt project cannot be parsed: {parsed.first_error() or 'dbt kept no manifest'}")
    return found
