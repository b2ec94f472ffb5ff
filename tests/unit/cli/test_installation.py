"""psql's environment: the password goes there and nowhere else."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from myi_pipeline.cli.installation import libpq_environment, psql_program
from myi_pipeline.postgres.connections import ConnectionParts


def test_a_connection_becomes_variables_of_libpq() -> None:
    parts = ConnectionParts(
        host="db.example.org", port=5433, user="u", database="d", password="p", options={"sslmode": "require", "x": "y"}
    )
    assert libpq_environment(parts) == {
        "PGHOST": "db.example.org", "PGPORT": "5433", "PGUSER": "u", "PGDATABASE": "d", "PGAPPNAME": "myi psql",
        "PGPASSWORD": "p", "PGSSLMODE": "require",
    }  # fmt: skip


def test_without_a_password_none_is_set() -> None:
    parts = ConnectionParts(host="h", port=5432, user="u", database="d", password="")
    assert "PGPASSWORD" not in libpq_environment(parts)


def test_without_psql_on_the_path_the_bundled_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = subprocess.run([psql_program(), "--version"], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith("psql (PostgreSQL) 18")
