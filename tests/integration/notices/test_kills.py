"""A process that tells is killed again and again: every message arrives, each with one id."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.notices import telling_process
from tests.integration.notices.conftest import Told
from tests.integration.notices.receivers import Receiver

ROOT = Path(__file__).parents[3]


def tell(told: Told, *, ahead_h: float, for_s: float | None) -> int:
    """Run it, for so long at most after it has begun; its exit code."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    command = [sys.executable, "-m", telling_process.__name__, str(ahead_h), str(told.ana)]
    with subprocess.Popen(
        command, cwd=ROOT, env=inherited | told.settings.environment(), stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begins\n"
        if for_s is not None:
            time.sleep(for_s)
            child.send_signal(signal.SIGKILL)
        return child.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [pytest.param(4, id="a few"), pytest.param(25, id="many", marks=pytest.mark.long)])
def test_each_message_arrives_though_who_sends_it_is_killed(told: Told, receiver: Receiver, kills: int) -> None:
    told.add(receiver.url, user_id=told.ana)
    chance = random.Random(20260302)
    killed = 0
    for number in range(kills):
        # What the one before had claimed is free again.
        killed += tell(told, ahead_h=number, for_s=chance.uniform(0.0, 0.25)) == -signal.SIGKILL
    assert killed
    # On a busy machine a try may take longer than it may. The next one follows, after a day at most: a message that
    # several processes claimed in vain waits as long as one that failed so often.
    for number in range(3):
        assert tell(told, ahead_h=kills + 31 * number, for_s=None) == 0
    ids = [each["webhook-id"] for each in receiver.headers]
    assert len(set(ids)) == telling_process.MESSAGES
    assert len(ids) <= telling_process.MESSAGES * (kills + 3)
    rows = told.sql("select count(*), count(delivered_at), count(distinct payload) from ops.notice_deliveries")
    assert rows == [(telling_process.MESSAGES,) * 3]
