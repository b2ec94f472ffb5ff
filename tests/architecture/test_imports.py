"""No module imports what its package must not; the contracts are in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.repository import PACKAGE, ROOT


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_every_package_imports_only_what_it_may() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


# By the names of the contracts: the packages that they allow what they forbid to all others.
ALLOWED = {
    "only commands and tests start the simulator": {"simulator", "cli"},
    "only defs, definitions and the guard of Dagster's pages import dagster": {"defs", "definitions"},
    "only web imports fastapi": {"web", "cli"},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_no_package_is_left_out_of_a_contract_for_all_but_some(name: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (held,) = (set(each["source_modules"]) for each in contracts if each["name"] == name)
    packages = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {f"myi_pipeline.{package}" for package in packages - {"__init__"} - ALLOWED[name]} - held == set()


def test_a_forbidden_import_is_noticed(tmp_path: Path) -> None:
    for package in ("", "low", "high"):
        (tmp_path / "shop" / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / package / "__init__.py").touch()
    (tmp_path / "shop" / "low" / "a.py").write_text("def f():\n    import shop.high\n")
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_package = shop\n"
        "[importlinter:contract:1]\nname = x\ntype = forbidden\n"
        "source_modules = shop.low\nforbidden_modules = shop.high\n"
    )
    done = _lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "shop.low.a -> shop.high" in done.stdout
