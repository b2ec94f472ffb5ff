"""Removing lines that name an erased user from log files; the rest of each file stays.

This covers all text files below MYI_HOME except those of the database, secrets and other users, and what Dagster
captured of runs in a bucket. Files are changed in place, because their writers keep them open.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from myi_pipeline.errors import Gone
from myi_pipeline.operations.redaction import Traces
from myi_pipeline.settings import Settings
from myi_pipeline.storage.object_store import Bucket
from myi_pipeline.storage.open_store import open_compute_logs

# Logs end so, turned ones with a number behind; what Dagster captures of a run, in .out and .err.
_LOGS = (".log", ".out", ".err", ".jsonl", ".txt")


def clear_logs(settings: Settings, traces: Traces, *, clean: set[str] | None = None) -> int:
    """Removes the lines; returns how many. Raises OSError and, for a bucket, Transient and Permanent.

    `clean` holds objects of the bucket, as they were when nothing was found in them: they are not fetched again.
    """
    cleared = sum(_clear(path, traces) for path in _log_files(settings))
    bucket = open_compute_logs(settings)
    return cleared if bucket is None else cleared + _clear_bucket(bucket, traces, set() if clean is None else clean)


def _clear_bucket(bucket: Bucket, traces: Traces, clean: set[str]) -> int:
    """Cleans each log object by way of a file. A run that is still going has none yet: it is waited for."""
    cleared = 0
    with tempfile.TemporaryDirectory(prefix="myi-logs-") as folder:
        for number, each in enumerate(bucket.listed("storage/")):
            if f"{each.key}:{each.identity}" in clean:
                continue
            path = Path(folder) / str(number)
            with suppress(Gone):
                bucket.fetch(each.key, path)
                found = _clear(path, traces)
                if found:
                    bucket.put(each.key, path)
                else:
                    clean.add(f"{each.key}:{each.identity}")
                cleared += found
            path.unlink(missing_ok=True)
    return cleared


def clear_folder(folder: Path) -> None:
    """Empty every log file in a folder, whatever is in it."""
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink() and _is_log(path):
            os.truncate(path, 0)


def _log_files(settings: Settings) -> Iterator[Path]:
    left_out = {
        settings.home / "postgres", settings.secrets_folder, settings.uploads_folder, settings.home / "artifacts",
        *(() if settings.artifacts_folder is None else (settings.artifacts_folder,)),
    }  # fmt: skip
    waiting = [settings.home]
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if path not in left_out:
                    waiting.append(path)
            elif entry.is_file(follow_symlinks=False) and _is_log(path):
                yield path


def _is_log(path: Path) -> bool:
    """`dbt.log`, `dbt.log.1`; by any ending, for Dagster's are of its making."""
    parts = path.name.split(".")
    while len(parts) > 1 and parts[-1].isdigit():
        parts.pop()
    return f".{parts[-1]}" in _LOGS


def _clear(path: Path, traces: Traces) -> int:
    """A line at a time, however long the file is. Killed in the middle, lines of others may stand there twice."""
    try:
        with path.open("rb") as lines:
            if not any(_names(line, traces) for line in lines):
                return 0
            cleared = 0
            lines.seek(0)
            # What is kept is never longer than what was read: the same file takes it.
            with path.open("r+b", buffering=0) as file:
                for line in lines:
                    if _names(line, traces):
                        cleared += 1
                    else:
                        file.write(line)
                file.truncate()
            return cleared
    except FileNotFoundError:
        return 0


def _names(line: bytes, traces: Traces) -> bool:
    return traces.are_in(line.decode("utf-8", "replace"))
