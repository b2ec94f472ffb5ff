"""What moves on a terminal, and what is said where there is none."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from myi_pipeline.archives.accounting import ImportProgress
from myi_pipeline.cli import import_archives, refreshing
from myi_pipeline.cli.marts import render_verify
from myi_pipeline.cli.output import Output
from myi_pipeline.cli.refreshing import node_progress, refresh_document, render_refresh
from myi_pipeline.marts.dbt_runner import DbtNode
from myi_pipeline.marts.refresh import RefreshResult
from myi_pipeline.marts.runs import RebuildReason
from myi_pipeline.marts.verify import MartComparison, VerifyResult


def _console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=160, markup=False, highlight=False, emoji=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def on_terminal() -> Output:
    output = Output()
    output.progress_console = _console(terminal=True)
    return output


def test_on_a_terminal_an_import_shows_bytes_rows_speed_and_the_time_left(on_terminal: Output) -> None:
    with import_archives.import_progress(on_terminal, "my_spotify_data.zip") as listen:
        listen(ImportProgress("reading", 5_000_000, 13_500_000, 8_000, None))
        listen(ImportProgress("reading", 13_500_000, 13_500_000, 20_000, None))
        listen(ImportProgress("loading", 13_500_000, 13_500_000, 10_000, 20_000))
        listen(ImportProgress("loading", 13_500_000, 13_500_000, 20_000, 20_000))
    text = _text(on_terminal.progress_console)
    assert "my_spotify_data.zip: loading" in text
    assert "20,000 rows" in text
    assert "rows/s" in text


def test_a_name_of_an_archive_is_no_markup(on_terminal: Output) -> None:
    with import_archives.import_progress(on_terminal, "[/red]\x1b[2J.zip") as listen:
        listen(ImportProgress("reading", 1, 2, 1, None))
    assert "\\x1b" in _text(on_terminal.progress_console)


def test_without_a_terminal_progress_is_a_log_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[dict[str, object]] = []
    monkeypatch.setattr(
        import_archives.log, "info", lambda event, **fields: said.append({"event": event, **fields}), raising=False
    )
    moments = iter([0.0, 1.0, 11.0, 12.0])
    monkeypatch.setattr(import_archives.time, "monotonic", lambda: next(moments))
    caplog.set_level(logging.INFO)
    output = Output()
    output.progress_console = _console()
    with import_archives.import_progress(output, "a.zip") as listen:
        for rows in (1, 2, 3):
            listen(ImportProgress("reading", rows, 10, rows, None))
    assert [(line["event"], line["rows"]) for line in said] == [("import_progress", 2)]


def test_on_a_terminal_a_refresh_names_the_model_that_is_built(on_terminal: Output) -> None:
    with node_progress(on_terminal, "marts", 1) as listen:
        listen("fct_plays", "started")
        listen("fct_plays", "success")
        listen("a_test", "started")
        listen("a_test", "pass")
    assert "marts: " in _text(on_terminal.progress_console)


def test_without_a_terminal_a_refresh_is_silent() -> None:
    output = Output()
    output.progress_console = _console()
    with node_progress(output, "marts", 1) as listen:
        listen("fct_plays", "started")
    assert _text(output.progress_console) == ""


def test_a_refresh_with_a_failed_test_says_which() -> None:
    failed = DbtNode("unique_x", "test", "fail", 0.1, 2, "Got 2 results")
    result = RefreshResult("completed", 3, None, 10, 4, 1, tests=(failed,), seconds={"total": 1.5})
    console = _console()
    render_refresh(console, result)
    assert "10 user-days" in _text(console)
    assert "0 of 1 passed" in _text(console)
    assert "unique_x" in _text(console)
    document = refresh_document(result)
    assert document is not None
    assert document["failed_tests"] == [{"name": "unique_x", "message": "Got 2 results"}]
    assert not result.is_good


def test_a_rebuild_says_why_everything_was_rebuilt() -> None:
    """It put every rebuild down to new models, also that of somebody's first large archive."""

    def shown(reason: RebuildReason) -> str:
        console = _console()
        render_refresh(console, RefreshResult("completed", 3, reason))
        return _text(console)

    assert "because models are new, changed or missing" in shown("models")
    assert "because most of them changed" in shown("most")
    assert "as requested" in shown("requested")


def test_no_refresh_has_no_document() -> None:
    assert refreshing.refresh_document(None) is None


def test_each_differing_row_is_printed_and_what_is_left_out_is_counted() -> None:
    mart = MartComparison("marts.fct_plays", 3, 1, ('{"a": 1}', '{"a": "\x1b"}'), ('{"a": 2}',))
    result = VerifyResult(RefreshResult("nothing"), (mart,), users_left_out=2, seconds=4.0)
    console = _console()
    render_verify(console, result)
    text = _text(console)
    assert "3 rows only live, 1 only rebuilt" in text
    assert '{"a": 2}' in text
    assert "\x1b" not in text
    assert "and 1 more" in text
    assert "2 users" in text
    assert "1 differ" in text


def test_a_verification_that_could_not_be_made_says_why() -> None:
    console = _console()
    render_verify(console, VerifyResult(RefreshResult("failed"), error="model x: division by zero"))
    assert "could not be verified: model x: division by zero" in _text(console)
