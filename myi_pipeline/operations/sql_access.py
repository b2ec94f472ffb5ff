"""How analysts and their tools connect: which port, database and role, for the embedded server and for your own.

A password leaves this module in `connection_url` only.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from myi_pipeline.operations.database_urls import DEFAULT_DATABASE
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url, with_parameters
from myi_pipeline.postgres.embedded import SqlPort, open_sql_port
from myi_pipeline.postgres.embedded.sql_port import LOOPBACK
from myi_pipeline.postgres.roles import role_name
from myi_pipeline.settings import Settings, SettingsError


@dataclass(frozen=True)
class Address:
    """Where a tool connects; the password is shown by `myi psql --url`."""

    host: str
    port: int
    database: str
    role: str

    def __str__(self) -> str:
        return f"host {self.host}, port {self.port}, database {self.database}, user {self.role}"


def wanted_port(settings: Settings) -> SqlPort | None:
    """What the settings ask the embedded server to open. Raises SettingsError if there is none to open it on."""
    if settings.sql_port is None:
        return None
    if settings.database_url is not None:
        raise SettingsError(
            "MYI_SQL_PORT and --sql-port open a port of the embedded Postgres, and MYI_DATABASE_URL names a server of"
            f" your own, which has one: connect to {_external(settings, settings.database_url.get_secret_value())}"
        )
    for other in ("api_port", "dagster_port", "metrics_port"):
        if getattr(settings, other) == settings.sql_port:
            raise SettingsError(f"MYI_SQL_PORT: {settings.sql_port} is MYI_{other.upper()} too")
    return SqlPort(settings.sql_port, role_name(DEFAULT_DATABASE, Role.ANALYST), DEFAULT_DATABASE)


def address_of(port: SqlPort) -> Address:
    return Address(LOOPBACK, port.port, port.database, port.role)


def connection_url(settings: Settings, warehouse: Warehouse, *, role: Role = Role.ANALYST) -> str:
    """The role's postgresql:// URL; by the open SQL port where it leads the role, at the replica where it has one.
    Secret."""
    url = warehouse.replica_url(role) or warehouse.url(role)
    port = open_sql_port(settings.home) if warehouse.embedded else None
    if port is None or port.role != warehouse.role_name(role):
        return url
    return with_parameters(url, host=LOOPBACK, port=str(port.port))


def check_sql_port(settings: Settings) -> tuple[bool, str, str]:
    """Whether the embedded server's port is as it should be, what was found, and how to mend it."""
    port = open_sql_port(settings.home)
    if port is not None:
        return True, f"open: {address_of(port)}", ""
    if settings.sql_port is None:
        return True, "closed; `myi up --sql-port N` opens one for BI tools", ""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, settings.sql_port))
        except OSError:
            mend = "end what listens there, or set MYI_SQL_PORT to another"
            return False, f"blocked: {settings.sql_port} is in use on {LOOPBACK}, and not by MYI", mend
    return True, f"closed; `myi up` opens {settings.sql_port} on {LOOPBACK}", ""


def _external(settings: Settings, url: str) -> Address:
    own = settings.database_url_analyst
    given = parse_url(own.get_secret_value() if own is not None else url)
    database = given.get("dbname") or parse_url(url).get("dbname") or DEFAULT_DATABASE
    role = (given.get("user") if own is not None else None) or role_name(database, Role.ANALYST)
    return Address(given.get("host", "localhost"), int(given.get("port", "5432")), database, role)
