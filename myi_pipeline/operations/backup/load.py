"""Loading a dump into an empty database, whatever its roles are called there.

pg_restore cannot rename roles. So the tables and, at the end, the rights are run as scripts with names replaced; these
contain no rows. pg_restore itself does the slow parts, the rows and then the indexes, several at a time.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import psycopg

from myi_pipeline.errors import DiskFull, Permanent
from myi_pipeline.operations.backup.programs import (
    JOBS,
    Programs,
    capture_program,
    failure,
    parts_of,
    run_program,
)
from myi_pipeline.postgres.connections import CONNECT_TIMEOUT_S, Connection, ConnectionParts, identifier

log = logging.getLogger(__name__)

_ENTRY: Final = re.compile(r"\d+; \d+ \d+ (?P<what>[A-Z][A-Z ]*[A-Z]) ")
# Rows, and what is built from them. `TABLE ATTACH` and the like come before, with the tables.
_BULK: Final = frozenset(
    {
        "TABLE DATA", "SEQUENCE SET", "MATERIALIZED VIEW DATA", "INDEX", "INDEX ATTACH", "CONSTRAINT",
        "CHECK CONSTRAINT", "FK CONSTRAINT", "TRIGGER", "RULE", "STATISTICS",
    }
)  # fmt: skip
# Rights may follow only after their tables are filled: a policy would hide rows from the loading role.
_LAST: Final = frozenset({"ACL", "DEFAULT ACL", "POLICY", "ROW SECURITY", "COMMENT", "EVENT TRIGGER"})
# Of the version that made the dump; tables are analyzed anew.
_LEFT_OUT: Final = frozenset({"STATISTICS DATA"})
_GRANT: Final = re.compile(r"(?:GRANT|REVOKE) .* (?:TO|FROM) (?P<role>\"(?:[^\"]|\"\")+\"|\S+?)(?: WITH .*)?;")
# pg_restore 17 and later set it without asking the server, and 16 and earlier do not know it.
_TRANSACTION_TIMEOUT: Final = "transaction_timeout"


def load_dump(
    programs: Programs, dump: Path, *, url: str, act_as: str | None, renames: Mapping[str, str], place: str
) -> None:
    """Fill the empty database that `url` leads to, as that login or, if given, as the role `act_as`.

    `renames` has the new name of each role of the dump; rights of other roles that the server does not have are left
    out. `place` is where the server keeps its data, for messages. Raises DiskFull, Transient, Permanent.
    """
    listed = run_program(
        [programs.path("pg_restore"), "--list", str(dump)], parts=None, doing="reading the backup", place=place
    )
    first: list[str] = []
    bulk: list[str] = []
    last: list[str] = []
    for line in listed.splitlines():
        match = _ENTRY.match(line)
        # Rights on Postgres's own functions are granted when the database is created.
        if match is None or " pg_catalog " in line:
            continue
        what = match["what"]
        if what not in _LEFT_OUT:
            (bulk if what in _BULK else last if what in _LAST else first).append(line)
    parts = parts_of(url)
    with (
        tempfile.TemporaryDirectory(prefix="myi-restore-") as scratch,
        psycopg.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="myi restore"
        ) as connection,
    ):
        if act_as is not None:
            connection.execute(b"set role " + identifier(act_as).as_bytes(connection))
        known = _roles_of(connection)
        for lines in (first, bulk, last):
            chosen = Path(scratch) / "list"
            chosen.write_text("\n".join(lines) + "\n", encoding="utf-8")
            if lines is bulk:
                _load_bulk(programs, dump, chosen, connection, parts=parts, act_as=act_as, place=place)
                continue
            command = [programs.path("pg_restore"), f"--use-list={chosen}", "--file=-", str(dump)]
            script = run_program(command, parts=None, doing="reading the backup", place=place)
            _run(connection, renamed(script, renames, known=known), place=place)


def _load_bulk(
    programs: Programs,
    dump: Path,
    chosen: Path,
    connection: Connection,
    *,
    parts: ConnectionParts,
    act_as: str | None,
    place: str,
) -> None:
    major = connection.info.server_version // 10000
    command = [
        programs.path("pg_restore"), f"--use-list={chosen}", f"--jobs={JOBS}", "--no-password", "--no-owner",
        f"--dbname={parts.database}", *([f"--role={act_as}"] if act_as is not None else []),
        *(["--exit-on-error"] if major >= 17 else []), str(dump),
    ]  # fmt: skip
    code, _, said = capture_program(command, parts=parts)
    wrong = [line for line in said.splitlines() if "error:" in line and _TRANSACTION_TIMEOUT not in line]
    is_tolerable = major < 17 and not wrong and _TRANSACTION_TIMEOUT in said
    if code != 0 and not is_tolerable:
        raise failure("\n".join(wrong) or said, doing="loading the backup", place=place)


def renamed(script: str, renames: Mapping[str, str], *, known: Iterable[str]) -> str:
    """A script of tables or rights with other roles, and without what only psql and newer servers know.

    Rights of roles that are not among `known`, and are not renamed, are left out: the operator's own roles, which the
    server has or has not.
    """
    there = {*known, *renames, "PUBLIC", "CURRENT_USER"}
    lines, missing = [], set[str]()
    for line in script.splitlines():
        match = _GRANT.fullmatch(line)
        role = match["role"].removeprefix('"').removesuffix('"').replace('""', '"') if match else None
        if role is not None and role not in there:
            missing.add(role)
        elif not line.startswith(("\\restrict ", "\\unrestrict ", f"SET {_TRANSACTION_TIMEOUT} ")):
            lines.append(line)
    for role in sorted(missing):
        log.warning("the rights of the role %r are not restored: this server has no such role", role)
    changed = {old: new for old, new in renames.items() if old != new}
    text = "\n".join(lines)
    if not changed:
        return text
    names = "|".join(re.escape(old) for old in sorted(changed, key=len, reverse=True))
    # As an identifier in quotes, as a text, and plain.
    pattern = re.compile(rf'"(?P<a>{names})"|\'(?P<b>{names})\'|(?<![\w$"\'.])(?P<c>{names})(?![\w$"\'])')

    def replace(match: re.Match[str]) -> str:
        if match["b"] is not None:
            return "'" + changed[match["b"]].replace("'", "''") + "'"
        return '"' + changed[match["a"] or match["c"]].replace('"', '""') + '"'

    return pattern.sub(replace, text)


def _roles_of(connection: Connection) -> list[str]:
    return [str(name) for (name,) in connection.execute("select rolname from pg_roles").fetchall()]


def _run(connection: Connection, script: str, *, place: str) -> None:
    """Runs all of it or nothing."""
    try:
        with connection.transaction():
            connection.execute(script.encode())
            # The script empties the search path for itself.
            connection.execute("reset all")
    except psycopg.errors.DiskFull:
        raise DiskFull(f"loading the backup stopped: there is too little room in {place}") from None
    except psycopg.DatabaseError as error:
        said = error.diag.message_primary or (str(error).strip().splitlines() or ["no message"])[0]
        raise Permanent(f"loading the backup failed: {said}") from None
