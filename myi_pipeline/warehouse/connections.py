"""How MYI reaches its database: one URL per role, nothing shared.

Belongs here: the roles' names, their URLs, opening a connection. Not here: making roles (roles.py), starting a server
(embedded/), pooling. Invariant: a connection is authenticated as exactly the role that was asked for (never SET ROLE),
and no URL with a password appears in a repr or in an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, LiteralString
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from myi_pipeline.core.errors import BadInput

# A server that does not answer a connect within this time is down for a person who waits.
CONNECT_TIMEOUT_S = 10


class Role(StrEnum):
    OWNER = "owner"
    INGEST = "ingest"
    DBT = "dbt"
    API = "api"
    APP = "app"
    MONITOR = "monitor"
    ANALYST = "analyst"


@dataclass(frozen=True)
class ConnectionParts:
    """A URL taken apart, for tools that want it in pieces (dbt's profile, psql's environment)."""

    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


def parse_url(url: str) -> dict[str, str]:
    """libpq's parameters of a postgresql:// URL; a driver such as +psycopg2 in the scheme is dropped."""
    scheme, _, rest = url.partition("://")
    try:
        given = conninfo_to_dict(f"{scheme.partition('+')[0]}://{rest}")
    except psycopg.ProgrammingError:
        raise BadInput("a database URL cannot be read", rule="postgresql://user:password@host:5432/database") from None
    return {name: str(value) for name, value in given.items() if value is not None}


def compose_url(parameters: Mapping[str, str], *, scheme: str = "postgresql") -> str:
    """The inverse of parse_url. Sockets and lists of hosts go into the query, which every driver understands."""
    rest = dict(parameters)
    user, password = rest.pop("user", ""), rest.pop("password", "")
    login = quote(user, safe="") + (":" + quote(password, safe="") if password else "") + "@" if user else ""
    host, port = rest.get("host", ""), rest.get("port", "")
    place = ""
    if host and not host.startswith(("/", "@")) and "," not in host:
        rest.pop("host")
        rest.pop("port", None)
        place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    database = quote(rest.pop("dbname", ""), safe="")
    query = urlencode(rest, quote_via=quote)
    return f"{scheme}://{login}{place}/{database}" + (f"?{query}" if query else "")


def with_parameters(url: str, **changes: str) -> str:
    """The same URL with other parameters (libpq's names: user, password, dbname, ...)."""
    return compose_url(parse_url(url) | changes)


class Warehouse:
    """An open door to one warehouse: it knows every role's URL. Cheap to hold, holds no connection."""

    def __init__(self, *, urls: Mapping[Role, str], dagster_url: str, embedded: bool = False) -> None:
        self._urls = {Role(role): url for role, url in urls.items()}
        self._dagster_url = dagster_url
        self.embedded = embedded
        self.database = parse_url(self._urls[Role.OWNER]).get("dbname", "")

    def __repr__(self) -> str:
        return f"Warehouse(database={self.database!r}, embedded={self.embedded})"

    def connect(
        self, role: Role, *, autocommit: bool = False, application_name: str = "myi"
    ) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection as this role. Raises psycopg.OperationalError."""
        return psycopg.connect(
            self.url(role),
            autocommit=autocommit,
            application_name=application_name,
            connect_timeout=CONNECT_TIMEOUT_S,
        )

    def url(self, role: Role) -> str:
        """postgresql:// URL with the password. Secret."""
        return self._urls[Role(role)]

    def parts(self, role: Role) -> ConnectionParts:
        """The URL in pieces. Secret."""
        given = parse_url(self.url(role))
        return ConnectionParts(
            host=given.pop("host", "localhost"),
            port=int(given.pop("port", "5432")),
            user=given.pop("user", ""),
            database=given.pop("dbname", ""),
            password=given.pop("password", ""),
            options=given,
        )

    def role_name(self, role: Role) -> str:
        """The role's name on the server."""
        return parse_url(self.url(role)).get("user", "")

    def dagster_url(self) -> str:
        """postgresql+psycopg2:// URL of Dagster's own database. Secret."""
        return compose_url(parse_url(self._dagster_url), scheme="postgresql+psycopg2")

    def names(self) -> dict[str, str]:
        """What the migrations' placeholders stand for: each role's name, and the database's."""
        return {role.value: self.role_name(role) for role in Role} | {"database": self.database}


def identifier(name: str) -> sql.Identifier:
    """A quoted name, refused when Postgres would cut it off."""
    if not name or len(name.encode()) > 63 or "\0" in name:
        raise BadInput("a database or role name must have 1 to 63 bytes", place=name[:63], rule="at most 63 bytes")
    return sql.Identifier(name)


def statement(text: LiteralString, *names: str) -> sql.Composed:
    """A statement whose {} are filled with quoted identifiers, in order."""
    return sql.SQL(text).format(*(identifier(name) for name in names))
