"""Names that break careless software, from an uploaded archive to whoever asks: text in JSON, text in CSV.

What a browser makes of them on pages is tested in tests/browser.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from uuid import UUID

import orjson
import pytest

from myi_pipeline.simulator.catalogue import AWKWARD_NAMES
from myi_pipeline.web.api.openapi import operations
from myi_pipeline.web.api.write_openapi import FILE
from tests.integration.reads.conftest import Api, Filled, make_rows

HOSTILE = "<img src=x onerror=alert(1)>"
FORMULA = "=1+cmd|' /C calc'!A0"
# Each table that a program may read, and the parameters that fill it; a browser's own are in test_account.py and
# test_activity.py, and what holds no name.
AS_CSV = {
    path: {each["name"]: 500 for each in operation.get("parameters", []) if each["name"] == "limit"}
    for path, _, operation in operations(orjson.loads(FILE.read_bytes()))
    if "text/csv" in operation["responses"].get("200", {}).get("content", {})
    and path
    not in (
        "/v1/me/sign-ins",
        "/v1/me/tokens",
        "/v1/me/audit",
        "/v1/me/recording-decisions",
        "/v1/me/corrections",
        "/v1/me/playlists/exports",
    )
    and "{" not in path
} | {
    "/v1/me/ranks": {"kind": "artist", "term": "short_term"},
    "/v1/me/search": {"q": "calc"},
    "/v1/me/genres/years": {"limit": 50},
}


@pytest.fixture(scope="module", autouse=True)
def made(filled: Filled) -> Iterator[UUID]:
    """A row, called as a formula, in every list that is empty at first."""
    yield make_rows(filled, "ada", name=FORMULA)
    filled.restore_access()


def heard(filled: Filled) -> set[str]:
    """The awkward names among ada's artists."""
    query = (
        "select distinct name from marts.dim_artists"
        " where artist_id in (select artist_id from marts.fct_plays where user_id = %s)"
    )
    return {name for (name,) in filled.read(query, filled.users["ada"])} & set(AWKWARD_NAMES)


def _is_number(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal()


@pytest.mark.parametrize("path", [*AS_CSV, "/v1/me/webhooks/{webhook_id}/deliveries"])
def test_csv_formula_no_cell_of_any_table_is_run_by_a_spreadsheet(api: Api, made: UUID, path: str) -> None:
    answer = api.get(path.format(webhook_id=made), headers={"accept": "text/csv"}, **AS_CSV.get(path, {}))
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert len(rows) > 1
    signs = ("=", "+", "-", "@", "\t", "\r")
    assert [cell for row in rows for cell in row if cell.startswith(signs) and not _is_number(cell)] == []


def test_csv_formula_a_name_that_is_one_gets_an_apostrophe(api: Api, filled: Filled) -> None:
    assert {FORMULA, HOSTILE} <= heard(filled)
    text = api.get("/v1/me/top/artists", headers={"accept": "text/csv"}, limit=500).text
    cells = {cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row}
    assert f"'{FORMULA}" in cells
    assert HOSTILE in cells


def test_hostile_names_come_as_they_are_in_json_that_no_browser_takes_for_a_page(api: Api, filled: Filled) -> None:
    answer = api.get("/v1/me/top/artists", limit=500)
    assert heard(filled) <= {row["name"] for row in answer.json()["data"]}
    assert HOSTILE in answer.text
    for accept in (None, "text/html, */*;q=0.1", "text/csv"):
        answer = api.get("/v1/me/top/artists", limit=500, headers={"accept": accept} if accept else None)
        assert answer.headers["content-type"].partition(";")[0] in ("application/json", "text/csv")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_hostile_names_are_nowhere_in_headers(api: Api) -> None:
    for path, query in AS_CSV.items():
        answer = api.get(path, **query)
        assert answer.status_code == 200
        assert all("<" not in value or name == "link" for name, value in answer.headers.items())
        assert "onerror" not in str(answer.headers)
