"""A setup with two users and a place of uploads: a folder, or a bucket."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from myi_pipeline.archives.uploads.import_uploads import UserImports, import_uploads
from myi_pipeline.archives.uploads.plan import RunState, UploadPlan, WantedImport, find_wanted_imports, request_imports
from myi_pipeline.archives.uploads.scan import UploadsSeen
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from tests.hostile import decoys
from tests.s3_server import S3Server

BUCKET, PREFIX = "uploads", "of/myi"


@dataclass(frozen=True)
class Uploads:
    warehouse: Warehouse
    settings: Settings
    s3: S3Server | None = None

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with closing(self.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def put(self, name: str, *, rows: int = 20, content: bytes | None = None) -> Path:
        """An archive, old enough to be taken at first sight; `name` ends in .zip or .json. A good one by itself."""
        folder = self.settings.uploads_folder if self.s3 is None else self.settings.home / "made"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content)
        elif path.suffix == ".zip":
            decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", decoys.good_json(rows)))
        else:
            path.write_bytes(decoys.good_json(rows))
        if self.s3 is not None:
            self.s3.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=path.read_bytes())
        return self.age(path)

    def remove(self, name: str) -> None:
        if self.s3 is None:
            (self.settings.uploads_folder / name).unlink()
        else:
            self.s3.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")

    def names(self) -> list[str]:
        """What lies there, files or objects."""
        if self.s3 is not None:
            return [key.removeprefix(f"{PREFIX}/") for key in self.s3.keys(BUCKET)]
        folder = self.settings.uploads_folder
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def age(self, path: Path) -> Path:
        os.utime(path, (time.time() - 300, time.time() - 300))
        return path

    def plan(self, seen: UploadsSeen | None = None, runs: Mapping[str, RunState] | None = None) -> UploadPlan:
        """One look of the sensor; `runs` are those that Dagster knows, by their keys."""
        return find_wanted_imports(
            self.warehouse,
            settings=self.settings,
            seen=seen or UploadsSeen(),
            now_s=time.time(),
            find_runs=lambda _: dict(runs or {}),
        )

    def wanted(self, runs: Mapping[str, RunState] | None = None) -> list[str]:
        return [each.name for each in self.plan(runs=runs).wanted]

    def ask(self, wanted: Sequence[WantedImport], key: str) -> None:
        assert request_imports(self.warehouse, wanted, request_id=key) == tuple(wanted)

    def later(self, minutes: int) -> None:
        """As if so much time had passed."""
        self.sql(
            "update app.imports set asked_at = asked_at - make_interval(mins => %(m)s),"
            " next_try_at = next_try_at - make_interval(mins => %(m)s),"
            " waiting_since = waiting_since - make_interval(mins => %(m)s),"
            " heartbeat_at = heartbeat_at - make_interval(mins => %(m)s)".replace("%(m)s", str(minutes))
        )

    def row(self, column: str = "status") -> Any:
        """The one import's."""
        ((value,),) = self.sql(f"select {column} from app.imports")
        return value

    def run(self, user_key: str, names: list[str] | None = None) -> UserImports:
        return import_uploads(
            self.warehouse, settings=self.settings, user_key=user_key, names=names, sleep=lambda _: None
        )


@pytest.fixture
def bucket(uploads: Uploads, s3: S3Server) -> Uploads:
    """Uploads in an object store."""
    s3.make_bucket(BUCKET)
    changes = {"uploads": f"s3://{BUCKET}/{PREFIX}", "uploads_options": SecretStr(s3.options)}
    return replace(uploads, settings=uploads.settings.model_copy(update=changes), s3=s3)


@pytest.fixture(params=["folder", "bucket"])
def either(request: pytest.FixtureRequest, uploads: Uploads, bucket: Uploads) -> Uploads:
    """In a folder, and in an object store."""
    return bucket if request.param == "bucket" else uploads


@pytest.fixture
def uploads(warehouse: Warehouse, settings_for_tests: Settings) -> Uploads:
    with closing(warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        for user_key in ("ana", "ben"):
            add_user(connection, user_key=user_key, time_zone="UTC")
    return Uploads(warehouse, settings_for_tests)
