"""dbt kept warm over many mart runs: an invocation then costs 0.5 s and not 6.

MYI itself starts a new dbt for each mart run (marts/dbt_main). Run as `python -m tests.warm_dbt` this is the child of
WarmDbt: one request a line on standard input, answers in lines of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from myi_pipeline.errors import Transient
from myi_pipeline.isolation import children_environment
from myi_pipeline.marts.dbt_main import end_with_parent
from myi_pipeline.marts.dbt_protocol import KEPT, LIVE_TARGET
from myi_pipeline.marts.dbt_runner import DbtNode, DbtResult, OnNode, project
from myi_pipeline.marts.parsed_project import keep_parsed, manifest_fingerprint, project_folder

Report = Callable[[dict[str, Any]], None]
# Belong to one run and never to the parsed project.
PER_RUN = ("MYI_MART_RUN_ID", "MYI_MART_REBUILD")


class Invoker:
    """Runs dbt commands; the parsed project is kept for the next."""

    def __init__(self) -> None:
        self._manifests: dict[str, Any] = {}

    def invoke(self, arguments: Sequence[str], *, environment: Mapping[str, str], report: Report) -> dict[str, Any]:
        """One command (`run`, `test`, ...) with its options; returns success, error and a list of nodes."""
        from dbt.cli.main import dbtRunner

        # Also what an earlier command of this process was told: options of another connection, another run.
        for name in [*PER_RUN, *(name for name in os.environ if name.startswith(("PG", "DBT_")))]:
            os.environ.pop(name, None)
        os.environ.update(environment)
        options = _options()
        parsed_with = _parsed_with(arguments, environment)
        if parsed_with not in self._manifests:
            # One for refreshing and one for verifying; those of older code are of no use.
            if len(self._manifests) == 2:
                self._manifests.clear()
            parsed = dbtRunner().invoke(["parse", *_variables(arguments), *options])
            if not parsed.success:
                return {"success": False, "error": _error(parsed), "nodes": []}
            self._manifests[parsed_with] = parsed.result
            if environment.get("DBT_TARGET") == LIVE_TARGET:
                # Without it a run would not know which models it can leave out.
                kept = Path(environment[KEPT])
                keep_parsed(parsed.result, kept=kept, name=manifest_fingerprint(project_folder()))
        _forget_repeated_flags()
        runner = dbtRunner(manifest=self._manifests[parsed_with], callbacks=[_progress(report)])
        result = runner.invoke([*arguments, *options])
        nodes = [_node(each) for each in getattr(result.result, "results", [])]
        return {"success": bool(result.success), "error": _error(result), "nodes": nodes}


def _forget_repeated_flags() -> None:
    """Each adapter adds its flags to a list of the module's, and walks the stack for every one in it: after some
    hundred commands that took half a second of each. (dbt-adapters 1.24, BaseAdapter.behavior)
    """
    from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS

    once = {flag["name"]: flag for flag in DEFAULT_BASE_BEHAVIOR_FLAGS}
    DEFAULT_BASE_BEHAVIOR_FLAGS[:] = once.values()


def _options() -> list[str]:
    return [
        "--no-send-anonymous-usage-stats", "--no-version-check", "--no-use-colors", "--no-use-colors-file",
        "--log-level", "none", "--log-level-file", "warn", "--no-write-json",
    ]  # fmt: skip


def _variables(arguments: Sequence[str]) -> list[str]:
    if "--vars" not in arguments:
        return []
    at = list(arguments).index("--vars")
    return list(arguments[at : at + 2])


def _parsed_with(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    connection = sorted((name, value) for name, value in environment.items() if name not in PER_RUN)
    return json.dumps([_variables(arguments), connection, project().fingerprint])


def _error(result: Any) -> str | None:
    return str(result.exception) if result.exception is not None else None


def _node(result: Any) -> dict[str, Any]:
    node = result.node
    return {
        "name": node.name,
        "kind": str(node.resource_type),
        "status": str(result.status),
        "seconds": round(float(result.execution_time), 3),
        "failures": result.failures,
        "message": None if result.message is None else str(result.message),
        "unique_id": node.unique_id,
    }


def _progress(report: Report) -> Callable[[Any], None]:
    def callback(event: Any) -> None:
        if event.info.name in ("NodeStart", "NodeFinished"):
            info = event.data.node_info
            report({"event": event.info.name, "name": info.node_name, "status": info.node_status})

    return callback


def parse_result(answer: Mapping[str, Any]) -> DbtResult:
    nodes = tuple(DbtNode(**node) for node in answer["nodes"])
    return DbtResult(success=answer["success"], nodes=nodes, error=answer["error"])


def tell(on_node: OnNode | None, message: Mapping[str, Any]) -> None:
    if on_node is not None:
        on_node(message["name"], "started" if message["event"] == "NodeStart" else message["status"])


class WarmDbt:
    """A DbtRunner: a child process, started at the first command and kept for the next; a context manager."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(kill=True)

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
            pass
        code = self.close(kill=True)
        raise Transient(f"dbt ended without an answer (exit {code})")

    def close(self, *, kill: bool = False) -> int | None:
        child, self.child = self.child, None
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
        if self.child is None:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "tests.warm_dbt"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                env={**children_environment(), "PYTHONPATH": os.getcwd()},
                # Ctrl-C in a terminal reaches the whole group: the parent decides, and then ends its child.
                start_new_session=True,
            )
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        return self.child.stdin, self.child.stdout


def main() -> None:
    end_with_parent()
    # dbt and its plug-ins may print: the answers get a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    invoker = Invoker()
    for line in sys.stdin:
        request = json.loads(line)
        answer({"result": invoker.invoke(request["arguments"], environment=request["environment"], report=answer)})


if __name__ == "__main__":
    main()
