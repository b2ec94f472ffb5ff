"""Poolers and replicas: who goes there, on this host and on another."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from myi_pipeline.errors import Permanent
from myi_pipeline.operations import database_routes, parts
from myi_pipeline.operations.database_roles import with_roles
from myi_pipeline.operations.database_urls import own_urls, warehouse_of, with_ways
from myi_pipeline.postgres import roles
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url, with_tls
from myi_pipeline.postgres.role_passwords import RolePasswords
from myi_pipeline.settings import Settings, SettingsError, load_settings

PRIMARY = "postgresql://admin:secret@db:5432/myi"


def opened(settings: Settings) -> Warehouse:
    """The warehouse of the settings, whose server gave every role a password."""
    assert settings.database_url is not None
    url = with_tls(settings.database_url.get_secret_value())
    own = own_urls(settings, url)
    kept = RolePasswords("", {login: f"of {login}" for login in roles.LOGINS})
    return with_ways(settings, warehouse_of(url, own, kept, embedded=False), url)


def places(warehouse: Warehouse) -> dict[str, str]:
    """Host, port, user and password of every way."""
    urls = {role.value: warehouse.url(role) for role in Role}
    urls |= {f"{role} reads": warehouse.replica_url(role) or "" for role in Role}
    urls |= {"polls": warehouse.for_polls().url(Role.INGEST), "storage": warehouse.dagster_storage_url()}
    return {name: repr(sorted(parse_url(url).items())) if url else "" for name, url in urls.items()}


def test_a_worker_goes_by_the_poolers_and_replicas_of_the_host_that_told_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "require_keys", lambda *_: None)
    here = {
        "MYI_HOME": str(tmp_path / "here"),
        "MYI_DATABASE_URL": PRIMARY,
        "MYI_DATABASE_URL_API": "postgresql://replica:5432",
        "MYI_DAGSTER_DATABASE_URL": "postgresql://pooler:6432",
        "MYI_POLLS_DATABASE_URL": "postgresql://pooler:6432",
    }
    warehouse = opened(load_settings(here))
    given = parts.variables_for_a_worker(load_settings(here), warehouse)
    there = opened(load_settings(given | {"MYI_HOME": str(tmp_path / "there")}))
    assert "@replica:5432/" in given["MYI_DATABASE_URL_API"]
    assert "@pooler:6432/" in given["MYI_DAGSTER_DATABASE_URL"]
    assert places(there) == places(warehouse)


@pytest.mark.parametrize(
    ("theirs", "wrong"),
    [
        ({"system": 1, "timeline": None, "follows": "00000002"}, None),
        ({"system": 1, "timeline": "00000003", "follows": "00000003"}, None),
        ({"system": 2, "timeline": None, "follows": "00000002"}, "of another server"),
        ({"system": 1, "timeline": None, "follows": "00000001"}, "follows timeline 00000001"),
    ],
)
def test_the_doctor_tells_a_replica_of_another_server(theirs: dict[str, object], wrong: str | None) -> None:
    ours = {"system": 1, "timeline": "00000002", "follows": "00000002"}
    found = database_routes._whose(ours, theirs)
    assert found is None if wrong is None else wrong in (found or "")


@pytest.mark.parametrize("login", ["", "dagster:secret@"])
def test_the_doctor_looks_at_a_pooler_of_dagster_whether_or_not_its_url_names_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    looked_at: list[tuple[str, str]] = []

    def pooler(name: str, url: str) -> database_routes.RouteFinding:
        looked_at.append((name, parse_url(url)["host"]))
        return database_routes.RouteFinding(name, True, "")

    monkeypatch.setattr(database_routes, "_pooler", pooler)
    given = {"MYI_HOME": str(tmp_path), "MYI_DATABASE_URL": PRIMARY}
    storage = {"MYI_DAGSTER_DATABASE_URL": f"postgresql://{login}pooler:6432/myi_dagster"}
    assert len(list(database_routes.look_at_routes(opened(load_settings(given | storage)), lag_limit_s=30))) == 1
    assert looked_at == [("Dagster's storage", "pooler")]
    beside = {"MYI_DAGSTER_DATABASE_URL": f"postgresql://{login}db/myi_dagster"}
    assert list(database_routes.look_at_routes(opened(load_settings(given | beside)), lag_limit_s=30)) == []


def test_a_role_that_may_make_no_roles_is_told_which_url_needs_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "administrator", lambda _: nullcontext())
    monkeypatch.setattr(roles, "can_create_roles", lambda _: False)
    given = {
        "MYI_HOME": str(tmp_path),
        "MYI_DATABASE_URL": PRIMARY,
        "MYI_DATABASE_URL_API": "postgresql://replica:5432",
        "MYI_DAGSTER_DATABASE_URL": "postgresql://pooler:6432",
        "MYI_DATABASE_URL_DBT": "postgresql://dbt:secret@db:5432/myi",
    }
    with pytest.raises(Permanent) as refused:
        with_roles(load_settings(given), PRIMARY, repair=False, make_roles=True, embedded=False)
    told = str(refused.value)
    assert "MYI_DATABASE_URL_API (with a user)" in told
    assert "MYI_DAGSTER_DATABASE_URL (with a user)" in told
    assert "MYI_DATABASE_URL_INGEST, " in told
    assert "MYI_DATABASE_URL_DBT" not in told


def test_a_pooler_of_dagster_without_a_user_needs_the_database() -> None:
    with pytest.raises(SettingsError, match="MYI_DAGSTER_DATABASE_URL: needs MYI_DATABASE_URL"):
        load_settings({"MYI_DAGSTER_DATABASE_URL": "postgresql://pooler:6432"})
