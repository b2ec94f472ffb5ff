"""Dagster's code server, as `dagster ARGUMENTS` starts it, and before that the daemon: `python -m
myi_pipeline.defs.code_server FILE WORKSPACE_FILE LOG_LEVEL LOG_FORMAT ARGUMENTS`. FILE is a Fork's.

Dagster, SQLAlchemy and gRPC are 100 MB, which they have once: the daemon is a fork of this process, as this one is of
`myi up`, on Linux. Each is started alone when it has ended.
"""

from __future__ import annotations

import gc
import runpy
import socket
import sys

from myi_pipeline.operations.child_processes import fork_sibling


def main(file: str, workspace: str, log_level: str, log_format: str, *arguments: str) -> None:
    # Not at the top: runs are processes that import the module by which this one began. Both import them later on.
    import dagster._grpc.server  # noqa: F401
    import dagster_postgres  # noqa: F401
    import psycopg2.extras  # noqa: F401
    import upath  # noqa: F401

    from myi_pipeline.defs import daemon

    gc.collect()
    # A collection writes to every object that it looks at, and a page that is written to is no longer shared.
    gc.freeze()
    if fork_sibling(socket.socket(fileno=int(file)), name="dagster-daemon"):
        daemon.main(workspace, log_level, log_format)
        return
    sys.argv = ["dagster", *arguments]
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
