"""Names of files that every file system stores, no two of which any of them takes for one."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from myi_pipeline.playlists.files.names import FileNames, file_stem

DEVICES = ("CON", "con.txt", "Aux", "nul", "COM1", "lpt9.x", "com²", "CONIN$")
NASTY = (
    "", ".", "..", "...", " ", "a/b", "a\\b", "../../etc/passwd", "C:\\x", "a:b", 'say "hi"', "<b>", "what?", "*", "|",
    "x. ", ".hidden", "NUL\0inside", "line\nend", "\u202eevil", "\ud800", "Ä", "A\u0308", "ä", "ß", "SS", "\ufb01",
    "fi", "K", "\u212a", "🎵" * 200, "x" * 500, "manifest", "a (2)", *DEVICES,
)  # fmt: skip


def distinct(names: Sequence[str]) -> int:
    """How many files a system keeps that tells neither capitals nor forms of one letter apart."""
    return len({unicodedata.normalize("NFKD", unicodedata.normalize("NFD", name).casefold()) for name in names})


def given_to(names: Sequence[str]) -> list[str]:
    folder = FileNames()
    return [folder.take(name, ".xspf") for name in names]


@pytest.mark.parametrize("name", NASTY)
def test_a_name_can_be_stored_anywhere(name: str) -> None:
    stem = file_stem(name)
    assert stem
    assert len(stem.encode()) <= 125
    assert not set(stem) & set('<>:"/\\|?*')
    assert stem.isprintable()
    assert stem == unicodedata.normalize("NFC", stem)
    assert not stem.startswith((".", " "))
    assert not stem.endswith((".", " "))
    assert stem.split(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9", "com²", "conin$"}


def test_an_ordinary_name_stays_as_it_is() -> None:
    for name in ("Sunday morning", "Björk & friends, vol. 2", "東京の夜", "90's (best of)", "CONcert"):
        assert file_stem(name) == name


@given(st.lists(st.one_of(st.sampled_from(NASTY), st.text(st.characters(codec=None), max_size=6)), max_size=30))
@example(["a", "A", "a (2)", "a", "A\u0308", "ä", "Ä"])
@example(["x" * 200, "x" * 200 + "y", "x" * 300])
@settings(max_examples=100)
def test_no_two_files_are_called_alike(names: list[str]) -> None:
    found = given_to(names)
    assert distinct(found) == len(names)
    assert all(len(name.encode()) <= 143 for name in found)


def test_the_measure_sees_names_that_some_system_takes_for_one() -> None:
    for names in (["a.xspf", "A.xspf"], ["ä.xspf", "a\u0308.xspf"]):
        assert distinct(names) == 1
