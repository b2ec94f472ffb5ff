"""What holds for every module."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.repository import PACKAGE, ROOT, modules, relative

_LEFT_UNDONE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_SOURCES = ("myi_pipeline", "dbt_project", "tests", "benchmarks", "docs")
_SQL = re.compile(r"\s*(select|insert into|update|delete from|with|create|alter) ")
_MOST_SQL_LINES = 5
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


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_sql_of_more_than_five_lines_lies_in_a_file_of_its_own(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value.decode(errors="replace") if isinstance(node.value, bytes) else node.value
        else:
            continue
        # Pieces of a text lie on a line each, and the quotes of a whole one on lines of their own.
        spanned = (node.end_lineno or 0) - node.lineno + 1 - 2 * text.startswith("\n")
        lines = max(len(text.strip().splitlines()), spanned)
        if _SQL.match(text) and lines > _MOST_SQL_LINES:
            found.append(f"{relative(path)}:{node.lineno}")
    assert found == []


def test_whose_rows_are_seen_is_set_in_one_place() -> None:
    setting = {relative(path) for path in modules() if "set_config('app.user_id'" in path.read_text(encoding="utf-8")}
    assert setting == {
        "myi_pipeline/postgres/user_scope.py",
        # Of the API's reads, in one round trip with the first; of a whole export, with its other settings.
        "myi_pipeline/web/reads/marts.py",
        "myi_pipeline/operations/take_away/mart_rows.py",
    }


def test_every_reason_for_quarantine_is_listed() -> None:
    listed = ast.get_docstring(ast.parse((PACKAGE / "catalogue" / "row_rules.py").read_text(encoding="utf-8")))
    raised = {
        str(argument.value)
        for path in modules()
        if re.search("BadRow|BadScrobble", source := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"BadRow", "BadScrobble"}
        for argument in node.args
        if isinstance(argument, ast.Constant) and re.fullmatch(r"[a-z_]+", str(argument.value))
    }
    assert len(raised) > 10
    assert sorted(code for code in raised if f"`{code}`" not in str(listed)) == []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
