"""The staging tables of one import: making and dropping them, interning and numbering what lies in them.

Not here: how records get in (staging_writer) and how they get on to raw.listening_events (chunks).
Invariant: a content or a row gets one number in raw, whichever reader brought it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg

from myi_pipeline.core.errors import BadInput
from myi_pipeline.warehouse.loading.conflicts import retry_conflicts
from myi_pipeline.warehouse.sql_files import load_sql, load_statements

Connection = psycopg.Connection[Any]

# raw.listening_events.occurrence is a smallint: more rows of one key than this are no listening history.
_MAX_OCCURRENCE = 32_767


# In one transaction: temporary tables lead from one to the next.
INTERN_CONTENTS = ("load/intern_contents", "load/alias_names")


class StagingTables:
    """The staging tables of one import, by name. They are shared by its readers and loaders, and by nobody else."""

    def __init__(self, import_id: int) -> None:
        self._prefix = f"load.import_{int(import_id)}"

    def sql(self, name: str) -> str:
        return load_sql(name).replace("{load}", self._prefix)

    def statements(self, name: str) -> list[str]:
        return [statement.replace("{load}", self._prefix) for statement in load_statements(name)]

    def create(self, connection: Connection) -> None:
        """Make them anew; what an attempt that died left behind goes."""
        with connection.transaction():
            self.drop(connection)
            for statement in self.statements("load/create_staging"):
                connection.execute(statement)

    def drop(self, connection: Connection) -> None:
        connection.execute(self.sql("load/drop_staging"))

    def intern(self, connection: Connection, *, batch_id: int) -> None:
        """Give every staged content and context its number in raw; call once, when all is staged.

        Contents go in one transaction of their own under one lock; a load that dies after it leaves names without
        plays, which a repetition finds again.
        """

        def run(*names: str) -> None:
            with connection.transaction():
                for statement in (statement for name in names for statement in self.statements(name)):
                    connection.execute(statement, {"batch_id": batch_id} if "%(" in statement else None)

        retry_conflicts(partial(run, "load/intern_contexts"))
        retry_conflicts(partial(run, *INTERN_CONTENTS, "load/number_contents"))

    def number_repeats(self, connection: Connection) -> None:
        """Number the rows that share their key; call once, when all is staged.

        Raises BadInput when more rows share one key than can be numbered.
        """
        connection.execute(f"create index on {self._prefix}_events using brin (row_id) with (pages_per_range = 16)")
        connection.execute(f"analyze {self._prefix}_events")
        for statement in self.statements("load/number_repeats"):
            connection.execute(statement)
        row = connection.execute(f"select max(occurrence) from {self._prefix}_repeated_events").fetchone()
        if row and row[0] is not None and row[0] > _MAX_OCCURRENCE:
            raise BadInput(
                f"the archive repeats one play {row[0] + 1:,} times: it is no listening history",
                rule=f"at most {_MAX_OCCURRENCE + 1:,} rows with one time, content and duration",
            )
