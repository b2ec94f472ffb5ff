"""The door for people: `myi`, one module per group of commands.

Belongs here: arguments, progress, tables, exit codes. Not here: work (a command calls one service).
Invariants: with --json standard output is exactly one JSON document; exit 0 done, 1 some input was refused or failed,
2 wrong usage or settings; and neither dagster nor dbt is imported in this process (7 s and 185 MB): what needs them
runs in a child.
"""

from myi_pipeline.cli.app import main

__all__ = ["main"]
