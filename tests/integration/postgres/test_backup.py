"""The way back to a backup, as docs/operations.md has it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from myi_pipeline.people.manage_users import add_user, list_user_keys
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.embedded.binaries import find_binaries

MANUAL = Path(__file__).parents[3] / "docs" / "operations.md"


def test_a_dump_that_the_owner_made_is_restored_by_the_owner(warehouse: Warehouse, tmp_path: Path) -> None:
    """`pg_restore --clean` fails at the partitions of raw, and a plain one at rights that only a superuser gives."""
    url, dump, contents = warehouse.url(Role.OWNER), tmp_path / "myi.dump", tmp_path / "myi.list"
    found = re.search(r"drop schema [a-z, ]+ cascade", MANUAL.read_text(encoding="utf-8"))
    assert found is not None

    def run(program: str, *arguments: str | Path) -> str:
        command = [find_binaries().path(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add(user_key: str) -> None:
        with warehouse.connect(Role.INGEST, autocommit=True) as connection:
            add_user(connection, user_key=user_key, time_zone="UTC")

    add("ana")
    run("pg_dump", "--format=custom", f"--file={dump}", url)
    add("ben")

    listed = run("pg_restore", "--list", dump).splitlines(keepends=True)
    contents.write_text("".join(line for line in listed if " pg_catalog " not in line))
    run("psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", url, "-c", found.group())
    run("pg_restore", "--single-transaction", f"--use-list={contents}", f"--dbname={url}", dump)

    assert list_user_keys(warehouse) == ["ana"]
    # The rights of the other roles came back as well.
    add("cem")
    assert list_user_keys(warehouse) == ["ana", "cem"]
