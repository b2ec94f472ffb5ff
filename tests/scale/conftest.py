"""How large the installation on several hosts is that `make scale` breaks, and what hands its tasks on."""

from __future__ import annotations

import pytest

from tests.scale.servers import RABBITMQ, RabbitMq, Redis

TOLD = pytest.StashKey[list[str]]()
BROKERS = ("rabbitmq", "redis")
SIZES = {"archives": 20, "plays": 25_000, "listeners": 1_000}


def pytest_addoption(parser: pytest.Parser) -> None:
    for what, usual in SIZES.items():
        parser.addoption(f"--scale-{what}", type=int, default=usual, help=f"of tests/scale ({usual:,})")
    parser.addoption("--scale-broker", choices=BROKERS, default=BROKERS[0], help="of tests/scale")


@pytest.fixture(scope="module")
def sizes(request: pytest.FixtureRequest) -> dict[str, int]:
    """Without the options, which pytest knows only when this folder is named, the usual ones."""
    return {what: request.config.getoption(f"scale_{what}", usual) for what, usual in SIZES.items()}


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest) -> type[RabbitMq] | type[Redis]:
    """RabbitMQ where it is installed, if nothing else was asked for."""
    asked = request.config.getoption("scale_broker", BROKERS[0])
    return RabbitMq if asked == "rabbitmq" and RABBITMQ.exists() else Redis


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are printed when all tests have ended."""
    return request.config.stash.setdefault(TOLD, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(TOLD, []):
        terminalreporter.write_line(line)
