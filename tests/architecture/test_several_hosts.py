"""What docs/scale.md and docs/containers.md tell people to install and to set, followed word for word."""

from __future__ import annotations

import re
from pathlib import Path

from myi_pipeline.settings import Settings, load_settings, unknown_variables
from myi_pipeline.settings.artifacts import is_object_store
from tests.architecture.repository import DOCS, ROOT

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


# What a setting needs beside MYI itself, by the beginning of its name. S3 is meant where a page speaks of logs.
_NEEDS = {
    "MYI_CELERY_": "celery", "MYI_UPLOADS": "object-store", "MYI_ARTIFACTS": "object-store",
    "MYI_COMPUTE_LOGS": "aws",
}  # fmt: skip


def extras_needed(text: str) -> set[str]:
    """By the settings that a text names."""
    return {
        extra
        for named in re.findall(r"MYI_[A-Z_]+", text)
        for begins, extra in _NEEDS.items()
        if named.startswith(begins)
    }


def installed_by(text: str) -> list[set[str]]:
    """The extras of each line of a text that installs MYI with some, or builds an image with them."""
    lines = re.findall(r"(?:myi-pipeline\[|--extras |EXTRAS=|EXTRAS: )([a-z0-9,-]+)", text)
    return [set(line.split(",")) for line in lines]


def test_lines_that_install_take_what_the_settings_of_their_page_need() -> None:
    """Without `aws` the doctor failed and no run began, once MYI_COMPUTE_LOGS was set as the page says."""
    scale, containers = ((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("scale", "containers"))
    assert extras_needed(scale) == {"aws", "celery", "object-store"}
    (of_hosts,) = installed_by(scale)
    assert of_hosts >= extras_needed(scale)
    # Parts by compose have the settings of several machines; on Kubernetes nothing goes through a broker.
    image, kubernetes = containers.split("## On Kubernetes")
    by_compose = [*installed_by(image), *installed_by((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))]
    assert len(by_compose) == 3
    assert all(each >= extras_needed(scale) for each in by_compose)
    settings = (ROOT / "deploy" / "kubernetes" / "settings.yaml").read_text(encoding="utf-8")
    (of_cluster,) = installed_by(kubernetes)
    assert of_cluster >= {"k8s", *extras_needed(settings)} == {"k8s", "aws", "object-store"}


def test_a_line_without_an_extra_that_is_needed_is_noticed_broken() -> None:
    (line,) = installed_by("pip install 'myi-pipeline[celery,object-store]'")
    assert not line >= extras_needed("Set MYI_COMPUTE_LOGS")
