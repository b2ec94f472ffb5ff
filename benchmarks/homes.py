"""A home of its own for whole commands, each a process as a person starts it; on Linux with a limit on its memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from myi_pipeline.postgres.embedded.places import data_area

ZONE = "Europe/Berlin"
_COMMAND = [sys.executable, "-c", "from myi_pipeline.cli import main; main()"]


class MemoryGroup:
    """A control group of the kernel (version 1 or 2) whose processes may take so much memory together."""

    def __init__(self, megabytes: int) -> None:
        root = Path("/sys/fs/cgroup")
        self._is_v2 = (root / "cgroup.controllers").exists()
        self.folder = (root if self._is_v2 else root / "memory") / f"myi-bench-{os.getpid()}"
        self.folder.mkdir()
        limit = "memory.max" if self._is_v2 else "memory.limit_in_bytes"
        (self.folder / limit).write_text(str(megabytes * 2**20))

    def enter(self) -> None:
        """Puts the calling process into the group; its children follow."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak_mb(self) -> float:
        """The most that was taken at once, with the page cache, which gives way at the limit."""
        name = "memory.peak" if self._is_v2 else "memory.max_usage_in_bytes"
        return int((self.folder / name).read_text()) / 2**20

    def killed(self) -> int:
        """How many processes the kernel has killed for want of memory."""
        name = "memory.events" if self._is_v2 else "memory.oom_control"
        lines = dict(line.split() for line in (self.folder / name).read_text().splitlines())
        return int(lines.get("oom_kill", 0))

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.folder.rmdir()


class Home:
    """A new, empty MYI_HOME and the commands in it."""

    def __init__(self, folder: Path, group: MemoryGroup | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="home-", dir=folder))
        # As root the server runs as another account, which must be able to pass through.
        self.folder.chmod(0o711)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
        self._environment = {**inherited, "MYI_HOME": str(self.folder / "home"), "MYI_TIME_ZONE": ZONE}
        self._group = group

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """A command that goes on."""
        return subprocess.Popen(
            [*_COMMAND, *map(str, arguments)],
            env={**self._environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=None if self._group is None else self._group.enter,
        )

    def run(self, *arguments: str | Path, timeout_s: float = 600) -> tuple[float, str]:
        """Seconds of a whole command, and what it printed. Ends the benchmark when the command fails."""
        began = time.perf_counter()
        with self.start(*arguments) as command:
            try:
                printed, errors = command.communicate(timeout=timeout_s)
            except BaseException:
                command.kill()
                raise
        seconds = time.perf_counter() - began
        if command.returncode:
            killed = self._group.killed() if self._group else 0
            raise SystemExit(
                f"myi {' '.join(map(str, arguments))} ended with {command.returncode}"
                f" ({killed} processes killed for want of memory):\n{printed[-2000:]}\n{errors[-2000:]}"
            )
        return seconds, printed

    def seconds(self, *arguments: str | Path, timeout_s: float = 600) -> float:
        return self.run(*arguments, timeout_s=timeout_s)[0]

    def remove(self) -> None:
        if (area := data_area(self.folder / "home")) is not None:
            shutil.rmtree(area, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def new_home(folder: Path, group: MemoryGroup | None = None) -> Iterator[Home]:
    home = Home(folder, group)
    try:
        yield home
    finally:
        home.remove()
