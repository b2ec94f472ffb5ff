"""Parse the dbt project for a wheel, or for a clone whose first import should not wait for it.

`python -m myi_pipeline.marts.parse_ahead` writes into the project's own folder, which git ignores and the wheel
contains.
"""

from __future__ import annotations

import shutil

from myi_pipeline.marts.dbt_runner import dbt_manifest
from myi_pipeline.marts.parsed_project import SHIPPED, find_parsed, project_folder


def main() -> None:
    shipped = project_folder() / SHIPPED
    found = find_parsed(shipped)
    if found is None:
        # Left by other code, or half finished.
        shutil.rmtree(shipped, ignore_errors=True)
        dbt_manifest(shipped)
        (shipped / "lock").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
