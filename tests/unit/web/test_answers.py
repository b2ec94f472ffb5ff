"""How answers look: what Accept asks for, tables that a spreadsheet may open, tags."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request

from myi_pipeline.api.answers import Reply, agree, csv_of
from myi_pipeline.api.problems import Problem


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
    return agree(Request(scope), user_id=user_id, version=version, may_be_csv=csv)


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
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    rows = [{"name": name, "ms": -5} for name in hostile]
    (_, *read) = csv.reader(io.StringIO(csv_of(rows, ["name", "ms"]).decode(), newline=""))
    assert [row[0] for row in read] == ["'" + name for name in hostile]
    assert {row[1] for row in read} == {"-5"}


def test_a_table_reads_back_as_it_was() -> None:
    rows = [{"a": 'He said "no", twice\nat least', "b": None, "c": True, "d": datetime(2024, 3, 9, tzinfo=UTC)}]
    read = list(csv.reader(io.StringIO(csv_of(rows, ["a", "b", "c", "d"]).decode(), newline="")))
    assert read == [["a", "b", "c", "d"], ['He said "no", twice\nat least', "", "true", "2024-03-09T00:00:00Z"]]
