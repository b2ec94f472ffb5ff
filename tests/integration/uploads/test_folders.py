"""A link that leads nowhere (a disk that is not mounted) where MYI_HOME or the uploads folder should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from myi_pipeline.archives.uploads.incoming import incoming
from myi_pipeline.errors import Permanent
from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.people.uploads_folder import make_uploads_folder
from myi_pipeline.postgres.embedded.places import make_home
from myi_pipeline.postgres.folders import why_no_folder
from myi_pipeline.settings import Settings
from tests.integration.uploads.conftest import Uploads


def dangling(path: Path) -> Path:
    path.symlink_to(path.with_name("not-mounted"))
    return path


def test_a_home_that_leads_nowhere_is_named_with_what_is_expected_there(tmp_path: Path) -> None:
    """It was "MYI_HOME cannot be used: No such file or directory"."""
    home = dangling(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from myi_pipeline.cli.app import run; sys.exit(run(['user', 'list']))"],
        env={**os.environ, "MYI_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"{home} is a symbolic link to {tmp_path / 'not-mounted'}, which does not exist" in done.stderr
    assert "set MYI_HOME to another folder" in done.stderr
    # Neither below such a link, nor where a file is.
    for path in (home / "deep" / "er", tmp_path / "file" / "home"):
        (tmp_path / "file").touch()
        with pytest.raises(Permanent, match=r"MYI_HOME cannot be used at .*: .* is a (symbolic link|file)"):
            make_home(path)
    assert not (tmp_path / "not-mounted").exists()
    found = {check.name: check for check in run_checks(Settings(home=home))}
    assert found["home"].status is found["uploads"].status is Status.FAIL
    assert "is a symbolic link to" in found["home"].found


def test_an_uploads_folder_that_leads_nowhere_is_named_on_every_way(
    uploads: Uploads, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = dangling(tmp_path / "uploads-elsewhere")
    settings = uploads.settings.model_copy(update={"uploads": folder})
    said = f"{folder} is a symbolic link to {tmp_path / 'not-mounted'}, which does not exist"
    with pytest.raises(Permanent, match="MYI_UPLOADS cannot be used at") as refusal:
        prepare_dagster(settings, uploads.warehouse)
    assert said in str(refusal.value)
    with (
        pytest.raises(Permanent, match="MYI_UPLOADS cannot be used at"),
        incoming(settings, user_key="ana", most_bytes=1),
    ):
        raise AssertionError("nothing can be put there")
    assert any(said in remark for remark in Uploads(uploads.warehouse, settings).plan().remarks)
    make_uploads_folder(settings, "ana")
    assert said in caplog.text

    # It is mounted.
    (tmp_path / "not-mounted").mkdir()
    assert why_no_folder(folder) is None
    prepare_dagster(settings, uploads.warehouse)
    assert Uploads(uploads.warehouse, settings).plan().remarks == ()
