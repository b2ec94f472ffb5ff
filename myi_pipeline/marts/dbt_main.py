"""dbt, in a process of its own.

`python -m myi_pipeline.marts.dbt_main` serves whoever started it and ends with it; with a number of seconds it serves
one after another over the listening socket that is its standard input, and ends after so long without work (warm_dbt).

Each line is a command: {"arguments": [...], "environment": {...}}, dbt's own arguments and what dbt's macros read of
the environment. Answers are lines of JSON. {"started": ...} and {"finished": ...} report a model or test,
{"error": ...} repeats an error of dbt's log, {"success": ..., "error": ..., "nodes": [...]} ends the command. Nothing
else gets there: what dbt and its plug-ins print goes to standard error.
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

# So long after it went a client may still count as being served.
_LEAVING_S = 1.0
# A process that has grown to this size does not wait for more work.
_LARGEST_BYTES = 600 * 1024 * 1024
# dbt writes artifacts of each command; what a refresh needs of them is in the answer.
_WITHOUT_ARTIFACTS = ("run", "test")


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends: a signal that only Linux has.

    Elsewhere an orphaned dbt runs until the next mart run fences it off.
    """
    if sys.platform == "linux":
        import ctypes
        import signal

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Dbt:
    """Runs commands one after another. The parsed project is kept for the next, until its files change."""

    def __init__(self) -> None:
        # Nothing of what an import makes is garbage: looking for it took a tenth of the time.
        gc.disable()
        from dbt.cli.main import dbtRunner

        _drop_debug_events()
        gc.enable()
        self._runner = dbtRunner
        # By target, each with the fingerprint of its files and the name of the database that it is for.
        self._manifests: dict[str, tuple[str, str, Any]] = {}
        self._own = dict(os.environ)

    def invoke(self, arguments: Sequence[str], environment: Mapping[str, str], answer: Answer) -> None:
        # Nothing of an earlier command stays: another run, another connection.
        os.environ.clear()
        os.environ.update({**self._own, **environment})
        _forget_repeated_flags()
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
            # It is there for good: not to be looked through for garbage again and again.
            gc.freeze()
        return manifest, None


# What _reporting() hears of events that are below dbt's information.
_HEARD = ("NodeStart", "NodeFinished")


def _drop_debug_events() -> None:
    """Have dbt build no event that is for its debug log alone: nobody keeps that, and the events took a fourth of a
    refresh's CPU. (dbt-common 1.39, BaseEvent and EventManager)
    """
    with contextlib.suppress(ImportError, AttributeError):
        from dbt_common.events.base_types import BaseEvent, DebugLevel
        from dbt_common.events.event_manager import EventManager

        build, fire = BaseEvent.__init__, EventManager.fire_event

        def build_if_heard(event: Any, *args: Any, **values: Any) -> None:
            if type(event).__name__ in _HEARD:
                build(event, *args, **values)
            else:
                event.pb_msg = None

        def fire_if_built(manager: Any, event: Any, *args: Any, **options: Any) -> None:
            if event.pb_msg is not None:
                fire(manager, event, *args, **options)

        DebugLevel.__init__ = build_if_heard  # type: ignore[method-assign, assignment]
        EventManager.fire_event = fire_if_built  # type: ignore[method-assign, assignment]


def _forget_repeated_flags() -> None:
    """Each adapter adds its flags to a list of the module's, and walks the stack for every one in it: after some
    hundred commands that took half a second of each. (dbt-adapters 1.24, BaseAdapter.behavior)
    """
    with contextlib.suppress(ImportError, AttributeError):
        from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS

        once = {flag["name"]: flag for flag in DEFAULT_BASE_BEHAVIOR_FLAGS}
        DEFAULT_BASE_BEHAVIOR_FLAGS[:] = once.values()


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
    """A callback for dbt's events, which are messages of Protocol Buffers."""

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
    """One client at a time; a second one is told that it must start a dbt of its own."""
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
            # Other code than was imported here: the next client gets a process of that.
            os._exit(0)
        answer = answering(client.makefile("w", encoding="utf-8"))
        is_idle = threading.Event()
        is_idle.set()

        def answer_of_command(**message: Any) -> None:
            # Before it is sent: the client may go as soon as it has it.
            if "success" in message:
                is_idle.set()
            answer(**message)

        answer(ready=os.getpid())
        for command in _commands(lines, is_idle):
            dbt.invoke(command["arguments"], command["environment"], answer_of_command)
    # What it holds now. The peak that the system accounts begins with what the parent held when this one was started.
    if psutil.Process().memory_info().rss > _LARGEST_BYTES:
        os._exit(0)
    serving.release()


def _commands(lines: Iterable[str], is_idle: threading.Event) -> Iterable[dict[str, Any]]:
    """What the client asks. Its end while a command runs ends this process, and with it the command."""
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
