"""MYI installed from its wheel, in an empty folder and without its repository."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from myi_pipeline.marts.parsed_project import MANIFEST, PACKED, manifest_fingerprint, project_folder
from tests.integration.credentials.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
# What a clone keeps beside the package.
MOVED = ("dbt_project/",)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make wheel` makes it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "myi_pipeline.marts.parse_ahead"], cwd=ROOT, check=True, timeout=200)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=200)
    (found,) = folder.glob("*.whl")
    return found


def in_git(*folders: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return {f"myi_pipeline/{name}" if name.startswith(MOVED) else name for name in listed.stdout.splitlines()}


def environment_home(environment: dict[str, str]) -> Path:
    return Path(environment["MYI_HOME"])


@pytest.mark.long
def test_the_wheel_holds_every_file_of_the_package_and_of_the_dbt_project_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
        parsed = {name for name in held if name.startswith("myi_pipeline/dbt_project/parsed/")}
        texts = [opened.read(name) for name in parsed]
    assert held - parsed == in_git("myi_pipeline", *MOVED)
    # The project as it is now, and nothing of the machine on which it was parsed.
    folder = f"myi_pipeline/dbt_project/parsed/{manifest_fingerprint(project_folder())}"
    assert parsed == {f"{folder}/{MANIFEST}", f"{folder}/{PACKED}"}
    assert not any(str(ROOT).encode() in text for text in texts)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_demo_runs_from_the_wheel_in_an_empty_folder(
    wheel: Path, environment_for_tests: dict[str, str], tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), str(wheel)]
    subprocess.run(install, check=True, timeout=200)
    # Everything but MYI comes from where the tests run; .pth files there, the clone's among them, are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    inherited = {name: value for name, value in environment_for_tests.items() if name != "PYTHONPATH"}

    def run(code: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(python), "-c", code, *arguments],
            cwd=empty,
            env={**inherited, "MYI_DAGSTER_PORT": str(free_port())},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    assert run("import myi_pipeline; print(myi_pipeline.__file__)").startswith(str(packages))
    document = json.loads(run("from myi_pipeline.cli import main; main()", "demo", "--plays", "1200", "--json"))
    assert document["is_good"] is True
    # Nobody had to parse.
    assert not any(environment_home(environment_for_tests).glob("dbt/manifests/*/*"))
    assert list(empty.iterdir()) == []
