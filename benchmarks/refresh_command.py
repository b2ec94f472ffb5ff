"""(h) The commands as a person waits for them: `myi refresh` of 50 plays, cold and warm, and `myi import` of a user.

    python -m benchmarks.refresh_command [--events 100000] [--rows 16000] [--rounds 3]

Each figure is seconds of the clock and of CPU, of the command and every process that it starts or that serves it; the
database's own are not in it. The reference is a Python that imports dbt and does nothing, run before each round: beside
other load the ratios hold and the seconds do not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.refresh_growth import NEW_PLAYS
from benchmarks.setups import Setup, arguments, make_archive, median, open_setup, print_machine, print_table
from myi_pipeline.marts.dbt_channels import MODULE
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.marts.parse_ahead import main as parse_ahead
from myi_pipeline.marts.warm_dbt import warm_dbt
from myi_pipeline.postgres.connections import Role

MYI = str(Path(sys.executable).with_name("myi"))
FIGURES = "Listening of"


@dataclass(frozen=True)
class Took:
    clock: float
    cpu: float
    # Until the first figures were printed.
    figures: float | None = None


def run(*command: str, environment: dict[str, str] | None = None) -> Took:
    """Of the command and all that it started and waited for."""
    before = os.times()
    started = time.perf_counter()
    figures = None
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if figures is None and FIGURES in line:
                figures = time.perf_counter() - started
    if child.returncode:
        raise SystemExit(f"{command[:3]} ended with {child.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(time.perf_counter() - started, cpu, figures)


def cpu_of_warm() -> float:
    found = [child for child in psutil.Process().children() if MODULE in child.cmdline()]
    return sum(sum(child.cpu_times()[:2]) for child in found)


def refreshes(setup: Setup, user: int, rounds: int, first: int) -> list[Took]:
    taken = []
    for number in range(rounds):
        with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute(NEW_PLAYS.encode(), {"user": user, "round": first + number})
        before = cpu_of_warm()
        took = run(MYI, "refresh")
        taken.append(Took(took.clock, took.cpu + cpu_of_warm() - before))
    return taken


def of_all(taken: Sequence[Took], figure: Callable[[Took], float]) -> float:
    return median([figure(took) for took in taken])


def main() -> None:
    given = arguments(__doc__, events=100_000, rows=16_000, rounds=3)
    print_machine()
    parse_ahead()
    importing_dbt = [run(sys.executable, "-c", "import dbt.cli.main") for _ in range(given.rounds)]
    taken: dict[str, list[Took]] = {}
    with open_setup(given.database_url) as setup:
        user = setup.add_user("ana")
        setup.load(make_archive(setup.folder, plays=given.events), "ana")
        with DbtProcess() as dbt:
            setup.refresh(dbt=dbt)
        setup.execute("vacuum analyze")
        taken["myi refresh, 50 plays, cold"] = refreshes(setup, user, given.rounds, 0)
        with warm_dbt(setup.settings.dbt_socket):
            refreshes(setup, user, 1, 50)
            taken["the same, warm"] = refreshes(setup, user, given.rounds, 100)
        taken["myi refresh of nothing"] = [run(MYI, "refresh") for _ in range(given.rounds)]
        archive = make_archive(setup.folder, plays=given.rows, seed=2, name="new")
        into_home = f"myi import of {given.rows:,} rows, home that is there"
        taken[into_home] = [run(MYI, "import", str(archive), "--user", "new", "--create")]
        new_home = setup.folder / "new-home"
        environment = {**os.environ, "MYI_HOME": str(new_home)}
        environment.pop("MYI_DATABASE_URL", None)
        taken[f"myi import of {given.rows:,} rows, new home"] = [
            run(MYI, "import", str(archive), "--user", "new", "--create", environment=environment)
        ]
    reference = of_all(importing_dbt, lambda took: took.cpu)
    rows: list[tuple[object, ...]] = [("importing dbt", of_all(importing_dbt, lambda t: t.clock), reference, 1.0, "")]
    for name, each in taken.items():
        cpu = of_all(each, lambda took: took.cpu)
        figures = [took.figures for took in each if took.figures is not None]
        shown = f"{median(figures):.1f}" if figures else ""
        rows.append((name, of_all(each, lambda took: took.clock), cpu, cpu / reference, shown))
    print_table(
        f"commands at {given.events:,} events of one user, median of {given.rounds} (imports: one run)",
        ("", "seconds", "CPU seconds", "CPU, importing dbt = 1", "first figures after"),
        rows,
    )


if __name__ == "__main__":
    main()
