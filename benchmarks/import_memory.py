"""(b) Peak memory of `myi import` at 10 MB, 100 MB and 1 GB of unpacked archive.

    python -m benchmarks.import_memory [--largest-mb 1000]

Sampled ten times a second as proportional shares (PSS), since forked readers share most of their memory with the
parent: the importer with its readers; the child that tells Dagster at the end, which is most of Dagster itself; and the
largest sum of all of them at one time. The last column is the largest resident set of any single process, as the
operating system accounts it. The refresh is another process and is left out (--no-refresh).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.setups import arguments, make_archive, open_setup, print_machine, print_table

MB = 1_000_000
# A row of the newest vintage, unpacked.
BYTES_A_ROW = 650


@dataclass
class Peaks:
    """The largest of each figure, in MB."""

    importer: float = 0.0
    reporter: float = 0.0
    together: float = 0.0
    one_process: float = 0.0

    def sample(self, process: psutil.Process) -> None:
        importer = reporter = 0.0
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                command = " ".join(each.cmdline())
                share = each.memory_full_info().pss / MB
                if "report-imports" in command:
                    reporter += share
                elif "postgres" not in command:
                    importer += share
        self.importer = max(self.importer, importer)
        self.reporter = max(self.reporter, reporter)
        self.together = max(self.together, importer + reporter)


def measure(command: list[str]) -> tuple[float, Peaks]:
    """Seconds, and the peaks."""
    started = time.perf_counter()
    peaks = Peaks()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    process = psutil.Process(child.pid)
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        with contextlib.suppress(psutil.Error):
            peaks.sample(process)
        time.sleep(0.1)
    assert child.stderr is not None
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(child.stderr.read().decode())
    peaks.one_process = usage.ru_maxrss * 1024 / MB
    return time.perf_counter() - started, peaks


def main() -> None:
    given = arguments(__doc__, largest_mb=1_000)
    print_machine()
    sizes = [size for size in (10, 100, 1_000) if size <= given.largest_mb]
    rows = []
    with open_setup(given.database_url) as setup:
        smallest = 0.0
        for size in sizes:
            archive = make_archive(setup.folder, plays=size * MB // BYTES_A_ROW, name=f"m{size}")
            command = [
                str(Path(sys.executable).with_name("myi")), "import", str(archive),
                "--user", f"m{size}", "--create", "--no-refresh", "--json",
            ]  # fmt: skip
            seconds, peaks = measure(command)
            smallest = smallest or peaks.importer
            rows.append(
                (
                    f"{size} MB", seconds, peaks.importer, peaks.importer / smallest,
                    peaks.reporter, peaks.together, peaks.one_process,
                )
            )  # fmt: skip
    print_table(
        "peak memory of myi import, MB (the largest process at most 150, flat within 10 %)",
        ("archive", "seconds", "importer", "ratio", "reporter", "together", "largest process"),
        rows,
    )


if __name__ == "__main__":
    main()
