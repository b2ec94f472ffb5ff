"""Taking everything away through the API and the page: asked for, made, fetched by a signed link, deleted."""

from __future__ import annotations

import csv
import errno
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from myi_pipeline.archives.files import Limits
from myi_pipeline.cli.app import main
from myi_pipeline.errors import BadInput
from myi_pipeline.operations.take_away import mart_rows
from myi_pipeline.operations.take_away.compare import compare_with_export
from myi_pipeline.operations.take_away.export import write_export
from myi_pipeline.operations.take_away.make_wanted import make_wanted_export
from tests.integration.reads.conftest import Api, Filled
from tests.integration.reads.test_other_users import browser_of, program_of
from tests.integration.reads.test_playlist_files import fetched, forget
from tests.integration.take_away.conftest import changed


@pytest.fixture
def ada(filled: Filled, api: Api) -> Iterator[httpx.Client]:
    forget(filled)
    with browser_of(filled, api, "ada", "exports") as client:
        yield client
    forget(filled)
    filled.sql("delete from app.sessions where device = 'exports'")


def without_the_last_play(files: dict[str, bytes]) -> None:
    files["marts/plays.csv"] = files["marts/plays.csv"].rstrip(b"\n").rpartition(b"\n")[0] + b"\n"


@pytest.mark.slow
def test_an_export_is_asked_for_made_fetched_and_deleted(
    ada: httpx.Client, api: Api, filled: Filled, tmp_path: Path
) -> None:
    answer = ada.post("/v1/me/exports", json={})
    told = answer.json()
    assert (answer.status_code, told["state"], told["link"]) == (202, "ordered", None)
    place = answer.headers["location"]
    # Who asks again gets the one that is under way.
    assert ada.post("/v1/me/exports", json={"with_marts": False}).json()["id"] == told["id"]
    made = make_wanted_export(filled.warehouse, filled.settings, export_id=told["id"])
    assert made is not None
    told = ada.get(place).json()
    assert (told["state"], told["events"], told["marts_are_current"]) == ("done", made.summary.events, True)
    file = fetched(api, told["link"])
    assert (file.status_code, file.headers["content-type"], len(file.content)) == (
        200, "application/zip", told["bytes"]
    )  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(file.content)) as opened:
        assert {"manifest.json", "marts/plays.csv", "catalogue/contents.ndjson"} <= set(opened.namelist())
        rows = list(csv.reader(io.StringIO(opened.read("marts/plays.csv").decode(), newline="")))
    assert (len(rows) - 1,) == filled.read(
        "select count(*) from marts.fct_plays where user_id = %s", filled.users["ada"]
    )[0]
    # Names with line breaks and what looks like a formula are the same here and there.
    (tmp_path / "export.zip").write_bytes(file.content)
    compared = compare_with_export(filled.warehouse, path=tmp_path / "export.zip", user_key=None, limits=Limits())
    assert compared.is_good, compared.differing
    assert {len(mart_rows.MARTS)} == {len(compared.tables)}
    broken = changed(tmp_path / "export.zip", tmp_path / "broken.zip", parts=without_the_last_play)
    compared = compare_with_export(filled.warehouse, path=broken, user_key="ada", limits=Limits())
    assert [(each.table, len(each.only_told), len(each.only_here)) for each in compared.differing] == [("plays", 0, 1)]
    # It is no playlist.
    assert ada.get("/v1/me/playlists/exports").json()["data"] == []
    page = ada.get("/exports")
    assert "Download the file" in page.text
    assert "http-equiv" not in page.text
    assert ada.delete(place).status_code == 204
    assert fetched(api, told["link"]).status_code == 410
    assert ada.get(place).status_code == ada.delete(place).status_code == 404
    events = filled.sql("select event from app.audit where event like 'export%%' order by audit_id desc limit 4")
    assert events == [("export_deleted",), ("export_fetched",), ("export_made",), ("export_ordered",)]


def test_one_that_is_being_made_is_shown_with_how_far_it_is_and_stays(ada: httpx.Client, filled: Filled) -> None:
    number = ada.post("/v1/me/exports", json={}).json()["id"]
    filled.sql(
        "update app.exports set state = 'running', attempts = 1, begun_at = now(), heartbeat_at = now(),"
        " rows_done = 500, rows_total = 1000"
    )
    assert ada.delete(f"/v1/me/exports/{number}").status_code == 409
    page = ada.get("/exports").text
    assert '<progress max="1000" value="500"' in page
    assert 'http-equiv="refresh"' in page
    assert "Make an export" not in page
    # Somebody makes it: nobody else does.
    assert make_wanted_export(filled.warehouse, filled.settings, export_id=number) is None
    # It has been silent for long: it is made again.
    filled.sql("update app.exports set heartbeat_at = now() - interval '6 minutes'")
    assert make_wanted_export(filled.warehouse, filled.settings, export_id=number) is not None


def test_the_forms_of_the_page_ask_and_delete(ada: httpx.Client, filled: Filled) -> None:
    assert 'href="/exports"' in ada.get("/account").text
    answer = ada.post("/exports", data={"with_marts": "yes"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/exports?done=ordered")
    ((number, with_marts),) = filled.sql("select export_id, with_marts from app.exports")
    assert with_marts
    assert ada.post(f"/exports/{number}/delete").status_code == 303
    assert filled.sql("select count(*) from app.exports") == [(0,)]
    assert ada.post(f"/exports/{number}/delete").status_code == 404


def test_a_token_sees_them_and_asks_for_none(ada: httpx.Client, api: Api) -> None:
    ada.post("/v1/me/exports", json={})
    with program_of(api, "ada") as program:
        assert [each["state"] for each in program.get("/v1/me/exports").json()["data"]] == ["ordered"]
        assert program.post("/v1/me/exports", json={}).status_code == 403


def test_one_that_is_larger_than_its_owner_may_keep_fails_and_leaves_nothing(ada: httpx.Client, filled: Filled) -> None:
    number = ada.post("/v1/me/exports", json={}).json()["id"]
    small = filled.settings.model_copy(update={"artifacts_quota_bytes": 10_000})
    with pytest.raises(BadInput, match="the export is larger"):
        make_wanted_export(filled.warehouse, small, export_id=number)
    assert ada.get(f"/v1/me/exports/{number}").json()["state"] == "failed"
    assert "could not be made" in ada.get("/exports").text
    assert filled.settings.artifacts_folder is not None
    assert list(filled.settings.artifacts_folder.rglob("*.zip*")) == []


def test_the_commands_write_one_refuse_what_is_wrong_and_compare(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(filled)
    for name, value in filled.settings.environment().items():
        monkeypatch.setenv(name, value)

    def myi(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    code, out, _ = myi("export", "--user", "ada", "-o", str(tmp_path), "--parquet", "--json")
    told = json.loads(out)
    path = Path(told["file"])
    assert (code, told["marts_are_current"], path.parent, path.stat().st_size) == (0, True, tmp_path, told["bytes"])
    with zipfile.ZipFile(path) as opened:
        table = pq.read_table(io.BytesIO(opened.read("marts/plays.parquet")))
    assert (table.num_rows,) == filled.read(
        "select count(*) from marts.fct_plays where user_id = %s", filled.users["ada"]
    )[0]
    assert str(table.schema.field("played_at").type) == "timestamp[us, tz=UTC]"

    code, _, said = myi("export", "--user", "ada", "-o", str(path), "--no-marts")
    assert (code, "already exists; add --force" in said) == (1, True)
    code, out, _ = myi("export", "--user", "ada", "-o", str(tmp_path / "bare.zip"), "--no-marts", "--json")
    assert (code, json.loads(out)["marts_are_current"]) == (0, None)
    assert myi("export", "--user", "nobody", "-o", str(tmp_path / "none.zip"))[0] == 2
    assert myi("export", "--user", "ada", "-o", str(tmp_path / "no" / "such" / "folder.zip"))[0] == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([path.name, "bare.zip"])

    code, out, _ = myi("verify", "--against", str(path), "--json")
    assert (code, json.loads(out)["is_good"]) == (0, True)
    code, out, _ = myi("verify", "--against", str(path), "--user", "bob", "--rows", "2")
    assert code == 1
    assert "differ" in out
    code, _, said = myi("verify", "--against", str(tmp_path / "bare.zip"))
    assert (code, "has no tables to compare with" in said) == (1, True)
    assert myi("verify", "--user", "ada")[0] == 2


def test_a_full_disk_leaves_no_half_export(filled: Filled) -> None:
    """It is said as it is, and nothing is held."""

    class Full(io.RawIOBase):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def writable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def tell(self) -> int:
            return 0

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

    with pytest.raises(OSError, match="No space"):
        write_export(filled.warehouse, Full(), user_key="ada")  # type: ignore[arg-type]
    # The connections are let go.
    assert filled.sql("select count(*) from pg_stat_activity where application_name = 'myi export'") == [(0,)]
