"""Hostile and odd archives, as a person would hand them over."""

from __future__ import annotations

from pathlib import Path

import pytest

from myi_pipeline.errors import BadInput, UnsafeArchive, WrongPackage
from tests.hostile import makers


@pytest.mark.parametrize("name", makers.UNSAFE_ZIPS)
def test_an_unsafe_zip_is_refused(name: str, tmp_path: Path, read) -> None:
    with pytest.raises(UnsafeArchive, match=f"{name}.zip"):
        read(makers.UNSAFE_ZIPS[name](tmp_path / f"{name}.zip"))


@pytest.mark.parametrize("name", makers.BROKEN_ZIPS)
def test_a_broken_zip_is_refused(name: str, tmp_path: Path, read) -> None:
    with pytest.raises(BadInput, match=f"{name}.zip"):
        read(makers.BROKEN_ZIPS[name](tmp_path / f"{name}.zip"))


@pytest.mark.parametrize("name", makers.WRONG_PACKAGES)
def test_a_wrong_package_is_refused(name: str, tmp_path: Path, read) -> None:
    with pytest.raises(WrongPackage, match="MYI reads"):
        read(makers.WRONG_PACKAGES[name](tmp_path / f"{name}.zip"))


@pytest.mark.parametrize("name", makers.BROKEN_MEMBERS)
def test_a_bad_file_breaks_or_loses_the_bad_row(name: str, tmp_path: Path, read) -> None:
    outcome = read(makers.BROKEN_MEMBERS[name](tmp_path / f"{name}.zip"))
    assert len(outcome.broken) == 1 or outcome.reasons in (["nested"], ["bad_ms_played"])


@pytest.mark.parametrize("name", makers.ODD_MEMBERS)
def test_an_odd_file_is_read_whole(name: str, tmp_path: Path, read) -> None:
    outcome = read(makers.ODD_MEMBERS[name](tmp_path / f"{name}.zip"))
    assert outcome.plays
    assert (outcome.refused, outcome.broken) == ([], [])
