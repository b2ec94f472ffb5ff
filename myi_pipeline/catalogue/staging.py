"""The staging tables of one import: creating and dropping them, interning and numbering what is in them.

archives/loading.py fills them and moves their rows on to raw.listening_events. Each content and each row gets one
number in raw, whichever reader brought it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql, load_statements

# raw.listening_events.occurrence is a smallint: more rows of one key than this are no listening history.
_MAX_OCCURRENCE = 32_767


# In one transaction: temporary tables lead from one to the next.
INTERN_CONTENTS = ("catalogue/load/intern_contents", "catalogue/load/alias_names")


class StagingTables:
    """The staging tables of one import, by name. Only its readers and loaders share them."""

    def __init__(self, import_id: int) -> None:
        self._prefix = f"load.import_{int(import_id)}"

    def sql(self, name: str) -> str:
        return load_sql(name).replace("{load}", self._prefix)

    def statements(self, name: str) -> list[str]:
        return [statement.replace("{load}", self._prefix) for statement in load_statements(name)]

    def create(self, connection: Connection) -> None:
        """Create them; what an attempt that died left behind is dropped."""
        with connection.transaction():
            self.drop(connection)
            for statement in self.statements("catalogue/load/create_staging"):
                connection.execute(statement)

    def drop(self, connection: Connection) -> None:
        connection.execute(self.sql("catalogue/load/drop_staging"))

    def intern(self, connection: Connection, *, batch_id: int) -> None:
        """Give every staged content and context its number in raw; call once, when all is staged.

        Contents go in one transaction of their own under one lock; a load that dies after it leaves names without
        plays, which a repetition finds again.
        """

        def run(*names: str) -> None:
            with connection.transaction():
                for statement in (statement for name in names for statement in self.statements(name)):
                    connection.execute(statement, {"batch_id": batch_id} if "%(" in statement else None)

        retry_conflicts(partial(run, "catalogue/load/intern_contexts"))
        retry_conflicts(partial(run, *INTERN_CONTENTS, "catalogue/load/number_contents"))

    def number_repeats(self, connection: Connection, *, export_nos: Sequence[int] = ()) -> None:
        """Number the rows that share their key; call once, when all is staged. `export_nos`: the export of each file,
        by its number; all are of one unless they are told.

        Raises BadInput when more rows share one key than can be numbered.
        """
        connection.execute(f"create index on {self._prefix}_events using brin (row_id) with (pages_per_range = 16)")
        connection.execute(f"analyze {self._prefix}_events")
        for statement in self.statements("catalogue/load/number_repeats"):
            connection.execute(statement, {"export_nos": list(export_nos)} if "%(" in statement else None)
        row = connection.execute(f"select max(occurrence) from {self._prefix}_repeated_events").fetchone()
        if row and row[0] is not None and row[0] > _MAX_OCCURRENCE:
            raise BadInput(
                f"the archive repeats one play {row[0] + 1:,} times: it is not a listening history",
                rule=f"at most {_MAX_OCCURRENCE + 1:,} rows with one time, content and duration",
            )
