"""settings is the only reader of the environment: nobody else takes a decision from a variable."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.repository import modules, relative

# Handing the whole environment on to a child is no reading; neither is setting a variable for a library.
ALLOWED = {
    "myi_pipeline/settings/environment.py": "the reader",
    "myi_pipeline/settings/operations.py": "the zone of the machine, which is no setting of ours",
    "myi_pipeline/isolation.py": "drops variables of others",
    "myi_pipeline/defs/marts.py": "puts back what it replaced for dbt",
}


def _is_environ(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb")) or (
        isinstance(node, ast.Name) and node.id == "environ"
    )


def readings(source: str) -> Iterator[int]:
    """The lines on which a variable of the environment is read."""
    # Parsing all modules takes five seconds, and hardly any has one of these names.
    if "environ" not in source and "getenv" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr="getenv") | ast.Name(id="getenv"):
                yield node.lineno
            case ast.Attribute(value=value, attr="get" | "setdefault" | "items" | "keys" | "values") if _is_environ(
                value
            ):
                yield node.lineno
            case ast.Subscript(value=value, ctx=ast.Load()) if _is_environ(value):
                yield node.lineno
            case ast.Compare(comparators=comparators) if any(map(_is_environ, comparators)):
                yield node.lineno


def test_no_module_but_settings_reads_the_environment() -> None:
    found = [
        f"{relative(path)}:{line}"
        for path in modules()
        if relative(path) not in ALLOWED
        for line in readings(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_each_way_of_reading_is_noticed() -> None:
    ways = ("os.environ.get('A')", "os.environ['A']", "os.getenv('A')", "'A' in os.environ", "environ['A']")
    assert all(list(readings(f"import os\nx = {way}\n")) for way in ways)
    assert not list(readings("import os\nos.environ['A'] = 'b'\nf(env=os.environ | {})\n"))
