"""Tags over HTTP: an answer that has not changed is known without touching a mart."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from myi_pipeline.postgres.connections import Role
from tests.integration.reads.conftest import Api, Filled

PATHS = (
    "/v1/me", "/v1/me/summary", "/v1/me/timeline", "/v1/me/clock", "/v1/me/streaks", "/v1/me/ranks", "/v1/me/coverage",
    "/v1/me/plays", "/v1/me/sessions", "/v1/me/firsts", "/v1/me/top/tracks", "/v1/me/top/artists", "/v1/me/top/albums",
    "/v1/me/top/tracks?from=2023-02-03", "/v1/me/top/shows",
)  # fmt: skip


@contextmanager
def only_versions_may_be_read(filled: Filled) -> Iterator[None]:
    """Every other mart is taken away from the API for a while."""
    api = filled.warehouse.role_name(Role.API)
    with filled.warehouse.connect(Role.DBT, autocommit=True) as connection:
        connection.execute(f'revoke select on all tables in schema marts from "{api}"'.encode())
        connection.execute(f'grant select on marts.user_versions to "{api}"'.encode())
        try:
            yield
        finally:
            connection.execute(f'grant select on all tables in schema marts to "{api}"'.encode())


def test_an_unchanged_answer_is_304_and_reads_no_mart_but_the_version(api: Api, filled: Filled) -> None:
    tags = {path: api.get(path).headers["etag"] for path in PATHS}
    with only_versions_may_be_read(filled):
        for path, tag in tags.items():
            answer = api.get(path, headers={"if-none-match": tag})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), path
        # Without the tag it does need a mart.
        assert api.get(PATHS[-1]).status_code == 500


@pytest.mark.parametrize("path", PATHS)
def test_a_new_version_of_the_marts_is_a_new_tag(api: Api, filled: Filled, path: str) -> None:
    tag = api.get(path).headers["etag"]
    assert api.get(path).headers["etag"] == tag
    filled.sql("update marts.user_versions set version = version + 1 where user_id = %s", filled.users["ada"])
    try:
        answer = api.get(path, headers={"if-none-match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != tag
    finally:
        filled.sql("update marts.user_versions set version = version - 1 where user_id = %s", filled.users["ada"])
    assert api.get(path, headers={"if-none-match": tag}).status_code == 304


def test_the_tag_of_one_user_tells_another_nothing(api: Api) -> None:
    tag = api.get("/v1/me/plays").headers["etag"]
    assert api.get("/v1/me/plays", as_="bob", headers={"if-none-match": tag}).status_code == 200


def test_a_list_comes_as_a_table_with_its_links(api: Api) -> None:
    rows = api.read("/v1/me/top/tracks", limit=20)["data"]
    answer = api.get("/v1/me/top/tracks", limit=20, headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    # An apostrophe stands before what a spreadsheet would run.
    assert [(int(row["track_id"]), row["artist_name"].replace("'", "")) for row in read] == [
        (row["track_id"], row["artist_name"].replace("'", "")) for row in rows
    ]
    second = api.get(answer.links["next"]["url"], headers={"accept": "text/csv"})
    assert next(row["rank"] for row in csv.DictReader(io.StringIO(second.text, newline=""))) == "21"


def test_large_answers_are_packed_once(api: Api) -> None:
    plain = api.get("/v1/me/plays", limit=200, headers={"accept-encoding": "identity"})
    packed = api.get("/v1/me/plays", limit=200, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) * 3 < int(plain.headers["content-length"])


def test_an_answer_to_a_client_that_refuses_gzip_is_plain_under_the_plain_tag(api: Api) -> None:
    plain = api.get("/v1/me/plays", limit=200, headers={"accept-encoding": "identity"})
    refusing = api.get("/v1/me/plays", limit=200, headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refusing.headers
    assert (refusing.headers["etag"], refusing.content) == (plain.headers["etag"], plain.content)


@pytest.mark.parametrize("path", ["/v1/me/plays", "/v1/me", "/static/site.css"])
def test_tags_are_compared_weakly_one_by_one_and_as_any(api: Api, path: str) -> None:
    """A proxy that packs answers marks their tags as weak; a client that holds several answers names all of them."""
    tag = api.get(path).headers["etag"]
    for given in (tag, f"W/{tag}", f'"other", W/{tag}', f'W/"a,b",{tag}'):
        answer = api.get(path, headers={"if-none-match": given})
        assert (answer.status_code, answer.headers["etag"]) == (304, tag), given
    assert api.get(path, headers={"if-none-match": "*"}).status_code == 304
    for given in ('"other"', f'{tag[:-1]}x"', "W/", tag.strip('"')):
        assert api.get(path, headers={"if-none-match": given}).status_code == 200, given
