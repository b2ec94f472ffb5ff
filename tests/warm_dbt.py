"""dbt, in a process of its own: importing it costs 6 s and 150 MB, which no command of ours should carry.

Belongs here: what runs where dbt is imported. Run as `python -m myi_pipeline.services.dbt_child` it reads one request a
line from standard input and answers in lines of JSON; tests call Invoker in their own process.
Invariant: it ends when its parent does; what it may still write then is decided by the fence in the database, not here.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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

        for name in PER_RUN:
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
    return json.dumps([_variables(arguments), connection])


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
    }


def _progress(report: Report) -> Callable[[Any], None]:
    def callback(event: Any) -> None:
        if event.info.name in ("NodeStart", "NodeFinished"):
            info = event.data.node_info
            report({"event": event.info.name, "name": info.node_name, "status": info.node_status})

    return callback


def _die_with_parent() -> None:
    """An aid only: without it this process would finish its command first."""
    if sys.platform == "linux":
        import ctypes
        import signal

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> None:
    _die_with_parent()
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
