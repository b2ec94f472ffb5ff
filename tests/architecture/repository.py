"""The repository as text: what the tests of this folder look through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "myi_pipeline"
DOCS = ROOT / "docs"


def modules() -> list[Path]:
    """Every Python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def marts() -> list[Path]:
    """Every mart's model."""
    return sorted((ROOT / "dbt_project" / "models" / "marts").rglob("*.sql"))


def pages() -> Iterator[Path]:
    """Every page that people read."""
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    yield from sorted(DOCS.rglob("*.md"))
