"""Lines that name somebody go out of log files, and out of nothing else."""

from __future__ import annotations

from pathlib import Path

from myi_pipeline.operations.log_traces import clear_logs
from myi_pipeline.operations.redaction import Traces
from myi_pipeline.settings import Settings

LINES = "".join(f"line {number} of {'ana' if number % 3 == 0 else 'ben'}\n" for number in range(20_000))


def test_lines_go_out_of_logs_and_other_files_stay_as_they_are(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, time_zone="UTC")
    logs = ("dbt/logs/dbt.log", "dbt/logs/dbt.log.1", "dagster/storage/a run/compute_logs/step.out", "demo.log")
    others = ("postgres/log/postgres-1.log", "secrets/key.txt", "uploads/ben/ana.log", "artifacts/2/list.txt", "a.json")
    for name in (*logs, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(LINES)
    (tmp_path / "outside").mkdir()
    (tmp_path / "linked.log").symlink_to(tmp_path / "a.json")

    traces = Traces("ana")
    assert clear_logs(settings, traces) == 6_667 * len(logs)
    for name in logs:
        assert (tmp_path / name).read_text() == "".join(line for line in LINES.splitlines(True) if "ana" not in line)
    for name in others:
        assert (tmp_path / name).read_text() == LINES
    assert clear_logs(settings, traces) == 0
