"""Log lines: their form, their correlation id, and what must never be in them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog

from myi_pipeline import logs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    monkeypatch.setattr(logs, "_process_correlation_id", None)
    stream = io.StringIO()
    token = logs._correlation_id.set(None)
    logs.configure_logs(level="debug", layout="json", stream=stream)
    yield stream
    logs._correlation_id.reset(token)


def _read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_logger_and_correlation_id(lines: io.StringIO) -> None:
    logs.start_correlation("abc-1")
    structlog.get_logger("myi_pipeline.services").info("import_finished", rows=3)
    (line,) = _read(lines)
    assert line["event"] == "import_finished"
    assert line["rows"] == 3
    assert line["level"] == "info"
    assert line["logger"] == "myi_pipeline.services"
    assert line["correlation_id"] == "abc-1"
    assert str(line["timestamp"]).endswith("Z")


def test_standard_logging_comes_out_in_the_same_form(lines: io.StringIO) -> None:
    logs.start_correlation("abc-2")
    logging.getLogger("somebody.else").warning("%d rows left", 4)
    (line,) = _read(lines)
    assert (line["event"], line["level"], line["correlation_id"]) == ("4 rows left", "warning", "abc-2")


def test_a_thread_logs_under_the_id_of_its_process(lines: io.StringIO) -> None:
    logs.start_correlation("abc-3")
    thread = threading.Thread(target=lambda: structlog.get_logger("t").info("from_a_thread"))
    thread.start()
    thread.join()
    assert _read(lines)[0]["correlation_id"] == "abc-3"


@pytest.mark.parametrize("given", [None, "", "with blank", "x" * 65, "line\nbreak"])
def test_an_id_that_is_missing_or_malformed_is_replaced(lines: io.StringIO, given: str | None) -> None:
    made = logs.start_correlation(given)
    assert made != given
    assert len(made) == 16
    assert logs.correlation_id() == made


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://owner:canary@127.0.0.1:5432/myi",
        "could not connect to postgresql+psycopg2://owner:p@canary@host/db",
        "Authorization: Bearer canary.canary-canary",
        "password=canary",
        'body {"refresh_token": "canary", "x": 1}',
        "client_secret: canary",
        "GET /callback?code=canary&state=canary",
        "PGPASSWORD=canary psql",
    ],
)
def test_a_secret_in_a_text_is_masked(lines: io.StringIO, text: str) -> None:
    logging.getLogger("x").error(text)
    structlog.get_logger("x").error("failed", detail=text, nested={"deep": [text]}, error=RuntimeError(text))
    assert "canary" not in lines.getvalue()
    assert logs.MASK in lines.getvalue()


def test_a_secret_under_a_telling_name_is_masked_at_any_depth(lines: io.StringIO) -> None:
    structlog.get_logger("x").info("sign_in", refresh_token="canary", request={"headers": {"Cookie": "canary"}})
    assert "canary" not in lines.getvalue()


def test_a_secret_in_a_traceback_is_masked(lines: io.StringIO) -> None:
    try:
        raise RuntimeError("postgresql://u:canary@h/d refused")
    except RuntimeError:
        structlog.get_logger("x").exception("failed")
        logging.getLogger("y").exception("failed")
    assert "Traceback" in lines.getvalue()
    assert "canary" not in lines.getvalue()


@pytest.mark.parametrize(
    "text", ["a token of love", "12 rows: 3 loaded", "https://example.org/a:b", "user ana at 10:15"]
)
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert logs.mask(text) == text


def test_configuring_twice_does_not_double_the_lines(lines: io.StringIO) -> None:
    logs.configure_logs(level="info", layout="json", stream=lines)
    logging.getLogger("x").info("once")
    assert len(_read(lines)) == 1


def test_below_the_level_nothing_is_written(lines: io.StringIO) -> None:
    logs.configure_logs(level="warning", layout="json", stream=lines)
    structlog.get_logger("x").info("quiet")
    logging.getLogger("x").debug("quiet")
    assert lines.getvalue() == ""


def test_for_people_a_line_is_text(lines: io.StringIO) -> None:
    logs.configure_logs(level="info", layout="console", stream=lines)
    structlog.get_logger("x").info("started", port=3000)
    assert "started" in lines.getvalue()
    assert "port" in lines.getvalue()
    assert not lines.getvalue().startswith("{")


def test_without_a_terminal_standard_error_gets_json_and_standard_output_nothing() -> None:
    program = "import logging; from myi_pipeline.logs import configure_logs; configure_logs(); logging.info('hello')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert json.loads(done.stderr)["event"] == "hello"
