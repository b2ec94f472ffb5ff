"""How answers look: what Accept asks for, tables that a spreadsheet may open, tags."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

import pytest
from starlette.requests import Request

from myi_pipeline.web.answers import Reply, agree, csv_of
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.marts import Version

_BUILT = datetime(2026, 1, 1, tzinfo=UTC)


def reply(version: int | None = 3, user_id: int = 1, query: str = "", csv: bool = True, **headers: str) -> Reply:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/v1/me/plays",
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    return agree(Request(scope), user_id=user_id, version=Version(version, _BUILT), may_be_csv=csv)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("application/json, text/csv", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
    ],
)
def test_a_list_comes_as_what_is_liked_best(accept: str, kind: str) -> None:
    assert reply(accept=accept).media_type == kind


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/csv;q=0, application/json;q=0"])
def test_what_cannot_be_is_said(accept: str) -> None:
    with pytest.raises(Problem) as refused:
        reply(accept=accept)
    assert refused.value.status_code == 406


def test_a_document_is_no_table() -> None:
    with pytest.raises(Problem):
        reply(accept="text/csv", csv=False)


def test_a_tag_follows_from_user_version_address_and_form() -> None:
    tags = [
        reply().tag,
        reply(version=4).tag,
        reply(version=None).tag,
        reply(user_id=2).tag,
        reply(query="limit=2").tag,
        reply(accept="text/csv").tag,
    ]
    assert len(set(tags)) == len(tags)
    assert reply().tag == reply().tag


def test_packed_and_plain_bytes_have_different_tags() -> None:
    plain = reply().document(["x" * 5000])
    packed = reply(accept_encoding="gzip").document(["x" * 5000])
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body)
    assert packed.headers["etag"] != plain.headers["etag"]
    # Whoever cannot unpack is not told that the packed bytes are still good.
    assert not reply(if_none_match=packed.headers["etag"]).is_known
    again = reply(accept_encoding="gzip", if_none_match=f'"other", {packed.headers["etag"]}')
    assert again.is_known
    assert again.not_modified().headers["etag"] == packed.headers["etag"]


def test_names_are_no_formulas_in_a_spreadsheet() -> None:
    hostile = {
        "=1+1": "'=1+1",
        "+1": "'+1",
        "-1": "'-1",
        "@SUM(A1)": "'@SUM(A1)",
        "\t=1": "'\t'=1",
        "\rx": "'\rx",
        "  =1": "'  =1",
        "＝1": "'＝1",
        # Half of Europe separates cells by semicolons, and an import by lines knows no quotes.
        "a;=1;b": "a;'=1;b",
        'a; "=1"': 'a;\' "=1"',
        "a\n=1": "a\n'=1",
        "a\r\n+1": "a\r'\n'+1",
        "Me & You - Live; Remix, -5 = ?": "Me & You - Live; Remix, -5 = ?",
    }
    rows = [{"name": name, "ms": -5, "play_id": "-1491625364964"} for name in hostile]
    table = csv_of(rows, ["name", "ms", "play_id"]).decode()
    (_, *read) = csv.reader(io.StringIO(table, newline=""))
    assert [row[0] for row in read] == list(hostile.values())
    # Numbers stay numbers, also those that are texts in JSON.
    assert {(row[1], row[2]) for row in read} == {("-5", "-1491625364964")}
    assert csv_of([{"play_id": "-1;=1"}], ["play_id"]) == b"play_id\r\n\"'-1;'=1\"\r\n"


def test_texts_of_a_table_are_always_quoted_and_nothing_else_is() -> None:
    row = {"a": "x", "b": "", "c": 1, "d": None, "e": True, "f": date(2024, 3, 9), "g": 1.5, "h_id": "7"}
    assert csv_of([row], list(row)) == b'a,b,c,d,e,f,g,h_id\r\n"x","",1,,true,2024-03-09,1.5,7\r\n'


def test_a_table_reads_back_as_it_was() -> None:
    rows = [{"a": 'He said "no", twice\nat least', "b": None, "c": True, "d": datetime(2024, 3, 9, tzinfo=UTC)}]
    read = list(csv.reader(io.StringIO(csv_of(rows, ["a", "b", "c", "d"]).decode(), newline="")))
    assert read == [["a", "b", "c", "d"], ['He said "no", twice\nat least', "", "true", "2024-03-09T00:00:00Z"]]
