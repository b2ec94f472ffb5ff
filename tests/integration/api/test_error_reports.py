"""Errors of a running site and of a command, as they arrive at a server that speaks Sentry's protocol."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from myi_pipeline import __version__
from myi_pipeline.people import manage_access, manage_users
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from tests.error_receiver import Receiver

MYI = (sys.executable, "-c", "from myi_pipeline.cli import main; main()")
CANARY = "canary9of9requests"
USER = "listenerana"
# What the program knows is not there: a bug, as far as it can tell.
BREAK = "alter table app.user_time_zones rename column time_zone to gone"


def begun(settings: Settings, environment: dict[str, str]) -> subprocess.Popen[str]:
    """A site of its own, as it is started."""
    child = subprocess.Popen(
        [*MYI, "api"], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{settings.api_port}/healthz", trust_env=False).status_code == 200:
                return child
        except httpx.TransportError:
            time.sleep(0.1)
    child.kill()
    raise AssertionError(child.communicate()[1][-2000:])


@pytest.mark.slow
def test_errors_of_the_site_and_of_a_command_are_reported_without_who_asked_and_what_was_sent(
    settings_for_tests: Settings, environment_for_tests: dict[str, str], warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        user = manage_users.add_user(connection, user_key=USER, time_zone="UTC")
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        token = manage_access.make_token(connection, user_id=user.user_id, name="test").token
    with Receiver() as receiver:
        environment = environment_for_tests | {
            "MYI_SENTRY_DSN": receiver.dsn, "MYI_LASTFM_API_SECRET": CANARY, "HOME": str(tmp_path),
        }  # fmt: skip
        site = begun(settings_for_tests, environment)
        try:
            with warehouse.connect(Role.OWNER, autocommit=True) as connection:
                connection.execute(BREAK)
            address = f"http://127.0.0.1:{settings_for_tests.api_port}/v1/me/time-zones"
            answer = httpx.get(
                address,
                headers={
                    "authorization": f"Bearer {token}",
                    "cookie": f"myi_session={CANARY}",
                    "x-forwarded-for": "203.0.113.7",
                },
                trust_env=False,
            )  # fmt: skip
            assert answer.status_code == 500, answer.text
            receiver.wait_for(1)
        finally:
            site.terminate()
            said = site.communicate(timeout=60)[1]
        command = subprocess.run(
            [*MYI, "user", "time-zones", USER],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert command.returncode == 1, command.stderr
        receiver.wait_for(2)
    assert "request_failed" in said
    assert [each.get("message") for each in receiver.events] == ["request_failed", None]
    for event in receiver.events:
        assert event["release"] == f"myi@{__version__}"
        assert event["exception"]["values"][-1]["type"] == "UndefinedColumn"
        frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
        assert any(each["filename"].startswith("myi_pipeline/") for each in frames)
    assert receiver.events[0]["tags"]["correlation_id"] == answer.headers["x-request-id"]
    sent = b"".join(receiver.bodies).decode()
    for unwanted in (CANARY, token, USER, "203.0.113.7", "127.0.0.1", str(tmp_path)):
        assert unwanted not in sent, unwanted
