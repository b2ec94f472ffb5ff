"""The staging tables of one import: creating and dropping them, interning and numbering what is in them.

archives/loading.py fills them and moves their rows to raw.listening_events. Each content gets one id in raw, whichever
of the parallel readers staged it, and so does each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql, load_statements

# raw.listening_events.occurrence is a smallint, and no listening history has this many rows with the same key.
_MAX_OCCURRENCE = 32_767


# To be run in one transaction, because each uses temporary tables of the one before.
INTERN_CONTENTS = ("catalogue/load/intern_contents", "catalogue/load/alias_names")


class StagingTables:
    """The staging tables of one import. Only its readers and loaders use them."""

    def __init__(self, import_id: int) -> None:
        self._prefix = f"load.import_{int(import_id)}"

    def sql(self, name: str) -> str:
        return load_sql(name).replace("{load}", self._prefix)

    def statements(self, name: str) -> list[str]:
        return [statement.replace("{load}", self._prefix) for statement in load_statements(name)]

    def create(self, connection: Connection) -> None:
        """Create the tables, dropping any that a failed attempt left behind."""
        with connection.transaction():
            self.drop(connection)
            for statement in self.statements("catalogue/load/create_staging"):
                connection.execute(statement)

    def drop(self, connection: Connection) -> None:
        connection.execute(self.sql("catalogue/load/drop_staging"))

    def intern(self, connection: Connection, *, batch_id: int) -> None:
        """Give every staged content and context its id in raw. Call once, when everything is staged.

        Contents are interned in their own transaction under one lock. If the load fails afterwards, names without plays
        remain, and are found again when it is repeated.
        """

        def run(*names: str) -> None:
            with connection.transaction():
                for statement in (statement for name in names for statement in self.statements(name)):
                    connection.execute(statement, {"batch_id": batch_id} if "%(" in statement else None)

        retry_conflicts(partial(run, "catalogue/load/intern_contexts"))
        retry_conflicts(partial(run, *INTERN_CONTENTS, "catalogue/load/number_contents"))

    def number_repeats(self, connection: Connection, *, export_nos: Sequence[int] = ()) -> None:
        """Number the rows that share their key. Call once, when everything is staged. `export_nos`: for each file, the
        number of the export that it belongs to; empty if all are of one export.

        Raises BadInput if more rows share one key than can be numbered.
        """
        connection.execute(f"create index on {self._prefix}_events using brin (row_id) with (pages_per_range = 16)")
        connection.execute(f"analyze {self._prefix}_events")
        for statement in self.statements("catalogue/load/number_repeats"):
            connection.execute(statement, {"export_nos": list(export_nos)} if "%(" in statement else None)
        row = connection.execute(f"select max(occurrence) from {self._prefix}_repeated_events").fetchone()
        if row and row[0] is not None and row[0] > _MAX_OCCURRENCE:
            raise BadInput(
                f"the archive repeats one play {row[0] + 1:,} times: it is not a listening history",
                rule=f"at most {_MAX_OCCURRENCE + 1:,} rows with the same time, content and duration",
            )
