"""By which URL each role reaches the database: the server's own, those that were given, replicas and poolers."""

from __future__ import annotations

from pydantic import SecretStr

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres import roles
from myi_pipeline.postgres.connections import Role, Warehouse, compose_url, parse_url, with_parameters, with_tls
from myi_pipeline.postgres.role_passwords import RolePasswords
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings

DEFAULT_DATABASE = "myi"
# Whose URLs may lead to a replica.
_READERS = (Role.API, Role.MONITOR, Role.ANALYST)


def with_database(url: str) -> str:
    """The URL with the usual database where it names none."""
    given = parse_url(url)
    return url if given.get("dbname") else compose_url(given | {"dbname": DEFAULT_DATABASE})


def own_urls(settings: Settings, url: str) -> dict[str, str]:
    """The URLs that came from outside, by login. With all of them, MYI_DATABASE_URL is the owner's."""
    urls: dict[str, str] = {}
    for role, given in settings.role_urls().items():
        login = parse_url(given)
        if role in _READERS:
            # The replica has the role that its primary has.
            if login.get("user"):
                urls[role] = _same_server(url, user=login["user"], password=login.get("password", ""))
                if not _leads_elsewhere(given, url):
                    urls[role] = with_tls(given)
        elif login.get("user"):
            urls[role] = with_tls(given)
        else:
            raise BadInput(f"MYI_DATABASE_URL_{role.upper()} names no user", rule="postgresql://user:password@host/myi")
    if settings.dagster_database_url is not None:
        given = settings.dagster_database_url.get_secret_value()
        if parse_url(given).get("user"):
            urls[roles.DAGSTER] = with_tls(given)
    if set(ROLES_WITH_A_URL) <= set(urls) and roles.DAGSTER in urls:
        urls[Role.OWNER.value] = url
    return urls


def _same_server(url: str, *, user: str, password: str) -> str:
    place = parse_url(url)
    place.pop("password", None)
    return compose_url(place | {"user": user} | ({"password": password} if password else {}))


def _leads_elsewhere(given: str, url: str) -> bool:
    """Whether a URL leads to another server than MYI_DATABASE_URL."""

    def server(text: str) -> tuple[str, str]:
        found = parse_url(text)
        return found.get("hostaddr") or found.get("host", ""), found.get("port", "5432")

    return server(given) != server(url)


def with_ways(settings: Settings, warehouse: Warehouse, url: str) -> Warehouse:
    """The same warehouse, with the replicas and poolers of the settings.

    A URL of one of them may leave out user, password and database: they are those of the server itself.
    """

    def by(given: SecretStr | str, own: str) -> str:
        text = with_tls(given if isinstance(given, str) else given.get_secret_value())
        login = {name: value for name, value in parse_url(own).items() if name in ("user", "password", "dbname")}
        return compose_url(login | parse_url(text))

    replicas = {
        role: by(given, warehouse.url(role))
        for role, given in ((role, settings.role_urls().get(role.value)) for role in _READERS)
        if given is not None and _leads_elsewhere(given, url)
    }
    polls, dagster = settings.polls_database_url, settings.dagster_database_url
    return Warehouse(
        urls={role: warehouse.url(role) for role in Role},
        dagster_url=warehouse.dagster_url(),
        embedded=warehouse.embedded,
        replicas=replicas,
        polls_url=None if polls is None else by(polls, warehouse.url(Role.INGEST)),
        dagster_storage_url=None if dagster is None else by(dagster, warehouse.dagster_url()),
    )


def warehouse_of(url: str, own: dict[str, str], kept: RolePasswords, *, embedded: bool) -> Warehouse:
    """The warehouse by these URLs, and by the passwords that are kept of the other logins."""
    database = parse_url(url)["dbname"]

    def login_url(login: str) -> str:
        if login in own:
            return own[login]
        held = database if login != roles.DAGSTER else roles.role_name(database, roles.DAGSTER)
        name = roles.role_name(database, login)
        return with_parameters(url, user=name, password=kept.passwords[login], dbname=held)

    urls = {role: login_url(role) for role in Role}
    return Warehouse(urls=urls, dagster_url=login_url(roles.DAGSTER), embedded=embedded)
