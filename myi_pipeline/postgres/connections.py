"""How MYI reaches its database: one URL for each role, connections and pools.

A connection is authenticated as the requested role itself (never by SET ROLE), and URLs with passwords do not appear in
reprs or errors.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, LiteralString, TypeVar
from urllib.parse import quote, urlencode

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout

from myi_pipeline.errors import BadInput, Permanent, Transient

# For a person who is waiting, a server that does not accept a connection within this time is down.
CONNECT_TIMEOUT_S = 10


# Options of a URL, and the environment variables in which libpq, and so psql and dbt, accept them.
_LIBPQ_VARIABLES: Mapping[str, str] = {
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "gssencmode": "PGGSSENCMODE",
    "hostaddr": "PGHOSTADDR",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "options": "PGOPTIONS",
    "passfile": "PGPASSFILE",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "service": "PGSERVICE",
    "sslcert": "PGSSLCERT",
    "sslcrl": "PGSSLCRL",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
# Errors for which trying again is pointless: a login, a name or an option is wrong, or TLS was refused. libpq gives no
# SQLSTATE while connecting.
_NOT_MENDED_BY_WAITING = re.compile(
    "|".join(
        (
            "authentication failed", "no password supplied", r'(?:role|database|user) "[^"]*" does not exist',
            "permission denied for database", "not permitted to log in", r"no pg_hba\.conf entry",
            r"pg_hba\.conf rejects", "not currently accepting connections",
            "Name or service not known", "nodename nor servname", "No address associated with", "Name does not resolve",
            "could not parse network address", "does not support SSL", "certificate verify failed",
            "root certificate file", "does not match host name", "could not (?:load|read) (?:private key|certificate)",
            r"invalid (?:\w+ )?value", "invalid connection option", "invalid port number", "invalid integer value",
            "unrecognized configuration parameter", "definition of service", "weak sslmode", "channel binding",
            "authentication method requirement", "received invalid response to (?:SSL|GSSAPI) negotiation",
            "expected authentication request from server",
        )
    )
)  # fmt: skip
_REFUSES_TLS = re.compile("does not support SSL")


Connection = psycopg.Connection[Any]


class Pool(ConnectionPool[Connection]):
    """ConnectionPool, but its errors say why no connection could be made."""

    def getconn(self, timeout: float | None = None) -> Connection:
        """Raises the error of the server or libpq if no connection can be made, and PoolTimeout if all are in use."""
        try:
            return super().getconn(timeout)
        except PoolTimeout:
            if self.get_stats().get("connections_errors", 0):
                psycopg.connect(self.conninfo, **self.kwargs).close()  # type: ignore[arg-type]
            raise


# More than the threads that use any pool; limits the damage of a bug.
_LARGEST_POOL = 32


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
    """The parts of a URL, for tools that need them separately (dbt's profile, psql's environment)."""

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
    """The inverse of parse_url. Sockets and lists of hosts are put into the query, which every driver understands."""
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
    """The URL with changed parameters, named as in libpq (user, password, dbname, ...)."""
    return compose_url(parse_url(url) | changes)


def with_tls(url: str) -> str:
    """The URL with TLS required, unless the server is on this machine or the URL specifies sslmode or a service."""
    given = parse_url(url)
    if "sslmode" in given or "service" in given or _is_on_this_machine(given):
        return url
    return compose_url(given | {"sslmode": "verify-full" if given.get("sslrootcert") else "require"})


def _is_on_this_machine(given: Mapping[str, str]) -> bool:
    def is_local(host: str) -> bool:
        if not host or host.startswith(("/", "@")) or host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False

    return all(is_local(host.strip()) for host in (given.get("hostaddr") or given.get("host", "")).split(","))


def is_mended_by_waiting(error: psycopg.Error) -> bool:
    """Whether the same connection may succeed later."""
    return _NOT_MENDED_BY_WAITING.search(str(error)) is None


def unreachable(place: str, error: psycopg.OperationalError) -> Transient | Permanent:
    """The error for a failed connection: Transient if trying again may help, else Permanent."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    said = f"{place} cannot be reached: {first}"
    if is_mended_by_waiting(error):
        return Transient(said)
    if _REFUSES_TLS.search(str(error)):
        return Permanent(
            f"{said}. MYI requires TLS unless the server is on this machine: enable it on the server or, if you trust"
            " the network in between, add sslmode=disable to the URL, as in postgresql://.../myi?sslmode=disable"
        )
    return Permanent(said)


def libpq_options(parts: ConnectionParts) -> dict[str, str]:
    """The options of a connection as environment variables of libpq, for a program that does not get the URL."""
    return {_LIBPQ_VARIABLES[name]: value for name, value in parts.options.items() if name in _LIBPQ_VARIABLES}


def url_parts(url: str) -> ConnectionParts:
    """The parts of a URL. Secret."""
    given = parse_url(url)
    return ConnectionParts(
        host=given.pop("host", "localhost"),
        port=int(given.pop("port", "5432")),
        user=given.pop("user", ""),
        database=given.pop("dbname", ""),
        password=given.pop("password", ""),
        options=given,
    )


class Warehouse:
    """The URLs of one warehouse, one for each role. It holds no connections."""

    def __init__(
        self,
        *,
        urls: Mapping[Role, str],
        dagster_url: str,
        embedded: bool = False,
        replicas: Mapping[Role, str] | None = None,
        polls_url: str | None = None,
        dagster_storage_url: str | None = None,
    ) -> None:
        """`urls` and `dagster_url` are those of the server itself, `replicas` those of read replicas, and `polls_url`
        and `dagster_storage_url` those of a pooler, for polls and for Dagster's storage.
        """
        self._urls = {Role(role): url for role, url in urls.items()}
        self._dagster_url = dagster_url
        self._dagster_storage_url = dagster_storage_url or dagster_url
        self._replicas = {Role(role): url for role, url in (replicas or {}).items()}
        self._polls_url = polls_url
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

    def pool(
        self,
        role: Role,
        *,
        application_name: str,
        configure: Callable[[Connection], None] | None = None,
        timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> Pool:
        """Connections as this role in autocommit mode, for the threads of one process. Use it as a context manager.

        Connections are checked before they are handed out. If none is available within `timeout_s`, `connection()`
        raises the error of the attempt, or PoolTimeout, which is also a psycopg.OperationalError. `configure` prepares
        a new connection.
        """
        return Pool(
            self.url(role),
            min_size=0,
            max_size=_LARGEST_POOL,
            open=False,
            name=application_name,
            timeout=timeout_s,
            reconnect_timeout=CONNECT_TIMEOUT_S,
            configure=configure,
            check=Pool.check_connection,
            kwargs={
                "autocommit": True,
                "application_name": application_name,
                "connect_timeout": CONNECT_TIMEOUT_S,
            },
        )

    def url(self, role: Role) -> str:
        """postgresql:// URL with the password. Secret."""
        return self._urls[Role(role)]

    def replica_url(self, role: Role) -> str | None:
        """The URL of a replica for this role, whose data may be some seconds old; None without one. Secret."""
        return self._replicas.get(Role(role))

    def for_polls(self) -> Warehouse:
        """The warehouse for polls: the role that loads plays connects through the pooler, if there is one."""
        if self._polls_url is None:
            return self
        urls = self._urls | {Role.INGEST: self._polls_url}
        return Warehouse(urls=urls, dagster_url=self._dagster_url, embedded=self.embedded)

    def parts(self, role: Role) -> ConnectionParts:
        """The parts of the URL. Secret."""
        return url_parts(self.url(role))

    def role_name(self, role: Role) -> str:
        """The role's name on the server."""
        return parse_url(self.url(role)).get("user", "")

    def dagster_url(self) -> str:
        """postgresql+psycopg2:// URL of Dagster's own database. Secret."""
        return compose_url(parse_url(self._dagster_url), scheme="postgresql+psycopg2")

    def dagster_storage_url(self) -> str:
        """The URL for Dagster itself: that of the pooler, if there is one. Secret."""
        return compose_url(parse_url(self._dagster_storage_url), scheme="postgresql+psycopg2")

    def names(self) -> dict[str, str]:
        """Values for the migrations' placeholders: the names of the roles and of the database."""
        return {role.value: self.role_name(role) for role in Role} | {"database": self.database}


def identifier(name: str) -> sql.Identifier:
    """A quoted name. Raises BadInput for one that Postgres would truncate."""
    if not name or len(name.encode()) > 63 or "\0" in name:
        raise BadInput("a database or role name must have 1 to 63 bytes", place=name[:63], rule="at most 63 bytes")
    return sql.Identifier(name)


def statement(text: LiteralString, *names: str) -> sql.Composed:
    """A statement with quoted identifiers in place of {}, in order."""
    return sql.SQL(text).format(*(identifier(name) for name in names))


_TRIES = 6

Result = TypeVar("Result")


def retry_conflicts(transaction: Callable[[], Result], *, sleep: Callable[[float], None] = time.sleep) -> Result:
    """Run a transaction; repeat it after a deadlock, serialization failure or lock timeout. Raises Transient."""
    for attempt in range(_TRIES):
        try:
            return transaction()
        except (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable) as error:
            if attempt == _TRIES - 1:
                raise Transient("the warehouse is too busy to load data; try again later") from error
            sleep(min(5.0, 0.1 * 2**attempt) * (0.5 + random.random()))
    raise AssertionError("unreachable")
