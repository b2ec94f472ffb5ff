"""Sets whose rows a transaction sees under row security, for the roles that serve people.

Only reads of the marts set it elsewhere, together with their first statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from myi_pipeline.postgres.connections import Connection


@contextmanager
def as_user(connection: Connection, user_id: int | None) -> Iterator[None]:
    """A transaction that sees only this user's rows, or nobody's if None. The user is set until the outermost
    transaction ends. Roles that may see all users' rows still do."""
    with connection.transaction():
        set_user(connection, user_id)
        yield


def set_user(connection: Connection, user_id: int | None) -> None:
    """Set the user for the rest of the open transaction."""
    connection.execute("select set_config('app.user_id', %s, true)", ("" if user_id is None else str(user_id),))
