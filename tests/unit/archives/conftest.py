"""Histories made by hand, and one way to read all of a history."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.catalogue.plays import PlayRecord, QuarantinedRow
from myi_pipeline.errors import BrokenFile

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Outcome:
    """Everything that reading a history gave."""

    name: str
    kind: str
    sha256: bytes
    files: list[str]
    kinds: list[str]
    skipped: tuple[str, ...]
    plays: list[PlayRecord] = field(default_factory=list)
    refused: list[QuarantinedRow] = field(default_factory=list)
    broken: list[BrokenFile] = field(default_factory=list)
    rows_read: int = 0
    bytes_read: int = 0
    unknown_keys: Counter[str] = field(default_factory=Counter)
    account_hashes: set[bytes] = field(default_factory=set)

    @property
    def reasons(self) -> list[str]:
        return [row.reason for row in self.refused]


@pytest.fixture
def read() -> Callable[..., Outcome]:
    def read(path: Path | Sequence[Path], **limits: int) -> Outcome:
        with open_history(
            path, limits=Limits(**limits), hash_account=lambda name: b"hash of " + name.encode(), now=lambda: NOW
        ) as archive:
            outcome = Outcome(
                archive.name,
                archive.kind,
                archive.sha256,
                [file.name for file in archive.files],
                [file.kind.value for file in archive.files],
                archive.skipped,
            )
            for file in archive.files:
                reader = archive.read(file)
                try:
                    for item in reader:
                        (outcome.plays if isinstance(item, PlayRecord) else outcome.refused).append(item)
                except BrokenFile as error:
                    outcome.broken.append(error)
                outcome.rows_read += reader.rows_read
                outcome.bytes_read += reader.bytes_read
                outcome.unknown_keys += reader.unknown_keys
                outcome.account_hashes |= reader.account_hashes
        assert outcome.rows_read == len(outcome.plays) + len(outcome.refused)
        return outcome

    return read


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """A row of an extended history; a change to `...` removes the key."""

    def row(**changes: object) -> dict[str, Any]:
        values: dict[str, Any] = {
            "ts": "2020-05-17T08:09:10Z",
            "username": "someone",
            "platform": "ios",
            "ms_played": 180_000,
            "conn_country": "SE",
            "ip_addr_decrypted": "192.0.2.7",
            "user_agent_decrypted": "unknown",
            "master_metadata_track_name": "Song",
            "master_metadata_album_artist_name": "Band",
            "master_metadata_album_album_name": "Record",
            "spotify_track_uri": "spotify:track:0000000000000000000001",
            "episode_name": None,
            "episode_show_name": None,
            "spotify_episode_uri": None,
            "reason_start": "clickrow",
            "reason_end": "trackdone",
            "shuffle": False,
            "skipped": None,
            "offline": False,
            "offline_timestamp": None,
            "incognito_mode": False,
        }
        values |= changes
        return {key: value for key, value in values.items() if value is not ...}

    return row


@pytest.fixture
def zip_of(tmp_path: Path) -> Callable[..., Path]:
    """A ZIP with the given members; rows are written as JSON."""

    def zip_of(
        members: dict[str, Any], *, name: str = "my_spotify_data.zip", method: int = zipfile.ZIP_DEFLATED
    ) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", method) as archive:
            for member, content in members.items():
                archive.writestr(member, content if isinstance(content, bytes) else json.dumps(content))
        return path

    return zip_of


@pytest.fixture
def rows_of(tmp_path: Path, read: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Read rows as one file of an extended history."""

    def rows_of(*rows: object, name: str = "endsong_0.json", **limits: int) -> Outcome:
        path = tmp_path / name
        path.write_text(json.dumps(rows))
        return read(path, **limits)

    return rows_of
