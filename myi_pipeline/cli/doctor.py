"""`myi doctor`: what is wrong on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.output import plain
from myi_pipeline.cli.session import JsonOption, open_session

if TYPE_CHECKING:
    from myi_pipeline.services.check_health import Check


def doctor_command(as_json: JsonOption = False) -> None:
    """Check everything that could be wrong on this machine, and say how to mend it. Changes nothing."""
    from myi_pipeline.services.check_health import Status, run_checks

    session = open_session(as_json=as_json)
    checks = run_checks(session.settings)
    failed = sum(check.status == Status.FAIL for check in checks)
    session.output.result({"healthy": not failed, "checks": checks}, lambda console: _render(console, checks))
    raise typer.Exit(1 if failed else 0)


def _render(console: Console, checks: list[Check]) -> None:
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    widest = max((len(check.name) for check in checks), default=0)
    for check in checks:
        line = Text(f"{check.status.value:<5}", style=styles[check.status.value])
        line.append(f"{check.name:<{widest}}  {plain(check.found)}", style="default")
        console.print(line, soft_wrap=True)
        if check.mend:
            console.print(Text(f"{'':<{widest + 5}}  -> {plain(check.mend)}"), soft_wrap=True)
