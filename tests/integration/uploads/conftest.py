"""A house with two users and an uploads folder."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.services.import_uploads import UserImports, import_uploads
from myi_pipeline.services.manage_users import add_user
from myi_pipeline.services.plan_uploads import UploadPlan, find_wanted_imports
from myi_pipeline.services.scan_uploads import UploadsSeen
from myi_pipeline.settings import Settings
from myi_pipeline.simulator import decoys
from myi_pipeline.warehouse.connections import Role, Warehouse


@dataclass(frozen=True)
class Uploads:
    warehouse: Warehouse
    settings: Settings

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with closing(self.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def put(self, name: str, *, rows: int = 20) -> Path:
        """A good archive, old enough to be taken at first sight; `name` ends in .zip or .json."""
        path = self.settings.uploads_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", decoys.good_json(rows)))
        else:
            path.write_bytes(decoys.good_json(rows))
        return self.age(path)

    def age(self, path: Path) -> Path:
        os.utime(path, (time.time() - 300, time.time() - 300))
        return path

    def plan(self, seen: UploadsSeen | None = None) -> UploadPlan:
        return find_wanted_imports(
            self.warehouse, settings=self.settings, seen=seen or UploadsSeen(), now_s=time.time()
        )

    def run(self, user_key: str, names: list[str] | None = None) -> UserImports:
        return import_uploads(
            self.warehouse, settings=self.settings, user_key=user_key, names=names, sleep=lambda _: None
        )


@pytest.fixture
def uploads(warehouse: Warehouse, settings_for_tests: Settings) -> Uploads:
    with closing(warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        for user_key in ("ana", "ben"):
            add_user(connection, user_key=user_key, time_zone="UTC")
    return Uploads(warehouse, settings_for_tests)
