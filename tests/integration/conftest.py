"""What several folders share: the warehouse that is filled once, and an API on it (see reads/conftest.py).

A fixture that two folders import is made once for each of them; one that stands above both is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from myi_pipeline.postgres.connections import Role
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from myi_pipeline.web.app import create_app
from tests.conftest import free_port
from tests.integration.api.conftest import serving
from tests.integration.reads.conftest import Api, Filled, fill


@pytest.fixture(scope="session")
def filled(server_for: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    server = server_for("embedded")
    name = f"{server.template.database}_reads"
    folder = tmp_path_factory.mktemp("reads")
    try:
        warehouse = server.clone(name)
        role_urls = {f"database_url_{role}": SecretStr(warehouse.url(Role(role))) for role in ROLES_WITH_A_URL}
        settings = Settings.model_validate(
            {
                "home": folder / "home",
                "database_url": warehouse.url(Role.OWNER),
                "dagster_database_url": warehouse.dagster_url(),
                "time_zone": "UTC",
                "api_port": free_port(),
                # What is tested here is not how often anybody may ask.
                "api_requests_per_minute": 1_000_000,
                "api_sensitive_requests_per_minute": 1_000_000,
                **role_urls,
            }
        )
        yield fill(warehouse, settings, folder)
    finally:
        server.drop(name)


@pytest.fixture(scope="session")
def api(filled: Filled) -> Iterator[Api]:
    url = f"http://127.0.0.1:{filled.settings.api_port}"
    with (
        serving(create_app(filled.settings, filled.warehouse), filled.settings.api_port),
        httpx.Client(base_url=url, verify=False, trust_env=False, timeout=20) as client,
    ):
        yield Api(client, filled.tokens)
