"""Tables of an export as Parquet, by pyarrow, which few need: it comes with the extra `parquet`."""

from __future__ import annotations

import itertools
from typing import Any, Final, Protocol

from psycopg import sql

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres.connections import Connection

_ROWS_A_GROUP: Final = 20_000
_names = itertools.count(1)


class Sink(Protocol):
    def write(self, data: bytes) -> int: ...


class _File:
    """What pyarrow wants of a file that is only written to."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink, self._at = sink, 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._sink.write(piece)
        self._at += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True


def need_pyarrow() -> None:
    """Raises Permanent without it, before anything is written."""
    try:
        import pyarrow.parquet  # type: ignore[import-untyped] # noqa: F401
    except ImportError:
        raise Permanent("--parquet needs the package pyarrow: install 'myi-pipeline[parquet]'") from None


def write_parquet(connection: Connection, query: sql.Composed, sink: Sink) -> int:
    """A table, some rows at a time; returns how many there were. The connection is in a transaction."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types: dict[int, Any] = {
        16: pa.bool_(), 20: pa.int64(), 21: pa.int16(), 23: pa.int32(), 700: pa.float32(), 701: pa.float64(),
        1082: pa.date32(), 1184: pa.timestamp("us", tz="UTC"), 1009: pa.list_(pa.string()),
    }  # fmt: skip
    rows = 0
    with connection.cursor(name=f"parquet_{next(_names)}") as cursor:
        cursor.itersize = _ROWS_A_GROUP
        cursor.execute(query)
        described = cursor.description or ()
        columns = [(each.name, types.get(each.type_code, pa.string()), each.type_code in types) for each in described]
        schema = pa.schema([(name, kind) for name, kind, _ in columns])
        with pq.ParquetWriter(pa.PythonFile(_File(sink), mode="w"), schema) as writer:
            while batch := cursor.fetchmany(_ROWS_A_GROUP):
                arrays = [
                    pa.array(values if is_typed else [None if v is None else str(v) for v in values], kind)
                    for (_, kind, is_typed), values in zip(columns, zip(*batch, strict=True), strict=True)
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                rows += len(batch)
    return rows
