"""No module imports out of its room; the contracts stand in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.architecture.house import ROOT


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_every_room_imports_only_what_it_may() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_forbidden_import_is_noticed(tmp_path: Path) -> None:
    for room in ("", "low", "high"):
        (tmp_path / "house" / room).mkdir(parents=True, exist_ok=True)
        (tmp_path / "house" / room / "__init__.py").touch()
    (tmp_path / "house" / "low" / "a.py").write_text("def f():\n    import house.high\n")
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_package = house\n"
        "[importlinter:contract:1]\nname = x\ntype = forbidden\n"
        "source_modules = house.low\nforbidden_modules = house.high\n"
    )
    done = _lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "house.low.a -> house.high" in done.stdout
