"""What docs/scale.md and docs/containers.md tell people to install and to set, followed word for word."""

from __future__ import annotations

import re
from pathlib import Path

from myi_pipeline.settings import Settings, load_settings, unknown_variables
from myi_pipeline.settings.artifacts import is_object_store
from tests.architecture.repository import DOCS

_FILES = {
    "database_url": "postgresql://admin:x@db/myi",
    "broker_url": "amqp://myi:x@broker:5672/myi",
    "store_options": "endpoint=https://s3.example.org&region=eu-central-1&access_key_id=x&secret_access_key=y",
}


def told_settings(tmp_path: Path) -> Settings:
    """Those of control.env, with the files that it names."""
    text = (DOCS / "scale.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"`/etc/myi/control\.env`.*?\n```\n(.*?)```", text, re.DOTALL)
    given = dict(line.split("=", 1) for line in block.splitlines())
    assert unknown_variables(given) == []
    for name, content in _FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return load_settings({name: value.replace("/etc/myi", str(tmp_path)) for name, value in given.items()})


def test_the_control_host_of_the_page_shares_uploads_exports_and_logs_with_workers(tmp_path: Path) -> None:
    """It named no place for either: imports and exports of workers were looked for in homes of their own."""
    settings = told_settings(tmp_path)
    assert settings.celery_broker_url is not None
    assert is_object_store(settings.uploads_place)
    assert settings.artifacts_folder is None
    assert settings.compute_logs is not None
    options = (settings.uploads_options, settings.artifacts_options, settings.compute_logs_options)
    assert [each.get_secret_value() if each else None for each in options] == [_FILES["store_options"]] * 3
