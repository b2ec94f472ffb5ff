"""(d, f) From an archive to queryable marts, by stage, and a full rebuild per million events.

    python -m benchmarks.end_to_end [--rows 200000]

dbt is a child process whose start is part of the first refresh, as it is for a person. The reference is a bare scan of
the same events (count of distinct contents by user and day), run beside it.
"""

from __future__ import annotations

from benchmarks.setups import arguments, make_archive, median, open_setup, print_machine, print_table, stopwatch
from myi_pipeline.marts.dbt_runner import DbtProcess

SCAN = """
select count(*) from (
    select user_id, played_at::date as day, count(*), count(distinct content_id), sum(ms_played)
    from raw.listening_events group by 1, 2
) as days
"""

MARK_ALL = """
insert into ops.changed_days (user_id, utc_day)
select distinct user_id, (played_at at time zone 'UTC')::date from raw.listening_events
"""


def main() -> None:
    given = arguments(__doc__, rows=200_000)
    print_machine()
    with open_setup(given.database_url) as setup:
        archive = make_archive(setup.folder, plays=given.rows)
        setup.add_user("ana")
        result = setup.load(archive, "ana")
        scans: list[float] = []
        for _ in range(3):
            with stopwatch(scans):
                setup.execute(SCAN)
        scan = median(scans)
        with DbtProcess() as dbt:
            first = setup.refresh(dbt=dbt)
            setup.execute(MARK_ALL)
            rebuild = setup.refresh(dbt=dbt)
        stages = [(f"import: {name}", seconds) for name, seconds in result.seconds.items()]
        stages += [(f"refresh: {name}", seconds) for name, seconds in (first.seconds or {}).items() if name != "total"]
        total = sum(seconds for _, seconds in stages)
        print_table(
            f"(f) {result.accounting.loaded:,} rows from archive to marts",
            ("stage", "seconds", "share", "ratio to a bare scan"),
            [(name, seconds, seconds / total, seconds / scan) for name, seconds in stages]
            + [("all", total, 1.0, total / scan)],
        )
        millions = result.accounting.loaded / 1e6
        building = {
            "first build (from nothing)": first.seconds or {},
            "rebuild (every day marked changed)": rebuild.seconds or {},
        }
        print_table(
            "(d) full builds, per million events",
            ("", "dbt and SQL, seconds", "SQL of models, seconds", "ratio of SQL to a bare scan"),
            [
                (name, seconds.get("build", 0.0) / millions, sql / millions, sql / scan)
                for (name, seconds), sql in zip(
                    building.items(),
                    (sum(node.seconds for node in run.models) for run in (first, rebuild)),
                    strict=True,
                )
            ],
        )
        slowest = sorted(rebuild.models, key=lambda node: -node.seconds)[:8]
        print_table("slowest models of the rebuild", ("model", "seconds"), [(n.name, n.seconds) for n in slowest])


if __name__ == "__main__":
    main()
