"""The simulator's archives, hostile and odd, as a person would hand them over."""

from __future__ import annotations

from pathlib import Path

import pytest

from myi_pipeline.core.errors import BadInput, UnsafeArchive, WrongPackage
from myi_pipeline.simulator import hostile


@pytest.mark.parametrize("name", hostile.UNSAFE_ZIPS)
def test_an_unsafe_zip_is_refused(name: str, tmp_path: Path, read) -> None:
    with pytest.raises(UnsafeArchive, match=f"{name}.zip"):
        read(hostile.UNSAFE_ZIPS[name](tmp_path / f"{name}.zip"))


@pytest.mark.parametrize("name", hostile.BROKEN_ZIPS)
def test_what_is_no_whole_zip_is_refused(name: str, tmp_path: Path, read) -> None:
    with pytest.raises(BadInput, match=f"{name}.zip"):
        read(hostile.BROKEN_ZIPS[name](tmp_path / f"{name}.zip"))


@pytest.mark.parametrize("name", hostile.WRONG_PACKAGES)
def test_a_wrong_package_is_refused(name: str, tmp_path: Path, read) -> None:
    with pytest.raises(WrongPackage, match="Wanted is"):
        read(hostile.WRONG_PACKAGES[name](tmp_path / f"{name}.zip"))


@pytest.mark.parametrize("name", hostile.BROKEN_MEMBERS)
def test_a_bad_file_breaks_or_loses_the_bad_row(name: str, tmp_path: Path, read) -> None:
    outcome = read(hostile.BROKEN_MEMBERS[name](tmp_path / f"{name}.zip"))
    assert len(outcome.broken) == 1 or outcome.reasons in (["nested"], ["bad_ms_played"])


@pytest.mark.parametrize("name", hostile.ODD_MEMBERS)
def test_an_odd_file_is_read_whole(name: str, tmp_path: Path, read) -> None:
    outcome = read(hostile.ODD_MEMBERS[name](tmp_path / f"{name}.zip"))
    assert outcome.plays
    assert (outcome.refused, outcome.broken) == ([], [])
