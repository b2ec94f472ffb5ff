"""(g) Bytes a play: what each relation takes on disk, with its indexes.

    python -m benchmarks.disk [--plays 1000000] [--users 5]

Each user has an equal part of the plays, an extended history over eleven years or more. `in all` is the database as
Postgres counts it, with the catalogue of some 200 partitions that is there before the first play. Ends with 1 when that
is more than 450 bytes a play.
"""

from __future__ import annotations

import sys
import time

from benchmarks.refresh_growth import CLONE
from benchmarks.setups import Setup, arguments, console, make_archive, open_setup, print_machine, print_table
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.marts.refresh import RefreshResult
from myi_pipeline.postgres.connections import Role

MAY_BYTES = 450
# A partitioned table is counted as one.
SIZES = """
select
    relation.relnamespace::regnamespace || '.' || coalesce(parent.relname, relation.relname) as name,
    sum(greatest(relation.reltuples, 0))::bigint as row_count,
    sum(pg_table_size(relation.oid))::bigint as table_bytes,
    sum(pg_indexes_size(relation.oid))::bigint as index_bytes
from pg_class as relation
left join pg_inherits as link on link.inhrelid = relation.oid
left join pg_class as parent on parent.oid = link.inhparent
where
    relation.relkind = 'r'
    and relation.relnamespace::regnamespace::text = any(array['raw', 'app', 'ops', 'intermediate', 'marts'])
group by 1
order by sum(pg_total_relation_size(relation.oid)) desc, 1
"""
SHOWN_FROM = 1.0


def fill(setup: Setup, plays: int, users: int) -> RefreshResult:
    """The users with their plays, and the marts in one rebuild."""
    first = setup.add_user("ana")
    setup.load(make_archive(setup.folder, plays=plays // users), "ana")
    for number in range(1, users):
        other = setup.add_user(f"other{number}")
        with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute(CLONE.encode(), {"from": first, "to": other, "shift": number})
    setup.execute("vacuum analyze")
    with DbtProcess() as dbt:
        result = setup.refresh(dbt=dbt)
    setup.execute("vacuum analyze")
    return result


def sizes(setup: Setup, plays: int) -> float:
    """Prints the relations; the bytes of a play in all."""
    found = [(str(name), *(int(str(each)) for each in figures)) for name, *figures in setup.execute(SIZES)]
    rows = [
        (name, f"{count:,}", table / plays, index / plays, (table + index) / plays)
        for name, count, table, index in found
    ]
    ((size,),) = setup.execute("select pg_database_size(current_database())")
    in_all, of_relations = int(str(size)) / plays, sum(row[-1] for row in rows)
    small = [row for row in rows if row[-1] < SHOWN_FROM]
    rows = [row for row in rows if row[-1] >= SHOWN_FROM]
    rows += [
        (f"{len(small)} smaller ones", "", *(sum(row[n] for row in small) for n in (2, 3, 4))),
        ("Postgres' own catalogue", "", "", "", in_all - of_relations),
        ("in all", "", "", "", in_all),
    ]
    print_table(f"{plays:,} plays", ("bytes a play", "rows", "table", "indexes", "both"), rows)
    return in_all


def main() -> int:
    given = arguments(__doc__, plays=1_000_000, users=5)
    print_machine()
    with open_setup(given.database_url) as setup:
        began = time.perf_counter()
        result = fill(setup, given.plays, given.users)
        ((plays,),) = setup.execute("select count(*) from raw.listening_events")
        console.print(f"loaded and built after {time.perf_counter() - began:.0f} s")
        in_all = sizes(setup, int(str(plays)))
        longest = sorted(result.models, key=lambda model: -model.seconds)
        print_table(
            "seconds of a rebuild, two models at a time", ("model", "s"),
            [(model.name, model.seconds) for model in longest[:12]] + [("all", sum(each.seconds for each in longest))],
        )  # fmt: skip
    if in_all > MAY_BYTES:
        console.print(f"missed: {in_all:.0f} bytes a play, at most {MAY_BYTES}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
