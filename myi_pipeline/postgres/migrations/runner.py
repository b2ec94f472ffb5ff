"""Alembic, called from code: no alembic.ini, no environment variables, only the owner's connection.

Each revision and its version number are committed together.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from myi_pipeline.postgres.connections import Role, Warehouse, identifier
from myi_pipeline.postgres.migrations import FOLDER

SQL_FOLDER = FOLDER / "sql"
NAMES, CONNECTION = "myi.names", "myi.connection"


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def script_directory() -> ScriptDirectory:
    return ScriptDirectory.from_config(config())


def upgrade(warehouse: Warehouse, revision: str) -> None:
    """Run the revisions up to `revision`, each in its own transaction."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: warehouse.connect(Role.OWNER, application_name="myi migrate"),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        made = config()
        made.attributes[CONNECTION] = connection
        made.attributes[NAMES] = warehouse.names()
        command.upgrade(made, revision)


def run_sql(connection: Connection, revision: str, names: dict[str, str]) -> None:
    """Run sql/<revision>_*.sql, sorted by name, with {role} placeholders replaced by quoted names.

    Plain replacement instead of parameters, because the bodies of functions contain braces and percent signs.
    """
    raw = connection.connection.driver_connection
    assert raw is not None
    quoted = {f"{{{name}}}": identifier(value).as_string(raw) for name, value in names.items()}
    files = sorted(SQL_FOLDER.glob(f"{revision}_*.sql"))
    if not files:
        raise FileNotFoundError(f"no SQL files for revision {revision}")
    for file in files:
        text = file.read_text(encoding="utf-8")
        for placeholder, name in quoted.items():
            text = text.replace(placeholder, name)
        with raw.cursor() as cursor:
            cursor.execute(text.encode())
