"""`myi audit`, and recording the operator's commands in the audit log.

A command is recorded if it opened the warehouse and succeeded, unless it only reads or is routine (polls and refreshes,
which schedules run all day).
"""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse

if TYPE_CHECKING:
    from myi_pipeline.postgres.connections import Warehouse

UNRECORDED = frozenset(
    {
        "api", "audit", "catalogue run", "catalogue status", "circuit list", "corrections list", "demo",
        "docs build", "docs serve", "doctor", "env", "genres run", "genres status", "imports list", "imports show",
        "keys list", "poll", "quarantine list", "quota", "refresh", "service list", "service poll",
        "service send-now", "simulator", "token list", "top refresh", "top show", "up", "user list", "user logins",
        "user receipt", "verify", "backup list", "backup verify", "share list", "notices deliveries", "notices list",
        "notices targets",
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Running:
    name: str
    user_key: str | None


_running: ContextVar[_Running | None] = ContextVar("myi_running_command", default=None)


def audit_command(
    user: UserFilter = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="Show at most N.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List sign-ins, access that was granted or denied, and what the operator did, newest first."""
    from myi_pipeline.people import audit, manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = None if user is None else manage_users.get_user(connection, user_key=user).user_id
        found = audit.list_audit(connection, user_id=user_id, limit=limit)

    def render(console: Console) -> None:
        if not found:
            console.print("Nothing has been recorded yet.")
            return
        rows = (
            (moment(row.at), row.event, row.user_key, row.address or "this machine", _words(row.detail))
            for row in found
        )
        console.print(table(None, ("when", "event", "user", "from", "details"), rows))

    session.output.result({"audit": found}, render)


def record_commands(app: typer.Typer) -> None:
    """Tells `record` which command of the app is running."""
    for info in app.registered_commands:
        info.callback = _named(info.name or "", info.callback)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for info in group.typer_instance.registered_commands:
            info.callback = _named(f"{group.name} {info.name}", info.callback)


def _named(name: str, command: Callable[..., Any] | None) -> Callable[..., Any]:
    assert command is not None

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        key = options.get("key") or options.get("user")
        token = _running.set(_Running(name, key if isinstance(key, str) else None))
        try:
            return command(*arguments, **options)
        finally:
            _running.reset(token)

    return run


def record(opened: Warehouse) -> None:
    """Records that the running command has succeeded in this warehouse."""
    running = _running.get()
    if running is None or running.name in UNRECORDED:
        return
    from myi_pipeline.people import audit, manage_users
    from myi_pipeline.postgres.connections import Role

    detail: dict[str, object] = {"command": running.name, "by": _account()}
    with opened.connect(Role.INGEST, autocommit=True) as connection:
        known = manage_users.list_users(connection, user_key=running.user_key) if running.user_key else ()
        # The key of a user whom the command erased is not stored.
        if known:
            detail["user"] = running.user_key
        audit.record(connection, audit.Event.COMMAND, user_id=known[0].user_id if known else None, detail=detail)


def _account() -> str:
    """The system account that runs the command; a container may have no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _words(detail: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in detail.items() if name != "device")
