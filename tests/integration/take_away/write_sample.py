"""Writes a sample of the present format of exports: `python -m tests.integration.take_away.write_sample FILE`.

The sample of each format version is kept in tests/golden and never written again: a test takes all of them in.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.take_away.export import write_export
from myi_pipeline.settings import Settings
from tests.integration.archives.setups import Setup
from tests.integration.take_away.filled import fill_everything


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as home, open_warehouse(Settings(home=Path(home) / "myi")) as warehouse:
        setup = Setup(warehouse)
        setup.add_user()
        fill_everything(setup, Path(home))
        with target.open("wb") as out:
            write_export(
                warehouse, out, user_key="ana", with_marts=False, now=lambda: datetime(2026, 11, 29, tzinfo=UTC)
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
