"""Files in a bucket of an S3 server on loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from myi_pipeline.errors import Permanent, Transient
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.maintenance import remove_old_exports
from myi_pipeline.settings import Settings
from myi_pipeline.storage.object_store import ObjectStore
from myi_pipeline.storage.open_store import open_store
from myi_pipeline.storage.stored_files import make_room, prune
from tests.conftest import free_port
from tests.s3_server import REGION, SECRET, S3Server, SignatureCheck

pytest.importorskip("obstore")
pytest.importorskip("moto.server")

NAME = "playlists-xspf-20240309-5f0c1e2d3a4b.zip"


@pytest.fixture
def settings(s3: S3Server, tmp_path: Path) -> Settings:
    s3.make_bucket("exports")
    return Settings.model_validate(
        {"home": tmp_path / "home", "artifacts": "s3://exports/of/myi", "artifacts_options": s3.options}
    )


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    found = open_store(settings)
    assert isinstance(found, ObjectStore)
    return found


def put(store: ObjectStore, user_id: int, name: str, content: bytes = b"content") -> None:
    with store.writing(user_id, name, "application/zip") as out:
        out.write(content)


def break_off(store: ObjectStore) -> None:
    with store.writing(1, NAME, "application/zip") as out:
        out.write(b"half")
        raise RuntimeError


def test_a_file_is_fetched_by_the_stores_own_link(store: ObjectStore) -> None:
    # More than one part of an upload, and more than stays in memory.
    large = b"0123456789abcdef" * (600 * 1024)
    put(store, 1, NAME, large)
    link = store.link(1, NAME, expires_in_s=3_600)
    assert urlsplit(link).path == f"/exports/of/myi/1/{NAME}"
    assert parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["3600"]
    assert SECRET not in unquote(link)
    answer = httpx.get(link, trust_env=False)
    assert (answer.status_code, answer.content == large) == (200, True)
    assert answer.headers["content-disposition"] == f'attachment; filename="{NAME}"'
    assert answer.headers["content-type"] == "application/zip"


def changed(link: str, **values: str) -> str:
    """The link with other values in its query, the signature as it was."""
    query = {**{name: found[0] for name, found in parse_qs(urlsplit(link).query).items()}, **values}
    return urlsplit(link)._replace(query=urlencode(query)).geturl()


def test_a_link_that_expired_was_changed_or_signed_by_another_key_is_refused(
    store: ObjectStore, settings: Settings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, 1, NAME)
    put(store, 2, NAME, b"another one's")
    link = store.link(1, NAME, expires_in_s=3_600)

    def code(address: str) -> str:
        answer = httpx.get(address, trust_env=False)
        return "200" if answer.status_code == 200 else answer.text.partition("<Code>")[2].partition("</Code>")[0]

    assert code(link) == "200"
    assert code(link.partition("?")[0]) == "AccessDenied"
    assert code(link.replace("/1/", "/2/")) == "SignatureDoesNotMatch"
    assert code(changed(link, **{"X-Amz-Expires": "360000"})) == "SignatureDoesNotMatch"
    assert code(changed(link, versionId="null")) == "SignatureDoesNotMatch"
    assert httpx.delete(link, trust_env=False).status_code == 403
    strange = s3.options_of("key", "another secret")
    forged = open_store(settings.model_copy(update={"artifacts_options": SecretStr(strange)}))
    assert code(str(forged.link(1, NAME, expires_in_s=3_600))) == "SignatureDoesNotMatch"
    unknown = open_store(settings.model_copy(update={"artifacts_options": SecretStr(s3.options_of("other", SECRET))}))
    assert code(str(unknown.link(1, NAME, expires_in_s=3_600))) == "InvalidAccessKeyId"
    with pytest.raises(Permanent, match="refuses the credentials"):
        forged.files(1)
    monkeypatch.setattr(s3.check, "now", lambda: datetime.now(UTC) + timedelta(seconds=3_601))
    assert code(link) == "AccessDenied"
    monkeypatch.undo()
    assert code(link) == "200"


def test_without_the_check_before_it_the_server_would_serve_anybody_so_it_is_the_check_that_proves_links_broken(
    store: ObjectStore, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, 1, NAME)
    link = store.link(1, NAME, expires_in_s=3_600)
    monkeypatch.setattr(SignatureCheck, "_check", lambda *_: None)
    longer = changed(link, **{"X-Amz-Expires": "360000"})
    assert httpx.get(longer, trust_env=False).status_code == 200


def test_what_fails_on_the_way_is_not_there(store: ObjectStore) -> None:
    with pytest.raises(RuntimeError):
        break_off(store)
    assert store.files(1) == ()


def test_files_are_listed_pruned_and_deleted_by_user(store: ObjectStore, settings: Settings) -> None:
    for user_id, name in ((1, NAME), (1, "another-one.zip"), (11, NAME)):
        put(store, user_id, name)
    assert sorted(file.name for file in store.files(1)) == ["another-one.zip", NAME]
    assert [(file.user_id, file.size_bytes) for file in store.files(11)] == [(11, 7)]
    make_room(store, 1, quota_bytes=1, keep=NAME)
    assert [file.name for file in store.files(1)] == [NAME]
    now = datetime.now(UTC)
    assert remove_old_exports(settings, now=now) == 0
    store.delete_all(1)
    store.delete_all(1)
    assert [file.user_id for file in store.all_files()] == [11]
    assert prune(store, before=now + timedelta(minutes=1)) == 1
    assert list(store.all_files()) == []


@pytest.mark.parametrize("expires", ["604801", "0", "-5", "soon", "1e3", "", "9" * 40])
def test_a_link_for_no_time_or_more_than_a_week_is_no_link(store: ObjectStore, expires: str) -> None:
    """The tests' server let every number pass, and broke down at what is none."""
    put(store, 1, NAME)
    answer = httpx.get(changed(store.link(1, NAME, expires_in_s=3_600), **{"X-Amz-Expires": expires}), trust_env=False)
    assert (answer.status_code, "AuthorizationQueryParametersError" in answer.text) == (400, True)
    assert httpx.get(store.link(1, NAME, expires_in_s=604_800), trust_env=False).status_code == 200


def test_what_was_signed_for_another_region_is_refused(settings: Settings, s3: S3Server) -> None:
    elsewhere = SecretStr(s3.options.replace(f"region={REGION}", "region=us-east-1"))
    store = open_store(settings.model_copy(update={"artifacts_options": elsewhere}))
    assert isinstance(store, ObjectStore)
    answer = httpx.get(str(store.link(1, NAME, expires_in_s=3_600)), trust_env=False)
    assert (answer.status_code, "AuthorizationQueryParametersError" in answer.text) == (400, True)
    # By a header, too.
    with pytest.raises((Permanent, Transient)):
        put(store, 1, NAME)


def test_doctor_says_whether_the_bucket_can_be_written_to(settings: Settings, store: ObjectStore) -> None:
    def check(found: Settings) -> tuple[Status, str]:
        return next((each.status, each.found) for each in run_checks(found) if each.name == "exports")

    assert check(settings) == (Status.OK, "s3://exports/of/myi can be written to")
    assert list(store.all_files()) == []
    missing = settings.model_copy(update={"artifacts": "s3://elsewhere"})
    assert check(missing) == (Status.FAIL, "the bucket of MYI_ARTIFACTS does not exist")


def test_a_store_that_is_away_or_unknown_options_are_said_without_secrets(settings: Settings) -> None:
    away = Settings.model_validate(
        {
            "home": settings.home,
            "artifacts": "s3://exports",
            "artifacts_options": f"endpoint=http://127.0.0.1:{free_port()}&access_key_id=key&secret_access_key=hidden",
        }
    )
    with pytest.raises(Transient) as error:
        open_store(away).files(1)
    assert "hidden" not in str(error.value)
    unknown = Settings.model_validate(
        {"home": settings.home, "artifacts": "s3://exports", "artifacts_options": "colour=blue"}
    )
    with pytest.raises(Permanent, match="does not know"):
        open_store(unknown)
