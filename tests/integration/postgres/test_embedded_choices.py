"""What the embedded server is run as, and how large: decided without starting it."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres.embedded import accounts, cluster, places
from myi_pipeline.postgres.embedded.accounts import ACCOUNT, Account

GIB = 1024**3


def known(monkeypatch: pytest.MonkeyPatch, *names: str, makes: bool = False) -> list[str]:
    """A machine on which root finds these accounts, and can (or cannot) make one."""
    there = list(names)

    def make() -> bool:
        if makes:
            there.append(ACCOUNT)
        return makes

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "_look_up", lambda name: Account(name, 7, 7) if name in there else None)
    monkeypatch.setattr(accounts, "_make", make)
    return there


def test_root_uses_an_account_of_our_own_and_makes_it_when_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, "postgres", "nobody", makes=True)
    assert accounts.choose_account().name == ACCOUNT


@pytest.mark.parametrize("there", [("postgres", "nobody"), ("nobody",)])
def test_root_falls_back_to_a_shared_account_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, there: tuple[str, ...]
) -> None:
    known(monkeypatch, *there)
    with caplog.at_level(logging.WARNING):
        assert accounts.choose_account().name == there[0]
    assert "install useradd" in caplog.text


def test_root_without_any_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch)
    with pytest.raises(Permanent, match="install useradd, or run MYI as a user"):
        accounts.choose_account()


def test_two_first_starts_at_once_make_one_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two homes on a new machine: both made the account, and the second entry took the first one's number away."""
    entries = tmp_path / "entries"
    slow_useradd = ["sh", "-c", f"number=$(cat {entries} 2>/dev/null | wc -l); sleep 0.2; echo $number >> {entries}"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "_tools", lambda: iter([slow_useradd]))
    monkeypatch.setattr(accounts, "_look_up", lambda name: Account(name, 7, 7) if entries.exists() else None)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: accounts._make(), range(4))) == [True] * 4
    assert entries.read_text().splitlines() == ["0"]


def test_data_that_root_owns_are_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes files of root's")
    with pytest.raises(Permanent, match="belongs to root"):
        accounts.account_of(tmp_path)


def test_a_damaged_record_of_the_places_is_named_and_not_written_over(tmp_path: Path) -> None:
    own = places.make_own(tmp_path / "home")
    (own / "places.json").write_text("{")
    with pytest.raises(Permanent, match=r"places.json is damaged"):
        places.prepare(tmp_path / "home")
    assert (own / "places.json").read_text() == "{"


def test_a_system_folder_that_others_can_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "system"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(places, "SYSTEM_FOLDER", folder)
    with pytest.raises(Permanent, match="nobody else can write"):
        places.system_folder()


@pytest.mark.parametrize(
    ("memory", "buffers", "work"),
    [(256 * 1024**2, "64MB", "4MB"), (4 * GIB, "512MB", "16MB"), (64 * GIB, "1024MB", "64MB")],
)
def test_it_is_tuned_for_the_memory_there_is(memory: int, buffers: str, work: str) -> None:
    where = places.Places(Path("/own"), Path("/it's"), Path("/run"), Account("me", 7, 7), "0badcafe")
    text = cluster.configuration(where, memory=memory)
    assert f"shared_buffers = '{buffers}'" in text
    assert f"\nwork_mem = '{work}'" in text
    # By itself the server takes and touches 16 MB, of which few writers ever use more.
    assert "wal_buffers = '4MB'" in text
    assert "log_directory = '/it''s/log'" in text
    assert "fsync" not in text


@pytest.mark.parametrize(
    ("own", "limits"),
    [
        ("0::/\n", {"memory.max": GIB}),
        ("0::/not/to/be/seen/here\n", {"memory.max": GIB}),
        ("0::/system.slice/myi.service\n", {"system.slice/myi.service/memory.max": GIB}),
        (
            "0::/system.slice/myi.service\n",
            {"system.slice/myi.service/memory.max": "max", "system.slice/memory.max": GIB},
        ),
        ("4:memory:/docker/0a\n0::/\n", {"memory/docker/0a/memory.limit_in_bytes": GIB}),
        (
            "5:cpu,memory:/myi\n",
            {"memory/myi/memory.limit_in_bytes": GIB, "memory/memory.limit_in_bytes": 2**63 - 4},
        ),
        ("", {"memory/memory.limit_in_bytes": GIB}),
    ],
)
def test_a_limit_on_the_container_or_the_service_counts_as_its_memory(
    tmp_path: Path, own: str, limits: dict[str, object]
) -> None:
    for name, value in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    (tmp_path / "own").write_text(own)
    assert cluster.memory_bytes(groups=tmp_path, own=tmp_path / "own") == GIB


def test_without_control_groups_the_memory_is_the_machines(tmp_path: Path) -> None:
    assert cluster.memory_bytes(groups=tmp_path, own=tmp_path / "own") == psutil.virtual_memory().total
