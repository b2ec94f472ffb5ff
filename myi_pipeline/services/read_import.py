"""One import as it stands in the database, for those who hold a warehouse and no connection."""

from __future__ import annotations

from contextlib import closing

from myi_pipeline.services.list_imports import ImportDetail, get_import
from myi_pipeline.warehouse.connections import Role, Warehouse


def read_import(warehouse: Warehouse, *, import_id: int) -> ImportDetail:
    """Raises BadInput when there is none."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi imports")) as connection:
        return get_import(connection, import_id=import_id)
