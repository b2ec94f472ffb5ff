"""Files in a folder: whole or not there, one folder a user, and no link followed."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myi_pipeline.errors import BadInput, DiskFull, Permanent
from myi_pipeline.storage.folder import FolderStore
from myi_pipeline.storage.stored_files import make_room, prune

NAME = "playlists-xspf-20240309-5f0c1e2d3a4b.zip"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def store(root: Path) -> FolderStore:
    return FolderStore(root)


def put(store: FolderStore, user_id: int, name: str, content: bytes = b"content") -> None:
    with store.writing(user_id, name, "application/zip") as out:
        out.write(content)


def break_off(store: FolderStore, user_id: int, name: str, error: Exception) -> None:
    with store.writing(user_id, name, "application/zip") as out:
        out.write(b"half")
        raise error


def content(store: FolderStore, user_id: int, name: str) -> bytes | None:
    found = store.read(user_id, name)
    if found is None:
        return None
    with found:
        return found.read()


def test_a_file_is_there_when_it_is_whole(store: FolderStore, root: Path) -> None:
    with store.writing(1, NAME, "application/zip") as out:
        out.write(b"half")
        out.flush()
        assert (store.files(1), content(store, 1, NAME)) == ((), None)
        out.write(b" and whole")
    assert content(store, 1, NAME) == b"half and whole"
    (file,) = store.files(1)
    assert (file.user_id, file.name, file.size_bytes) == (1, NAME, 14)
    assert [stat.S_IMODE((root / part).stat().st_mode) for part in ("", "1", f"1/{NAME}")] == [0o700, 0o700, 0o600]


def test_what_fails_on_the_way_leaves_nothing(store: FolderStore, root: Path) -> None:
    put(store, 1, NAME, b"before")
    with pytest.raises(RuntimeError):
        break_off(store, 1, NAME, RuntimeError())
    assert content(store, 1, NAME) == b"before"
    assert os.listdir(root / "1") == [NAME]


def test_a_disk_that_is_full_is_said_and_leaves_nothing(store: FolderStore, root: Path) -> None:
    with pytest.raises(DiskFull):
        break_off(store, 1, NAME, OSError(errno.ENOSPC, "No space left on device"))
    assert os.listdir(root / "1") == []


@pytest.mark.parametrize(
    "name", ["../1/x.zip", "a/b.zip", ".x.zip", "x", "X.zip", "x.zip\n", "x..zip", "", "a" * 90 + ".zip"]
)
def test_a_name_that_is_none_reaches_no_file(store: FolderStore, name: str) -> None:
    with pytest.raises(BadInput):
        store.read(1, name)
    with pytest.raises(BadInput), store.writing(1, name, "application/zip"):
        pytest.fail("it may not be written")


def test_no_link_is_followed(store: FolderStore, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / NAME).write_bytes(b"secret")
    put(store, 1, "other-file.zip")
    (root / "1" / NAME).symlink_to(secret / NAME)
    (root / "2").symlink_to(secret)
    assert content(store, 1, NAME) is None
    assert content(store, 2, NAME) is None
    assert [file.name for file in store.files(1)] == ["other-file.zip"]
    assert store.files(2) == ()
    with pytest.raises(Permanent, match="is a link"):
        put(store, 2, NAME)
    store.delete_all(2)
    store.delete_all(1)
    assert (secret / NAME).read_bytes() == b"secret"
    assert os.listdir(root) == []


def test_a_pipe_in_a_files_place_keeps_nobody_waiting(store: FolderStore, root: Path) -> None:
    put(store, 1, "other-file.zip")
    os.mkfifo(root / "1" / NAME)
    assert content(store, 1, NAME) is None


def test_what_is_too_old_goes_and_what_was_never_finished_too(store: FolderStore, root: Path) -> None:
    now = datetime.now(UTC)
    assert prune(store, before=now) == 0
    for user_id, name in ((1, NAME), (1, "newer-one.zip"), (2, NAME)):
        put(store, user_id, name)
    (root / "2" / f".{NAME}.0a1b2c3d").write_bytes(b"half")
    (root / "notes").mkdir()
    old = (now - timedelta(days=8)).timestamp()
    for path in (root / "1" / NAME, root / "2" / f".{NAME}.0a1b2c3d"):
        os.utime(path, (old, old))
    assert prune(store, before=now - timedelta(days=7)) == 2
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == [
        "1/newer-one.zip", f"2/{NAME}",
    ]  # fmt: skip


def test_what_is_not_ours_is_neither_pruned_nor_removed_with_a_user(store: FolderStore, root: Path) -> None:
    """The folder may be one in which somebody else keeps files, too."""
    theirs = [root / "7" / "Tax 2024.pdf", root / "7" / ".hidden", root / "20240309" / "dump.SQL"]
    with store.writing(7, "all-1.zip", "application/zip") as out:
        out.write(b"ours")
    for place in theirs:
        place.parent.mkdir(exist_ok=True)
        place.write_text("theirs")
    assert prune(store, before=datetime.now(UTC) + timedelta(days=1)) == 1
    with store.writing(7, "all-2.zip", "application/zip") as out:
        out.write(b"ours")
    store.delete_all(7)
    assert store.files(7) == ()
    assert [place.read_text() for place in theirs] == ["theirs"] * 3


def test_the_oldest_files_make_room_for_the_new_one(store: FolderStore, root: Path) -> None:
    for number in range(4):
        put(store, 1, f"file-{number}.zip", b"x" * 10)
        os.utime(root / "1" / f"file-{number}.zip", (1_000 + number, 1_000 + number))
    make_room(store, 1, quota_bytes=25, keep="file-3.zip")
    assert [file.name for file in store.files(1)] == ["file-3.zip", "file-2.zip"]
    # Also where the clock of a store tells no two apart.
    make_room(store, 1, quota_bytes=5, keep="file-2.zip")
    assert [file.name for file in store.files(1)] == ["file-2.zip"]
