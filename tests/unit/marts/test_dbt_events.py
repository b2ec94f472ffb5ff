"""What MYI changes in dbt's own events: the test notices a dbt of which it no longer holds."""

from __future__ import annotations

import subprocess
import sys

import pytest

TELL = """
import gc
from myi_pipeline.marts.dbt_main import Dbt
Dbt()
from dbt.adapters.events.types import SQLQuery
from dbt.events.types import NodeStart, MainReportVersion
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager

heard = []
manager = EventManager()
manager.add_callback(lambda message: heard.append(message.info.name))
for event in (SQLQuery(conn_name="a", sql="select 1"), NodeStart(), MainReportVersion(version="1", log_version=3)):
    manager.fire_event(event)
print(heard, gc.isenabled())
"""


@pytest.mark.slow
def test_events_for_the_debug_log_alone_are_not_built_and_all_others_are() -> None:
    ran = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip() == "['NodeStart', 'MainReportVersion'] True", ran.stderr
