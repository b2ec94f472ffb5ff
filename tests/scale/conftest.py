"""How large the installation on several hosts is that `make scale` breaks."""

from __future__ import annotations

import pytest

TOLD = pytest.StashKey[list[str]]()
SIZES = {"archives": 20, "plays": 25_000, "listeners": 1_000}


def pytest_addoption(parser: pytest.Parser) -> None:
    for what, usual in SIZES.items():
        parser.addoption(f"--scale-{what}", type=int, default=usual, help=f"of tests/scale ({usual:,})")


@pytest.fixture(scope="module")
def sizes(request: pytest.FixtureRequest) -> dict[str, int]:
    """Without the options, which pytest knows only when this folder is named, the usual ones."""
    return {what: request.config.getoption(f"scale_{what}", usual) for what, usual in SIZES.items()}


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are printed when all tests have ended."""
    return request.config.stash.setdefault(TOLD, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(TOLD, []):
        terminalreporter.write_line(line)
