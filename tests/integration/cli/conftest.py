"""`myi` as a function: a command line in, its exit code and both streams out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from myi_pipeline.cli import import_archives
from myi_pipeline.cli.app import run
from myi_pipeline.cli.dagster_processes import Report


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def myi(
    environment_for_tests: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Ran]:
    """Runs `myi ARGUMENTS` in this process on this test's own database."""
    for name in [name for name in os.environ if name.startswith("MYI_")]:
        monkeypatch.delenv(name)
    for name, value in environment_for_tests.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out telling Dagster, which costs each import 7 s of another process; test_marts.py does tell it."""

    @contextmanager
    def said(*_: object) -> Iterator[Report]:
        yield Report(succeeded=True)

    monkeypatch.setattr(import_archives, "reporting_to_dagster", said)
