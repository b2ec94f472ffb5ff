"""Reports to Sentry: what leaves the machine, what never does, and that nobody waits for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from myi_pipeline import __version__
from myi_pipeline.error_reports import _MOST_A_MINUTE, FLUSH_S, _Pace, _Scrubber
from myi_pipeline.settings import Settings
from tests.error_receiver import Receiver

CANARY = "canary7cafe7credential"
# What a process has at hand when something goes wrong: the canary is a setting, an argument, a local variable, a part
# of messages and of a log line, and a user is named in each of them.
PROGRAM = f"""
import sys, threading
import structlog
from myi_pipeline.error_reports import start_error_reports
from myi_pipeline.errors import BadInput
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.settings import load_settings

settings = load_settings()
configure_logs(level="info", layout="json")
start_correlation("reported-1")
start_error_reports(settings, part="test")
log = structlog.get_logger("myi_pipeline.test")


def ask(refresh_token, user_key):
    held = {{"cookie": refresh_token, "user": user_key}}
    try:
        raise KeyError(f"{{refresh_token}} of {{user_key}}")
    except KeyError as error:
        raise RuntimeError(
            f"no answer for '{{user_key}}' from https://{{user_key}}:{{refresh_token}}@10.1.2.3/x?code={{refresh_token}}"
            f" to {{user_key}}@example.org, Bearer {{refresh_token}}, {{refresh_token}} in /home/{{user_key}}/myi/x\\n"
            f"DETAIL: ({{user_key}}, {{refresh_token}})"
        ) from error


try:
    ask("{CANARY}", "listener-ana")
except RuntimeError as error:
    log.error("request_failed", exc_info=error, token="{CANARY}", user="listener-ana")
log.error("poll_failed", user="listener-ana", reason="{CANARY}")
import logging
logging.getLogger("library").error("%s could not be read for %s", "{CANARY}", "listener-ana")
log.warning("only_a_warning", user="listener-ana")
try:
    raise BadInput("listener-ana has no such list", place="list")
except BadInput:
    log.exception("refused")
thread = threading.Thread(target=ask, args=("{CANARY}", "listener-ana"))
thread.start()
thread.join()
ask("{CANARY}", "listener-ana")
"""


@pytest.fixture(scope="module")
def reports() -> Iterator[Receiver]:
    with Receiver() as receiver:
        child = subprocess.run(
            [sys.executable, "-c", PROGRAM, CANARY, "listener-ana"],
            env=os.environ
            | {
                "MYI_SENTRY_DSN": receiver.dsn,
                "MYI_SPOTIFY_CLIENT_SECRET": CANARY,
                "MYI_DATABASE_URL": f"postgresql://owner:{CANARY}@db.example/myi",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert child.returncode == 1
        assert CANARY in child.stderr, "the canary was not where a report could have found it"
        receiver.wait_for(6)
        yield receiver


def test_logged_and_uncaught_errors_are_reported_once_each(reports: Receiver) -> None:
    messages = [each.get("message") for each in reports.events]
    assert messages == ["request_failed", "poll_failed", "%s could not be read for %s", "refused", None, None]
    assert [kind(each) for each in reports.events] == [
        "RuntimeError",
        None,
        None,
        "BadInput",
        "RuntimeError",
        "RuntimeError",
    ]


def test_a_report_says_where_in_the_code_and_which_release(reports: Receiver) -> None:
    event = reports.events[0]
    assert event["release"] == f"myi@{__version__}"
    assert event["tags"] == {"part": "test", "correlation_id": "reported-1"}
    first, last = event["exception"]["values"]
    assert (first["type"], last["type"]) == ("KeyError", "RuntimeError")
    assert [frame["function"] for frame in last["stacktrace"]["frames"]] == ["<module>", "ask"]


def test_no_secret_and_nobody_is_in_what_is_sent(reports: Receiver) -> None:
    sent = b"".join(reports.bodies).decode()
    for unwanted in (CANARY, "listener-ana", "10.1.2.3", "db.example", "DETAIL", socket.gethostname(), "/home/"):
        assert unwanted not in sent, unwanted
    for name in ("vars", "abs_path", "server_name", "user", "request", "breadcrumbs", "extra", "modules", "sys.argv"):
        assert f'"{name}"' not in sent, name


def test_what_the_scrubber_takes_out_is_in_what_it_is_given() -> None:
    """The test above can fail: the SDK's own event has what ours has not."""
    scrubber = _Scrubber(Settings(spotify_client_secret=CANARY))  # type: ignore[arg-type]
    event = {
        "server_name": "host",
        "user": {"id": "ana"},
        "exception": {
            "values": [
                {
                    "type": "ValueError",
                    "value": f"it was {CANARY}",
                    "stacktrace": {
                        "frames": [{"vars": {"a": CANARY}, "abs_path": "/home/ana/x.py", "filename": "x.py"}]
                    },
                }
            ]
        },
    }
    made = scrubber.event(event)
    assert made["exception"]["values"][0]["value"] == "it was ***"
    assert CANARY in json.dumps(event)
    assert CANARY not in json.dumps(made)
    assert "ana" not in json.dumps(made)


def test_without_a_dsn_the_sdk_is_not_imported() -> None:
    program = (
        "import sys; from myi_pipeline.cli.session import open_session; open_session();"
        " sys.exit('sentry_sdk' in sys.modules)"
    )
    environ = {name: value for name, value in os.environ.items() if name != "MYI_SENTRY_DSN"}
    assert subprocess.run([sys.executable, "-c", program], env=environ, timeout=60, check=False).returncode == 0


@pytest.mark.slow
def test_the_end_of_a_process_does_not_wait_for_a_server_that_never_answers() -> None:
    program = (
        "import sys; from myi_pipeline.cli.session import open_session; open_session();"
        " from myi_pipeline.error_reports import report_error; report_error(ValueError('x')); print('done', flush=True)"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"http://key@127.0.0.1:{silent.getsockname()[1]}/1"
        child = subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | {"MYI_SENTRY_DSN": dsn}, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"done\n"
        began = time.monotonic()
        assert child.wait(30) == 0
        child.stdout.close()
        assert time.monotonic() - began < FLUSH_S + 4


def test_a_loop_of_failures_sends_only_so_many_a_minute() -> None:
    pace = _Pace()
    assert sum(pace.allows(second / 10) for second in range(300)) == _MOST_A_MINUTE
    assert pace.allows(60.0)


def kind(event: dict[str, object]) -> str | None:
    exception = event.get("exception")
    return None if exception is None else exception["values"][-1]["type"]  # type: ignore[index]
