"""What holds for every module."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT, modules, relative

_LEFT_UNDONE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_SOURCES = ("myi_pipeline", "dbt_project", "tests", "benchmarks", "docs")
_SUFFIXES = (".py", ".sql", ".yml", ".yaml", ".md", ".toml")


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_a_module_says_what_it_is(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not source.strip() or ast.get_docstring(ast.parse(source))


def test_nothing_is_left_undone() -> None:
    this = Path(__file__).name
    found = [
        relative(path)
        for folder in _SOURCES
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in _SUFFIXES and path.name != this and _LEFT_UNDONE.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_constraints_name_one_version_of_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line) for line in lines)
    pinned = {_normal(line.partition("==")[0]) for line in lines}
    assert [name for name in wanted if _normal(re.split(r"[\[<>=!~ ]", name)[0]) not in pinned] == []


def test_the_version_stands_in_the_package_the_project_and_the_changelog() -> None:
    from myi_pipeline import __version__

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
