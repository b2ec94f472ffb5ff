"""Looking for a text wherever MYI leaves anything: files below a folder, and every row of a database."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import psycopg

_TABLES = (
    b"select format('%I.%I', table_schema, table_name) from information_schema.tables"
    b" where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') order by 1"
)


def files_below(folder: Path) -> list[Path]:
    """Every file below the folder, in order. Others may delete files and folders in the meantime."""
    return sorted(Path(place) / name for place, _, names in os.walk(folder) for name in names)


def empty(folder: Path) -> None:
    """Delete all that a folder holds, also what others are deleting in the meantime."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def files_with(text: str, folder: Path) -> list[str]:
    """Files below the folder that hold it, however they are named."""
    wanted = text.encode()
    return [str(path) for path in files_below(folder) if path.is_file() and wanted in path.read_bytes()]


def tables_with(text: str, url: str) -> list[str]:
    """Tables of the database with a row that holds it, in any column."""
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(_TABLES).fetchall()
        for (table,) in tables:
            query = f"select exists (select from {table} as t where strpos(t::text, %s) > 0)"
            row = connection.execute(query.encode(), (text,)).fetchone()
            if row is not None and row[0]:
                found.append(str(table))
    return found


def places_with(texts: Iterable[str], *, folder: Path, urls: Iterable[str]) -> dict[str, list[str]]:
    """Where each of these texts is: tables of these databases, in any column, and files below the folder. A letter that
    JSON writes as an escape counts."""
    spellings = {spelling: text for text in texts for spelling in (text, json.dumps(text)[1:-1])}
    found: dict[str, list[str]] = {}
    for url in urls:
        with psycopg.connect(url, autocommit=True) as connection:
            for (table,) in connection.execute(_TABLES).fetchall():
                query = (
                    f"select s from unnest(%s::text[]) as s"
                    f" where exists (select from {table} as t where strpos(t::text, s) > 0)"
                )
                for (spelling,) in connection.execute(query.encode(), (list(spellings),)).fetchall():
                    found.setdefault(spellings[spelling], []).append(str(table))
    for path in files_below(folder):
        if path.is_file():
            content = path.read_bytes()
            for spelling, text in spellings.items():
                if spelling.encode() in content:
                    found.setdefault(text, []).append(str(path))
    return found
