"""(a) Importing 200,000 rows, against a bare COPY of the same typed rows into the same table, in turns in one run.

    python -m benchmarks.import_speed [--rows 200000] [--rounds 5]

"load of parsed rows" starts from records in memory and ends with committed events: staging, interning, numbering,
inserting. "whole import" starts from the ZIP. "Last.fm's table" is the same plays as one CSV file, which one process
reads. The bare COPY writes the rows that the import made, for another user: same partitions, same index, same ledger
trigger, one transaction. Each is the median of the rounds.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from benchmarks.setups import Setup, arguments, make_archive, median, open_setup, print_machine, print_table, stopwatch
from myi_pipeline.archives import import_log
from myi_pipeline.archives.files import open_history
from myi_pipeline.archives.loading import StagingWriter, load_staged, loading_connection
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.catalogue.plays import PlayRecord, Source
from myi_pipeline.catalogue.staging import StagingTables
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.scrobbles import Scrobble, write_scrobbles

COLUMNS = (
    "played_at, offline_timestamp, content_id, ms_played, context_id, batch_id, source_id, occurrence, shuffle,"
    " skipped, offline, incognito"
)
BATCH = 5_000


def bare_copy(setup: Setup, rows: list[tuple[object, ...]], user_id: int) -> None:
    statement = f"copy raw.listening_events (user_id, {COLUMNS}) from stdin".encode()
    with setup.warehouse.connect(Role.OWNER) as connection, connection.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row((user_id, *row))


def load_parsed(setup: Setup, records: list[PlayRecord], user_id: int) -> int:
    with closing(loading_connection(setup.warehouse)) as connection:
        run = import_log.begin(
            connection,
            user_id=user_id,
            sha256=bytes(32),
            contents=(),
            is_confirmed=True,
            archive_name="records in memory",
            kind="extended_history",
            bytes_total=0,
            correlation_id=None,
        )
        import_log.begin_file(connection, run, file_no=0, name="records in memory", kind="extended_audio")
        tables = StagingTables(run.import_id)
        tables.create(connection)
        with StagingWriter(connection, tables) as writer:
            batches = [
                writer.stage(records[first : first + BATCH], source=Source.EXTENDED_HISTORY, file_no=0, first_row=first)
                for first in range(0, len(records), BATCH)
            ]
        tables.intern(connection, batch_id=run.import_id)
        tables.number_repeats(connection)
        done = load_staged(setup.warehouse, run=run, tables=tables, batches={0: batches}, on_chunk=lambda _: None)
        tables.drop(connection)
    return sum(accounting.loaded for accounting in done.values())


def table_of(setup: Setup, records: list[PlayRecord]) -> Path:
    """The plays of which title and artist are known, as lastfm.ghan.nl would write them."""
    named = (
        Scrobble(each.played_at, each.content.title, each.content.creator, each.content.collection, 0, "")
        for each in records
        if each.content is not None and each.content.title is not None and each.content.creator is not None
    )
    return write_scrobbles(setup.folder / "lastfm.csv", named, form="lastfm_table").path


def main() -> None:
    given = arguments(__doc__, rows=200_000, rounds=5)
    print_machine()
    with open_setup(given.database_url) as setup:
        archive = make_archive(setup.folder, plays=given.rows)
        with open_history(
            archive, limits=archive_limits(setup.settings), hash_account=account_hasher(setup.settings)
        ) as opened:
            records = [item for file in opened.files for item in opened.read(file) if isinstance(item, PlayRecord)]
        # A first import makes partitions, contents and contexts, so that every round finds what the COPY finds.
        first = setup.add_user("first")
        setup.load(archive, "first")
        rows = [tuple(row) for row in setup.execute(f"select {COLUMNS} from raw.listening_events order by played_at")]
        setup.execute(f"delete from raw.listening_events where user_id = {first}")
        copied: list[float] = []
        loaded: list[float] = []
        imported: list[float] = []
        scrobbles = table_of(setup, records)
        from_table: list[float] = []
        for number in range(given.rounds):
            users = [setup.add_user(f"{kind}{number}") for kind in ("copy", "load", "import", "table")]
            with stopwatch(copied):
                bare_copy(setup, rows, users[0])
            with stopwatch(loaded):
                count = load_parsed(setup, records, users[1])
            with stopwatch(imported):
                result = setup.load(archive, f"import{number}")
            with stopwatch(from_table):
                told = setup.load(scrobbles, f"table{number}").accounting.read
            assert count == result.accounting.loaded == len(rows)
            for user in users:
                setup.execute(f"delete from raw.listening_events where user_id = {user}")
            setup.execute("vacuum raw.listening_events")
        reference = median(copied)
        print_table(
            f"{len(rows):,} rows, median of {given.rounds} rounds",
            ("", "seconds", "rows/s", "speed, COPY = 1", "aim"),
            [
                ("bare COPY", reference, f"{len(rows) / reference:,.0f}", 1.0, ""),
                (
                    "load of parsed rows",
                    median(loaded),
                    f"{len(rows) / median(loaded):,.0f}",
                    reference / median(loaded),
                    ">= 0.5",
                ),
                (
                    "whole import",
                    median(imported),
                    f"{len(rows) / median(imported):,.0f}",
                    reference / median(imported),
                    ">= 0.25",
                ),
                ("Last.fm's table", median(from_table), f"{told / median(from_table):,.0f}", "", ">= 50,000 rows/s"),
            ],
        )
        print_table(
            "the last import by stage", ("stage", "seconds"), [(stage, s) for stage, s in result.seconds.items()]
        )


if __name__ == "__main__":
    main()
