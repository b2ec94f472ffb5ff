"""The keys of all users, in sign-up order: a hundred thousand of them cost one plain scan."""

from __future__ import annotations

from contextlib import closing

from myi_pipeline.warehouse.connections import Role, Warehouse


def list_user_keys(warehouse: Warehouse) -> list[str]:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi users")) as connection:
        rows = connection.execute("select user_key from app.users order by user_id").fetchall()
    return [row[0] for row in rows]
