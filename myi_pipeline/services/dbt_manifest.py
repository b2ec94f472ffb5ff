"""The parsed dbt project, for whoever needs to know its models without running them.

Belongs here: parsing once per content, and keeping the result. Not here: running dbt (dbt_runner), what is made of it
(defs). Invariant: a manifest that is returned belongs to the project's files as they are now; processes that start
together parse once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from myi_pipeline.core.errors import Permanent
from myi_pipeline.services.dbt_runner import project_folder

# A parse takes 8-13 s with two cores; five times that with all cores taken.
_PARSE_TIMEOUT_S = 300
_KEPT = 3
_PARSED = (".sql", ".yml", ".yaml", ".md", ".csv")
_MADE_BY_DBT = ("target", "logs", "dbt_packages")
# The profile must render while it is parsed; nothing connects.
_PROFILE = {
    "MYI_DBT_HOST": "localhost", "MYI_DBT_PORT": "5432", "MYI_DBT_USER": "nobody", "MYI_DBT_PASSWORD": "none",
    "MYI_DBT_NAME": "myi", "MYI_DBT_API_ROLE": "nobody", "MYI_DBT_ANALYST_ROLE": "nobody",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_VERSION_CHECK": "false", "DO_NOT_TRACK": "1",
}  # fmt: skip


def dbt_executable() -> str:
    """The dbt beside this interpreter; the shell's PATH may lead elsewhere or nowhere."""
    beside = Path(sys.executable).with_name("dbt")
    found = str(beside) if beside.is_file() else shutil.which("dbt")
    if found is None:
        raise Permanent("dbt is not installed beside this Python: install MYI with its dependencies")
    return found


def dbt_manifest(folder: Path) -> Path:
    """manifest.json of the project, parsed into a sub-folder of `folder` unless it is there. Raises Permanent."""
    project = project_folder()
    wanted = folder / fingerprint(project)
    manifest = wanted / "manifest.json"
    if manifest.is_file():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / "lock"):
        if not manifest.is_file():
            _parse(project, wanted)
            _remove_old(folder, keep=wanted)
    return manifest


def fingerprint(project: Path) -> str:
    """Changes with every file that dbt parses, tests and descriptions included, and with dbt itself."""
    digest = hashlib.sha256(version("dbt-core").encode())
    for file in sorted(path for path in project.rglob("*") if path.suffix in _PARSED):
        if file.relative_to(project).parts[0] in _MADE_BY_DBT:
            continue
        digest.update(file.relative_to(project).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _parse(project: Path, wanted: Path) -> None:
    made = wanted.with_name(f"{wanted.name}.{os.getpid()}")
    command = [
        dbt_executable(), "--no-use-colors", "parse", "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(made), "--log-path", str(made),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            env=os.environ | _PROFILE,
            capture_output=True,
            text=True,
            timeout=_PARSE_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0 or not (made / "manifest.json").is_file():
            raise Permanent(f"the dbt project cannot be parsed: {_last_line(done.stdout or done.stderr)}")
        made.replace(wanted)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-3:]) if lines else "no message"


def _remove_old(folder: Path, *, keep: Path) -> None:
    """Others may still read the one before: the newest few stay."""
    found = [path for path in folder.iterdir() if path.is_dir() and path != keep]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
