"""(e) Bytes an event takes in raw, with its index.

    python -m benchmarks.event_bytes [--rows 1000000]

Five listeners' archives, as imported: no vacuum, no reindex, partitions included.
"""

from __future__ import annotations

from benchmarks.setups import arguments, make_archive, open_setup, print_machine, print_table

SIZES = """
select
    count(*)::bigint,
    sum(pg_relation_size(inhrelid))::float8,
    sum(pg_indexes_size(inhrelid))::float8,
    sum(pg_total_relation_size(inhrelid))::float8
from pg_inherits where inhparent = 'raw.listening_events'::regclass
"""


def main() -> None:
    given = arguments(__doc__, rows=1_000_000, listeners=5)
    print_machine()
    with open_setup(given.database_url) as setup:
        for number in range(given.listeners):
            archive = make_archive(setup.folder, plays=given.rows // given.listeners, seed=number, name=f"u{number}")
            setup.add_user(f"u{number}")
            setup.load(archive, f"u{number}")
        events = int(str(setup.execute("select count(*) from raw.listening_events")[0][0]))
        partitions, heap, index, total = (float(str(value)) for value in setup.execute(SIZES)[0])
    print_table(
        f"{events:,} events of {given.listeners} listeners in {partitions:.0f} partitions",
        ("part", "bytes an event", "share"),
        [
            ("table", heap / events, heap / total),
            ("unique key", index / events, index / total),
            ("all (at most 140)", total / events, 1.0),
        ],
    )


if __name__ == "__main__":
    main()
