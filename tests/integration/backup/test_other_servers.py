"""A backup restored elsewhere: from the embedded server to an external one, under another name, and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from myi_pipeline.errors import BadInput, Permanent
from myi_pipeline.operations.backup.make import MadeBackup
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres import roles
from myi_pipeline.postgres.connections import Role, Warehouse, statement, with_parameters
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from tests.conftest import LIKELY_EXTERNAL_URL
from tests.integration.backup.conftest import PLAYS, Installation, ask
from tests.integration.backup.rights import rights

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

COUNTS = "select (select count(*) from app.users), (select count(*) from raw.listening_events)"


@pytest.fixture
def external() -> Iterator[str]:
    """The URL of a database that does not exist yet, on an external server."""
    url = os.environ.get("MYI_TEST_DATABASE_URL", LIKELY_EXTERNAL_URL)
    # A name that has to be quoted.
    name = f"Kept-{os.getpid()}"
    try:
        admin = psycopg.connect(url, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        pytest.skip("no external Postgres answers: set MYI_TEST_DATABASE_URL to test on one")
    with admin:
        try:
            yield with_parameters(url, dbname=name)
        finally:
            for database in (name, f"{name}_dagster", f"{name}_restoring", f"{name}_restoring_dagster"):
                admin.execute(statement("drop database if exists {} with (force)", database))
            for login in (*roles.LOGINS, "maker"):
                admin.execute(statement("drop role if exists {}", roles.role_name(name, login)))


def by_a_maker_of_roles(url: str) -> str:
    """The same database, for a role that is no superuser: it may make roles and databases."""
    name = f"{psycopg.conninfo.conninfo_to_dict(url)['dbname']}_maker"
    with psycopg.connect(with_parameters(url, dbname="postgres"), autocommit=True) as admin:
        admin.execute(statement("create role {} login createrole createdb password 'made-for-a-test'", name))
    return with_parameters(url, user=name, password="made-for-a-test")


def test_from_embedded_to_external_under_another_name_and_back(
    installation: Installation, backup: MadeBackup, external: str, new_home: Callable[[str], Path]
) -> None:
    with open_warehouse(installation.settings) as warehouse:
        before = rights(warehouse)
    maker = SecretStr(by_a_maker_of_roles(external))
    away = installation.elsewhere(new_home("away"), database_url=maker)
    with pytest.raises(Permanent, match="no roles for"):
        away.restore(backup.name)
    away.restore(backup.name, make_roles=True)
    with open_warehouse(away.settings) as warehouse:
        assert warehouse.database.startswith("Kept-")
        assert ask(warehouse, COUNTS) == [(2, PLAYS)]
        assert rights(warehouse) == before
        one_user = "set app.user_id = '1'; select count(*) from marts.fct_plays where user_id <> 1"
        assert _last(warehouse, one_user) == 0
    again = away.back_up()
    with pytest.raises(BadInput, match="is not empty"):
        away.restore(again.name)

    back = installation.elsewhere(new_home("back"))
    back.restore(again.name)
    with open_warehouse(back.settings) as warehouse:
        assert ask(warehouse, COUNTS) == [(2, PLAYS)]
        assert rights(warehouse) == before


def _last(warehouse: Warehouse, query: str) -> object:
    with warehouse.connect(Role.API, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    return row[0] if row else None


def test_where_every_role_has_a_url_an_empty_database_is_filled_and_a_full_one_refused(
    installation: Installation, backup: MadeBackup, external: str, new_home: Callable[[str], Path]
) -> None:
    first = installation.elsewhere(new_home("first"), database_url=SecretStr(external))
    with open_warehouse(first.settings, make_roles=True) as warehouse:
        urls = {f"database_url_{role}": warehouse.url(Role(role)) for role in ROLES_WITH_A_URL}
        given = {"database_url": warehouse.url(Role.OWNER), "dagster_database_url": warehouse.dagster_url(), **urls}
    settings = Settings.model_validate({"home": new_home("given"), "time_zone": "UTC", **given})
    given_installation = Installation(settings, installation.store)
    given_installation.restore(backup.name)
    assert given_installation.sql(COUNTS) == [(2, PLAYS)]
    with pytest.raises(BadInput, match="let its administrator make an empty database"):
        given_installation.restore(backup.name, replace=True)
    assert given_installation.sql(COUNTS) == [(2, PLAYS)]
