"""Marts of this folder's own: those of tests/dbt, on another database, so that both may live in one test process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from myi_pipeline.services.dbt_runner import ChildDbt, dbt_environment
from tests.dbt.conftest import Marts
from tests.dbt.conftest import marts as marts


@pytest.fixture(scope="session")
def marts_of_session(server_for: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marts]:
    server = server_for("embedded")
    name = f"{server.template.database}_properties"
    home = tmp_path_factory.mktemp("dbt")
    try:
        warehouse = server.clone(name)
        environment = dbt_environment(warehouse, target=home / "target", logs=home / "logs")
        with ChildDbt() as dbt:
            yield Marts(warehouse, dbt, environment)
    finally:
        server.drop(name)
