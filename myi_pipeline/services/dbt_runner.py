"""Running dbt: what it is told, and what it answers.

Belongs here: the project's place, the child's environment, the protocol with dbt_child. Not here: which run the marts
belong to (warehouse/mart_runs), what to do with failures (refresh_marts). Invariant: passwords reach dbt through its
standard input and never through arguments, files or logs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from myi_pipeline.core.errors import Permanent, Transient
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.mart_runs import Project

log = logging.getLogger(__name__)

# libpq's options of a URL that dbt's profile does not know, by the variable through which libpq takes them.
_LIBPQ = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}


@dataclass(frozen=True)
class DbtNode:
    """One model or test that dbt ran; `failures` counts the rows that a test found."""

    name: str
    kind: str
    status: str
    seconds: float
    failures: int | None = None
    message: str | None = None

    @property
    def is_bad(self) -> bool:
        return self.status in ("error", "fail", "runtime error", "skipped")


@dataclass(frozen=True)
class DbtResult:
    success: bool
    nodes: tuple[DbtNode, ...] = ()
    error: str | None = None

    @property
    def bad_nodes(self) -> tuple[DbtNode, ...]:
        return tuple(node for node in self.nodes if node.is_bad)

    def first_error(self) -> str | None:
        """One line for people: the first cause."""
        causes = [f"{n.name}: {n.message}" for n in self.bad_nodes if n.message and n.status != "skipped"]
        text = causes[0] if causes else self.error
        # What dbt adds after this is its own stack of macros.
        return None if text is None else " ".join(text.split()).partition(" > in macro ")[0]


# Called with a node's name and its status: `started`, then dbt's own word.
OnNode = Callable[[str, str], None]


class DbtRunner(Protocol):
    """Runs one dbt command at a time in the project; raises Transient when dbt itself is lost."""

    def invoke(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: OnNode | None = None
    ) -> DbtResult: ...


def project_folder() -> Path:
    """dbt_project/ of this clone. Raises Permanent when there is none."""
    folder = Path(__file__).resolve().parents[2] / "dbt_project"
    if not (folder / "dbt_project.yml").is_file():
        raise Permanent("the dbt project is missing: MYI runs from a clone of its repository, installed with -e")
    return folder


def project() -> Project:
    """Fingerprint and relations of the dbt project. Descriptions and tests are no part of the fingerprint."""
    folder = project_folder()
    digest = hashlib.sha256()
    code = [folder / "dbt_project.yml", *folder.glob("macros/**/*.sql"), *folder.glob("models/**/*.sql")]
    for file in sorted(code):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    models = sorted(folder.glob("models/*/*.sql"))
    return Project(digest.hexdigest(), tuple(f"{model.parent.name}.{model.stem}" for model in models))


def dbt_environment(warehouse: Warehouse, *, target: Path, logs: Path) -> dict[str, str]:
    """What dbt needs to reach the warehouse; the run's own part is MartRun.environment. Secret."""
    parts = warehouse.parts(Role.DBT)
    folder = str(project_folder())
    values = {
        "MYI_DBT_HOST": parts.host,
        "MYI_DBT_PORT": str(parts.port),
        "MYI_DBT_USER": parts.user,
        "MYI_DBT_PASSWORD": parts.password,
        "MYI_DBT_NAME": parts.database,
        "MYI_DBT_API_ROLE": warehouse.role_name(Role.API),
        "MYI_DBT_ANALYST_ROLE": warehouse.role_name(Role.ANALYST),
        "DBT_PROJECT_DIR": folder,
        "DBT_PROFILES_DIR": folder,
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(logs),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "DO_NOT_TRACK": "1",
        "PGTZ": "UTC",
    }
    return values | {_LIBPQ[name]: value for name, value in parts.options.items() if name in _LIBPQ}


def parse_result(answer: Mapping[str, Any]) -> DbtResult:
    nodes = tuple(DbtNode(**node) for node in answer["nodes"])
    return DbtResult(success=answer["success"], nodes=nodes, error=answer["error"])


def tell(on_node: OnNode | None, message: Mapping[str, Any]) -> None:
    if on_node is not None:
        on_node(message["name"], "started" if message["event"] == "NodeStart" else message["status"])


class ChildDbt:
    """A dbt child process, started at the first command and kept for the next; a context manager."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)

    def invoke(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: OnNode | None = None
    ) -> DbtResult:
        requests, answers = self._pipes()
        try:
            requests.write(json.dumps({"arguments": list(arguments), "environment": dict(environment)}) + "\n")
            requests.flush()
            for line in answers:
                message = json.loads(line)
                if "result" in message:
                    return parse_result(message["result"])
                tell(on_node, message)
        except BrokenPipeError:
            log.debug("dbt has closed its standard input")
        code = self.close(kill=True)
        raise Transient(f"dbt ended without an answer (exit {code})")

    def close(self, *, kill: bool = False) -> int | None:
        child, self._child = self._child, None
        if child is None:
            return None
        if kill:
            child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return child.wait()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "myi_pipeline.services.dbt_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                # Ctrl-C in a terminal reaches the whole group: the parent decides, and then ends its child.
                start_new_session=True,
            )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        return self._child.stdin, self._child.stdout
