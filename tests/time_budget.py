"""As many tests as fit into a time: `pytest -p tests.time_budget --begin-within-s 600 -m long`, a plugin.

A test that has begun is finished, and what was left out is skipped by name. With `--in-turns` tests of different kinds
take turns, so that a short time sees some of each; without, they keep their order and share their set-ups.
"""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import chain, zip_longest

import pytest

_began = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--begin-within-s", type=float, default=None, help="begin no test after so many seconds")
    parser.addoption("--in-turns", action="store_true", help="one test of each kind, then the second of each")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--in-turns"):
        return
    kinds: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        kinds[f"{item.path}::{getattr(item, 'originalname', item.name)}"].append(item)
    turns = chain.from_iterable(zip_longest(*kinds.values()))
    items[:] = [item for item in turns if item is not None]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    limit = item.config.getoption("--begin-within-s")
    if limit is not None and time.monotonic() - _began > limit:
        pytest.skip(f"not begun: {limit:.0f} s are over")
