"""How answers look, and that text from an archive cannot steer a terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import pytest
from rich.console import Console

from myi_pipeline.cli import output
from myi_pipeline.cli.output import Output, plain, size, table, to_json


class _Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class _Thing:
    at: datetime
    counts: Mapping[str, int]


def test_a_document_is_json_whatever_it_holds() -> None:
    document = {
        "thing": _Thing(datetime(2024, 1, 2, tzinfo=UTC), MappingProxyType({"a": 1})),
        "day": date(2024, 1, 2),
        "bytes": b"\x01\xff",
        "colour": _Colour.RED,
        "set": {1},
        "path": Path("a/b"),
        "name": "Björk",
    }
    assert json.loads(to_json(document)) == {
        "thing": {"at": "2024-01-02T00:00:00+00:00", "counts": {"a": 1}},
        "day": "2024-01-02",
        "bytes": "01ff",
        "colour": "red",
        "set": [1],
        "path": "a/b",
        "name": "Björk",
    }


def test_what_has_no_json_form_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(TypeError, match="object"):
        to_json({"x": object()})


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert plain("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert plain("Sigur Rós – ( )") == "Sigur Rós – ( )"
    assert plain(None) == ""


def test_names_with_brackets_are_no_markup_in_a_table() -> None:
    console = Console(file=io.StringIO(), width=80, markup=False)
    console.print(table("Title [red]", ("artist", ">plays"), [("[bold]Artist[/bold]", "1")]))
    text = console.file.getvalue()
    assert "[bold]Artist[/bold]" in text
    assert "Title [red]" in text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, ""), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (13_500_000, "13.5 MB"), (2e15, "2000.0 TB")],
)
def test_sizes_have_a_unit(count: int | None, text: str) -> None:
    assert size(count) == text


def test_one_is_not_many() -> None:
    assert [output.counted(count, "row") for count in (0, 1, 1000)] == ["0 rows", "1 row", "1,000 rows"]


def test_numbers_have_separators_and_nothing_stays_nothing() -> None:
    assert output.number(1234567) == "1,234,567"
    assert output.number(None) == ""
    assert output.hours(1234.56) == "1,234.6"
    assert output.day(None) == ""


def test_with_json_only_the_document_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Output(as_json=True)
    answer.note("working")
    answer.result({"rows": 1}, lambda console: console.print("one row"))
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"rows": 1}
    assert captured.err == "working\n"


def test_without_json_people_get_what_is_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result({"rows": 1}, lambda console: console.print("one row"))
    assert capsys.readouterr().out.strip() == "one row"


def test_a_note_of_several_lines_can_be_copied_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    address = "https://accounts.example/authorize?" + "&".join(f"name{n}=value{n}" for n in range(40))
    Output().note("Open this:", address, "a name\nof two lines")
    assert capsys.readouterr().err.splitlines() == ["Open this:", address, "a name\\nof two lines"]
