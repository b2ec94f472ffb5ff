"""The marts describe themselves: comments in the database, and a page of everything."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
import yaml

from myi_pipeline.errors import Permanent
from myi_pipeline.marts.dbt_runner import DbtResult
from myi_pipeline.marts.docs import build_docs, closed, docs_server
from myi_pipeline.operations.supervisor import serving_docs
from myi_pipeline.settings import Settings
from tests.architecture.repository import marts as mart_files
from tests.conftest import free_port
from tests.dbt.conftest import Marts

WITHOUT_COMMENT = """
select c.relname || coalesce('.' || a.attname, '')
from pg_class as c
left join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where
    c.relnamespace = 'marts'::regnamespace and c.relkind in ('r', 'v', 'm', 'p')
    and (coalesce(col_description(c.oid, a.attnum), '') = '' or coalesce(obj_description(c.oid, 'pg_class'), '') = '')
order by 1
"""
COMMENTS = """
select c.relname, coalesce(a.attname, ''), d.description
from pg_description as d
inner join pg_class as c on c.oid = d.objoid and d.classoid = 'pg_class'::regclass
left join pg_attribute as a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
where c.relnamespace = 'marts'::regnamespace and c.relkind in ('r', 'v')
"""


def _said(description: str) -> str:
    """The text of the block that a description refers to, or the description itself."""
    named = re.fullmatch(r"\{\{ doc\('(\w+)'\) \}\}", description)
    if named is None:
        return description
    blocks = (mart_files()[0].parents[1] / "overview.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"{{% docs {named[1]} %}}(.*?){{% enddocs %}}", blocks, re.DOTALL)
    return " ".join(text.split())


def test_every_mart_and_each_of_its_columns_carries_its_description_as_a_comment(marts: Marts) -> None:
    assert marts.sql(WITHOUT_COMMENT) == []

    described = {}
    for path in mart_files():
        (model,) = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))["models"]
        described[path.stem, ""] = model["description"].strip()
        described |= {(path.stem, column["name"]): _said(column["description"]) for column in model["columns"]}
    assert {(mart, column): text for mart, column, text in marts.sql(COMMENTS)} == described


KEYS = {
    "user_id": "dim_users",
    "content_id": "dim_contents",
    "track_id": "dim_tracks",
    "artist_id": "dim_artists",
    "album_id": "dim_albums",
    "show_id": "dim_shows",
    "context_id": "dim_contexts",
    "local_date": "dim_date",
}


def test_a_column_with_the_name_of_a_key_says_whose_key_it_is(marts: Marts) -> None:
    comments = {(mart, column): text for mart, column, text in marts.sql(COMMENTS)}
    columns = [(mart, column) for mart, column in comments if column in KEYS and KEYS[column] != mart]
    assert len(columns) > 40
    silent = [named for named in columns if f"key of {KEYS[named[1]]}" not in comments[named]]
    assert silent == []
    # And there it is.
    assert all((mart, column) in comments for column, mart in KEYS.items())


def test_a_comment_that_is_gone_or_wrong_is_mended_by_a_run_of_every_model_and_nothing_else_is_touched(
    marts: Marts,
) -> None:
    """Written again in every run, 150 rows of the catalogue would die each hour."""
    before = marts.sql(COMMENTS + " order by 1, 2")
    marts.sql("comment on column marts.fct_plays.ms_played is null")
    marts.sql("comment on view marts.dim_artists is 'somebody''s own'")
    assert marts.sql(WITHOUT_COMMENT) == [("fct_plays.ms_played",)]
    (newest,) = marts.sql("select max(xmin::text::bigint) from pg_description")

    marts.add_play(marts.add_user("ana"), "2024-03-01 12:00Z", marts.add_content("Song"))
    # As after any other description; a run of fewer models leaves the others' comments alone.
    marts.sql("update ops.mart_state set described = null")
    assert marts.refreshed().models_skipped == 0

    assert marts.sql(COMMENTS + " order by 1, 2") == before
    written = "select count(*) from pg_description where xmin::text::bigint > %s and classoid = 'pg_class'::regclass"
    assert marts.sql(written, newest[0]) == [(2,)]


class FailingDbt:
    def invoke(self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: Any = None) -> DbtResult:
        return DbtResult(success=False, error="the disk is full")


@pytest.fixture(scope="module")
def page(marts_of_session: Marts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("docs") / "docs" / "index.html"
    build_docs(marts_of_session.dbt, environment=marts_of_session.environment, page=page)
    return page


def test_one_page_describes_every_mart_its_columns_and_who_reads_it(page: Path, marts_of_session: Marts) -> None:
    text = page.read_text(encoding="utf-8")
    for path in mart_files():
        assert f'"model.myi.{path.stem}"' in text
    assert '"exposure.myi.api"' in text
    assert '"exposure.myi.dashboard"' in text
    # The first thing to be seen is ours.
    assert "Every play once, in a schema called `marts`" in text
    # The catalogue is the database's own answer.
    assert '"timestamp with time zone"' in text
    assert "Milliseconds heard (NULL if unknown)." in text
    assert [each.name for each in page.parent.iterdir()] == ["index.html"]
    assert marts_of_session.environment["MYI_DBT_PASSWORD"] not in text


def test_the_page_loads_nothing_and_reports_to_nobody(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    head = text[: text.index("<script")]
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', text)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert "Content-Security-Policy" in head
    assert not re.search(r"<(?:link|img|iframe|script)[^>]+(?:href|src)=", head)
    assert not re.search(r"cloudfront|//[a-z.]*getdbt\.com|sinter-collect", text)
    (sending,) = set(re.findall(r'"send_anonymous_usage_stats": ?(\w+)', text))
    assert sending == "false"


def test_a_page_of_a_dbt_that_draws_differently_is_not_kept_open() -> None:
    with pytest.raises(Permanent, match="dbt's page has changed"):
        closed('<html><script src="//d1.cloudfront.net/sp.js"></script><meta charset="utf-8"></html>')


def test_the_page_replaces_the_one_before_as_a_whole_or_not_at_all(page: Path, marts_of_session: Marts) -> None:
    before = page.read_bytes()
    with pytest.raises(Permanent, match="dbt could not describe the marts: the disk is full"):
        build_docs(FailingDbt(), environment=marts_of_session.environment, page=page)
    assert page.read_bytes() == before
    assert [each.name for each in page.parent.iterdir()] == ["index.html"]


def test_what_myi_up_runs_for_it_serves_the_page(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, docs_port=free_port())
    settings.docs_page.parent.mkdir(parents=True)
    settings.docs_page.write_text("<p>marts</p>")
    with subprocess.Popen(serving_docs(settings), env={}) as child:
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                with contextlib.suppress(ConnectionRefusedError):
                    assert _get(settings.docs_port, "/", f"127.0.0.1:{settings.docs_port}")[1] == b"<p>marts</p>"
                    return
                time.sleep(0.05)
            raise AssertionError("it does not answer")
        finally:
            child.terminate()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    server = docs_server(tmp_path / "index.html", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield tmp_path / "index.html", server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _get(port: int, path: str, host: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_the_page_is_served_to_this_machine_and_nothing_else_is(served: tuple[Path, int]) -> None:
    page, port = served
    here = f"127.0.0.1:{port}"
    response, body = _get(port, "/", here)
    assert (response.status, b"myi docs build" in body) == (404, True)
    page.write_text("<p>marts</p>")
    (page.parent / "secret").write_text("secret")
    for path in ("/", "/index.html", "/?x=1"):
        response, body = _get(port, path, here)
        assert (response.status, body) == (200, b"<p>marts</p>")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/secret", "/../secret", "//etc/passwd", "/index.html/../secret"):
        assert _get(port, path, here)[0].status == 404
    # Under a name that somebody else's page had pointed here.
    assert _get(port, "/", f"evil.example:{port}")[0].status == 404
    assert json.dumps(dict(response.headers)).find("Python") == -1
