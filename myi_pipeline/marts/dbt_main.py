"""dbt in a separate process.

`python -m myi_pipeline.marts.dbt_main` serves the process that started it, and ends with it. With a number of seconds,
it serves clients one after another on the listening socket that is its standard input, and ends after that long without
work (warm_dbt).

Each line is a command: {"arguments": [...], "environment": {...}}, dbt's own arguments and the variables that dbt's
macros read. Answers are lines of JSON. {"started": ...} and {"finished": ...} report a model or test, {"error": ...}
repeats an error of dbt's log, {"success": ..., "error": ..., "nodes": [...]} ends the command. Nothing else is written
there: whatever dbt and its plug-ins print goes to standard error.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from myi_pipeline.marts import dbt_savings
from myi_pipeline.marts.dbt_protocol import KEPT, LIVE_TARGET, code_fingerprint
from myi_pipeline.marts.parsed_project import (
    find_parsed,
    for_database,
    keep_parsed,
    load_parsed,
    manifest_fingerprint,
    project_folder,
)

Answer = Callable[..., None]

# For this long after a client has left, it may still count as being served.
_LEAVING_S = 1.0
# A process that has grown beyond this size does not wait for more work.
_LARGEST_BYTES = 600 * 1024 * 1024
# For these commands dbt writes no artifacts: what a refresh needs of them is in the answer.
_WITHOUT_ARTIFACTS = ("run", "test")


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, which only Linux can do.

    Elsewhere, an orphaned dbt runs until the next mart run fences it off.
    """
    if sys.platform == "linux":
        import ctypes
        import signal

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Dbt:
    """Runs commands one after another. The parsed project is kept for the next one, until its files change."""

    def __init__(self) -> None:
        # Nothing that an import creates is garbage: looking for it took a tenth of the time.
        gc.disable()
        from dbt.cli.main import dbtRunner

        dbt_savings.make()
        gc.enable()
        self._runner = dbtRunner
        # By target, each with the fingerprint of its files and the name of the database it is for.
        self._manifests: dict[str, tuple[str, str, Any]] = {}
        self._own = dict(os.environ)

    def invoke(self, arguments: Sequence[str], environment: Mapping[str, str], answer: Answer) -> None:
        # Nothing of an earlier command remains: this is another run, perhaps with another connection.
        os.environ.clear()
        os.environ.update({**self._own, **environment})
        dbt_savings.forget_repeated_flags()
        callbacks = [_reporting(answer)]
        manifest, failed = self._manifest(environment, callbacks)
        done = failed
        if done is None and list(arguments) == ["parse"]:
            answer(success=True, error=None, nodes=[])
            return
        if done is None:
            without = ["--no-write-json"] if arguments and arguments[0] in _WITHOUT_ARTIFACTS else []
            done = self._runner(manifest=manifest, callbacks=callbacks).invoke([*arguments, *without])
        nodes = [] if done is failed else [_node(result) for result in getattr(done.result, "results", [])]
        answer(success=done.success, error=None if done.exception is None else str(done.exception), nodes=nodes)

    def _manifest(self, environment: Mapping[str, str], callbacks: list[Any]) -> tuple[Any, Any]:
        """The parsed project, and dbt's result if it cannot be parsed."""
        target, database = environment.get("DBT_TARGET", ""), environment.get("MYI_DBT_NAME", "myi")
        kept = Path(environment[KEPT]) if target == LIVE_TARGET and KEPT in environment else None
        found = None if kept is None else find_parsed(kept)
        name = manifest_fingerprint(project_folder())
        parsed_from, parsed_for, manifest = self._manifests.get(target, ("", "", None))
        if parsed_from == name:
            if parsed_for != database:
                for_database(manifest, database)
        elif found is not None:
            manifest = load_parsed(found, database=database)
        else:
            parsed = self._runner(callbacks=callbacks).invoke(["parse"])
            if not parsed.success:
                return None, parsed
            manifest = parsed.result
        if kept is not None and found is None:
            keep_parsed(manifest, kept=kept, name=name)
        self._manifests[target] = (name, database, manifest)
        if parsed_from != name:
            # The manifest is never garbage, so it need not be scanned again and again.
            gc.freeze()
        return manifest, None


def _node(result: Any) -> dict[str, Any]:
    rows = (getattr(result, "adapter_response", None) or {}).get("rows_affected")
    return {
        "name": result.node.name,
        "kind": str(result.node.resource_type),
        "status": str(result.status),
        "seconds": round(float(result.execution_time), 3),
        "failures": result.failures,
        "message": None if result.message is None else str(result.message),
        "unique_id": result.node.unique_id,
        "rows": rows if isinstance(rows, int) and rows >= 0 else None,
    }


def _reporting(answer: Answer) -> Callable[[Any], None]:
    """A callback for dbt's events, which are Protocol Buffers messages."""

    def report(event: Any) -> None:
        if event.info.name == "NodeStart":
            answer(started=event.data.node_info.node_name)
        elif event.info.name == "NodeFinished":
            node, result = event.data.node_info, event.data.run_result
            answer(
                finished={
                    "name": node.node_name,
                    "kind": node.resource_type,
                    "status": node.node_status,
                    "seconds": result.execution_time,
                    "message": result.message,
                    "unique_id": node.unique_id,
                }
            )
        elif event.info.level == "error" and event.info.msg:
            answer(error=event.info.msg)

    return report


def answering(answers: IO[str]) -> Answer:
    lock = threading.Lock()

    def answer(**message: Any) -> None:
        # dbt's threads report their own models.
        with lock:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

    return answer


def serve_parent() -> None:
    end_with_parent()
    answer = answering(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    dbt = Dbt()
    for line in sys.stdin:
        command = json.loads(line)
        dbt.invoke(command["arguments"], command["environment"], answer)


def serve_socket(idle_s: float) -> None:
    """Serves one client at a time; a second one is told to start its own dbt."""
    end_with_parent()
    listener = socket.socket(fileno=os.dup(0))
    os.dup2(2, 1)
    code = code_fingerprint()
    dbt = Dbt()
    serving = threading.Lock()
    listener.settimeout(idle_s)
    while True:
        try:
            client, _ = listener.accept()
        except TimeoutError:
            if serving.locked():
                continue
            return
        client.settimeout(None)
        if not serving.acquire(timeout=_LEAVING_S):
            client.close()
            continue
        threading.Thread(target=_serve_client, args=(client, dbt, code, serving), daemon=True).start()


def _serve_client(client: socket.socket, dbt: Dbt, code: str, serving: threading.Lock) -> None:
    with client, contextlib.suppress(OSError, ValueError):
        lines = client.makefile("r", encoding="utf-8")
        hello = json.loads(lines.readline() or "{}")
        if hello.get("code") != code or code_fingerprint() != code:
            # The client runs other code than was imported here: end, so that the next one gets a fresh process.
            os._exit(0)
        answer = answering(client.makefile("w", encoding="utf-8"))
        is_idle = threading.Event()
        is_idle.set()

        def answer_of_command(**message: Any) -> None:
            # Before it is sent, because the client may leave as soon as it has it.
            if "success" in message:
                is_idle.set()
            answer(**message)

        answer(ready=os.getpid())
        for command in _commands(lines, is_idle):
            dbt.invoke(command["arguments"], command["environment"], answer_of_command)
    # The current size. The peak that the system records includes what the parent had when it started this process.
    if psutil.Process().memory_info().rss > _LARGEST_BYTES:
        os._exit(0)
    serving.release()


def _commands(lines: Iterable[str], is_idle: threading.Event) -> Iterable[dict[str, Any]]:
    """Reads the client's commands. If the client leaves during one, this process ends, and the command with it."""
    waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def read() -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in lines:
                is_idle.clear()
                waiting.put(json.loads(line))
        if not is_idle.is_set():
            os._exit(1)
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (command := waiting.get()) is not None:
        yield command


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_socket(float(sys.argv[1]))
    else:
        serve_parent()
