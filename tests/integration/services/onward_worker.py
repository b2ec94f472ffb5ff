"""A process that sends plays on and kills itself at a named step.

Run as `python -m tests.integration.services.onward_worker`; standard input holds an Order as JSON. `is_broken`: plays
are sent without having been journalled as being sent, which is what the property must find out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from myi_pipeline.onward import journal
from myi_pipeline.onward.send import send_onward
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.settings import Settings, load_settings


@dataclass(frozen=True, kw_only=True)
class Order:
    """`kill_at`: the number of the step, from 1, at which the process ends itself; 0: never."""

    now: str
    kill_at: int
    is_broken: bool = False


def carry_out(settings: Settings, order: Order) -> int:
    """In a process of its own; its exit code, negative where a signal ended it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.services.onward_worker"],
        input=json.dumps(asdict(order)),
        text=True,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("MYI_")}, **settings.environment()},
        timeout=60,
        check=False,
    )
    return done.returncode


def _main() -> None:
    order = Order(**json.loads(sys.stdin.readline()))
    now = datetime.fromisoformat(order.now)
    steps = 0

    def at_step(_: str) -> None:
        nonlocal steps
        steps += 1
        if steps == order.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if order.is_broken:
        take = journal.take_planned

        def take_and_forget(*arguments: Any, **options: Any) -> Any:
            found = take(*arguments, **options)
            arguments[0].execute("update app.onward_plays set state = 'planned' where state = 'unknown'")
            return found

        journal.take_planned = take_and_forget
    settings = load_settings()
    with open_warehouse(settings, migrate=False) as warehouse:
        send_onward(settings, warehouse, clock=lambda: now, sleep=lambda _: None, at_step=at_step)


if __name__ == "__main__":
    _main()
