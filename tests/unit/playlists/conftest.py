"""Files of playlists, made in a test's own folder and read as a person's would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from myi_pipeline.playlists.files import Limits, Reading, read_file

Read = Callable[..., Reading]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes a file and reads it; `limits` as they are wanted."""

    def read(content: str | bytes, name: str, *, limits: Limits | None = None) -> Reading:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        (reading,) = read_file(path, limits=limits)
        return reading

    return read
