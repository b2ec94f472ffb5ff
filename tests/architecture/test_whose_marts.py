"""Marts are read for whoever asks, and for nobody else, save in the one module that looks up an agreement first."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture.repository import PACKAGE

WEB = PACKAGE / "web"
# Who asks, as routes call the one whom a sign-in or a token recognised; `user_id` alone in pictures.py, whose callers
# hand on the same.
ASKING = {"person.user_id", "visitor.user_id", "holder.user_id", "user_id"}
AGREED = WEB / "shown" / "agreements.py"


def readers(source: str) -> list[str]:
    """Whose marts each call of `pools.read` reads, as it is written there."""
    found = []
    for node in ast.walk(ast.parse(source)):
        is_read = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "read"
        if is_read and ast.unparse(node.func.value).endswith("pools"):  # type: ignore[attr-defined]
            found.append(ast.unparse(node.args[0]))  # type: ignore[attr-defined]
    return found


def test_marts_are_read_for_whoever_asks_alone() -> None:
    sources = {path: readers(path.read_text(encoding="utf-8")) for path in sorted(WEB.rglob("*.py")) if path != AGREED}
    assert sum(map(len, sources.values())) > 15
    others = {str(path.relative_to(PACKAGE)): set(found) - ASKING for path, found in sources.items()}
    assert {path: found for path, found in others.items() if found} == {}


def test_the_one_exception_reads_after_it_looked_up_the_agreement() -> None:
    assert set(readers(AGREED.read_text(encoding="utf-8"))) == {"viewer.user_id", "other.user_id"}
    importing = [path.name for path in WEB.rglob("*.py") if "shown.agreements" in path.read_text(encoding="utf-8")]
    assert importing == ["household.py"]


def test_a_read_for_somebody_else_is_noticed(tmp_path: Path) -> None:
    assert readers("async def f(site, other): return await site.pools.read(other, work)") == ["other"]
    assert readers("site.pools.read(person.user_id, work)") == ["person.user_id"]
