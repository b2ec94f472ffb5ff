"""Where `myi doctor` finds uploads and exports, as far as it takes no server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from myi_pipeline.operations.doctor import places
from myi_pipeline.operations.doctor.check import Check, Status
from myi_pipeline.settings import Settings

BOTH = [("uploads", places.uploads), ("artifacts", places.exports)]


def settings_of(home: Path, **values: Any) -> Settings:
    home.mkdir(exist_ok=True)
    database = "postgresql://myi:x@db/myi"
    return Settings.model_validate(
        {"home": home, "database_url": database, "celery_broker_url": "amqp://b/v", **values}
    )


@pytest.mark.parametrize(("name", "check"), BOTH)
def test_with_a_broker_files_in_one_hosts_home_are_a_warning(
    name: str, check: Callable[[Settings], Check], tmp_path: Path
) -> None:
    """A worker wrote exports into a home of its own that was thrown away, and the doctor found all well."""
    home = tmp_path / "home"
    found = check(settings_of(home))
    assert found.status is Status.WARN
    assert f"{home / name} is in MYI_HOME" in found.found
    assert f"set MYI_{name.upper()} to an object store" in found.mend
    assert check(settings_of(home, **{name: str(home / "deep" / "er")})).status is Status.WARN
    # By the name of a link, too.
    (tmp_path / "link").symlink_to(home)
    assert check(settings_of(home, **{name: str(tmp_path / "link" / name)})).status is Status.WARN


@pytest.mark.parametrize(("name", "check"), BOTH)
def test_files_that_every_host_can_see_are_well(
    name: str, check: Callable[[Settings], Check], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    assert check(settings_of(home, **{name: str(shared)})).status is Status.OK
    # One machine alone.
    assert check(settings_of(home, celery_broker_url=None)).status is Status.OK

    # A volume in the home, as the compose file has it; the home itself being one does not help.
    def mounted(*folders: Path) -> None:
        found = [SimpleNamespace(mountpoint=str(each)) for each in folders]
        monkeypatch.setattr(psutil, "disk_partitions", lambda **_: found)

    mounted(tmp_path, home)
    assert check(settings_of(home)).status is Status.WARN
    mounted(tmp_path, home / name)
    assert check(settings_of(home)).status is Status.OK
