"""All playlists as one ZIP: the memory that it takes is that of its largest list, and a limit is kept."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, cast

import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.playlists.playlist_files import export_all
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry, PlaylistHead

NOW = datetime(2024, 3, 9, 21, 14, 7, tzinfo=UTC)
ENTRIES = [
    PlaylistEntry(track=ListedTrack(uri=f"spotify:track:{n:022d}", title=f"Song {n}", artists=(f"Artist {n % 40}",)))
    for n in range(300)
]


class Pipe(io.RawIOBase):
    """Standard output of a pipeline: it cannot be sought in, and keeps nothing."""

    def __init__(self) -> None:
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        length = len(memoryview(data))  # type: ignore[arg-type]
        self.bytes += length
        return length


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        yield connection


def user_with(connection: Connection, key: str, lists: int) -> int:
    user_id = add_user(connection, user_key=key, time_zone="UTC").user_id
    for number in range(lists):
        store_playlist(
            connection, user_id=user_id, account_id=None, provider="file",
            head=PlaylistHead(playlist_id=f"{number}.m3u8", name=f"List {number}"), entries=ENTRIES, now=NOW,
        )  # fmt: skip
    return user_id


def peak_of(connection: Connection, user_id: int) -> int:
    tracemalloc.start()
    try:
        export_all(connection, cast(BinaryIO, Pipe()), user_id=user_id, format_key="xspf", now=NOW)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_many_lists_take_no_more_memory_than_a_few(connection: Connection) -> None:
    one, many = user_with(connection, "ana", 1), user_with(connection, "ben", 30)
    peak_of(connection, one)  # what is loaded once
    # A reader's cycles keep a list or two until they are collected.
    assert peak_of(connection, many) < 6 * peak_of(connection, one)


def test_a_zip_is_whole_where_it_cannot_be_sought_in_and_ends_at_its_limit(connection: Connection) -> None:
    user_id = user_with(connection, "ana", 3)
    out = io.BytesIO()
    export_all(connection, out, user_id=user_id, format_key="m3u8", now=NOW)
    pipe = Pipe()
    made = export_all(connection, cast(BinaryIO, pipe), user_id=user_id, format_key="m3u8", now=NOW)
    assert (len(made.playlists), made.entries, pipe.bytes > 1_000) == (3, 900, True)
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(2024, 3, 9, 21, 14, 6)}
    with pytest.raises(BadInput, match="more than 5,000 bytes"):
        export_all(connection, io.BytesIO(), user_id=user_id, format_key="m3u8", now=NOW, most_bytes=5_000)


def test_who_has_no_playlists_gets_an_empty_zip(connection: Connection) -> None:
    out = io.BytesIO()
    made = export_all(connection, out, user_id=user_with(connection, "ana", 0), format_key="xspf", now=NOW)
    assert (made.playlists, made.left_out) == ((), ())
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["manifest.json"]
