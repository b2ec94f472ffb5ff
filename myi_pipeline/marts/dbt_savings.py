"""Savings in a dbt process that is kept for refreshes: work that nobody needs and that slows down every refresh.

Each replaces one dbt function, named with its version, and is skipped if that function is not found.
"""

from __future__ import annotations

import contextlib
from typing import Any

# A command has some hundred templates; those that name a run or a time never recur.
_MOST_TEMPLATES = 2_000


def make() -> None:
    """Call once, before dbt's first command."""
    _drop_debug_events()
    _keep_connections()
    _write_no_files()
    _compile_once()


# The debug-level events that dbt_main reports.
_HEARD = ("NodeStart", "NodeFinished")


def _drop_debug_events() -> None:
    """Keeps dbt from building events that are only for its debug log: nobody keeps that, and the events took a quarter
    of a refresh's CPU. (dbt-common 1.39, BaseEvent and EventManager)"""
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


def _keep_connections() -> None:
    """One connection for each thread of a command: dbt opens one for each model, which takes 5 ms and makes the server
    read its catalogue again for every statement. All are closed at the end of the command. (dbt-adapters 1.24,
    BaseConnectionManager.release)"""
    with contextlib.suppress(ImportError, AttributeError):
        from dbt.adapters.contracts.connection import ConnectionState
        from dbt.adapters.postgres.connections import PostgresConnectionManager

        close = PostgresConnectionManager.release

        def release(manager: Any) -> None:
            connection = manager.get_if_exists()
            is_open = connection is not None and connection.state == ConnectionState.OPEN
            if not is_open or connection.handle.closed:
                close(manager)
                return
            try:
                # Also what dbt does not know about: a statement outside its transactions begins one.
                connection.handle.rollback()
                connection.transaction_open = False
            except Exception:
                close(manager)

        PostgresConnectionManager.release = release  # type: ignore[method-assign, assignment]


def _write_no_files() -> None:
    """Keeps dbt from writing the SQL of each model twice, which nobody reads: that took a tenth of a refresh. (dbt-core
    1.11, ParsedNode.write_node)"""
    with contextlib.suppress(ImportError, AttributeError):
        from dbt.contracts.graph.nodes import ParsedNode

        ParsedNode.write_node = lambda *_: None  # type: ignore[method-assign]


def _compile_once() -> None:
    """dbt compiles the same template again for every command, and each flag walks the stack to find its owner: an
    eighth of a refresh. (dbt-common 1.39, get_template and BehaviorFlagRendered)"""
    with contextlib.suppress(ImportError, AttributeError):
        from dbt_common.behavior_flags import BehaviorFlagRendered
        from dbt_common.clients.jinja import MacroFuzzEnvironment

        compiled: dict[tuple[type, str], Any] = {}
        compile_anew = MacroFuzzEnvironment.compile

        def compile_template(
            environment: Any, source: Any, name: Any = None, filename: Any = None, **options: Any
        ) -> Any:
            if not isinstance(source, str) or name or filename or options:
                return compile_anew(environment, source, name, filename, **options)
            key = (type(environment), source)
            if key not in compiled:
                if len(compiled) >= _MOST_TEMPLATES:
                    compiled.clear()
                compiled[key] = compile_anew(environment, source)
            return compiled[key]

        MacroFuzzEnvironment.compile = compile_template  # type: ignore[method-assign, assignment]
        BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]


def forget_repeated_flags() -> None:
    """Each adapter adds its flags to a list of the module, and walks the stack for every one in it: after some hundred
    commands, that took half a second each time. (dbt-adapters 1.24, BaseAdapter.behavior)"""
    with contextlib.suppress(ImportError, AttributeError):
        from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS

        once = {flag["name"]: flag for flag in DEFAULT_BASE_BEHAVIOR_FLAGS}
        DEFAULT_BASE_BEHAVIOR_FLAGS[:] = once.values()
