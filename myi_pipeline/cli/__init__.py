"""The command line: `myi`. A capability has a module here, or several; app.py lists them.

With --json, standard output is exactly one JSON document. Exit codes: 0 done, 1 some input was refused or failed, 2
wrong usage or settings. Neither dagster nor dbt is imported in this process (7 s and 185 MB): whatever needs them runs
in a child process.
"""

from collections.abc import Sequence

from myi_pipeline.isolation import isolate_process, restart_without_python_variables

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Always ends with SystemExit."""
    if arguments is None:
        restart_without_python_variables()
    isolate_process()
    # Only then: the commands import half of the package.
    from myi_pipeline.cli import app

    app.main(arguments)
