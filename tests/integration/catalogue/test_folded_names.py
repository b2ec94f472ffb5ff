"""Folded names and their trigrams, as the database keeps them beside the names."""

from __future__ import annotations

import pytest

from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.simulator.catalogue import AWKWARD_NAMES
from myi_pipeline.web.reads.spelling import Words

FOLDED = {
    "Björk": "bjork",
    "AC/DC": "ac dc",
    "Sigur Rós": "sigur ros",
    "MØ": "mo",
    "Ke$ha": "kesha",
    "P!nk": "pink",
    "Guns N’ Roses": "guns and roses",
    "Guns & Roses": "guns and roses",
    "Rock 'n' Roll": "rock and roll",
    "Simon & Garfunkel": "simon and garfunkel",
    "Florence + The Machine": "florence and the machine",
    "Straße der Öfen": "strasse der ofen",
    "STRASSE DER ÖFEN": "strasse der ofen",
    "Мумий Тролль": "мумии тролль",
    "ЗЕМФИРА": "земфира",
    "ΒΑΣΊΛΗΣ": "βασιλησ",
    "Βασίλης": "βασιλησ",
    "宇多田ヒカル": "宇多田ヒカル",
    "ガガガ": "ガガガ",
    "이문세": "이문세",
    "!!!": "!!!",
    "÷": "÷",
    "/": "|",
    "  two\tspaces ": "two spaces",
}


@pytest.mark.both_servers
def test_every_server_folds_names_alike_and_once(warehouse: Warehouse) -> None:
    with warehouse.connect(Role.OWNER) as connection:
        query = "select name, marts.folded(name), marts.folded(marts.folded(name)) from unnest(%s::text []) as name"
        for name, folded, twice in connection.execute(query, ([*FOLDED, *AWKWARD_NAMES],)).fetchall():
            assert folded == FOLDED.get(name, folded)
            assert twice == folded, name
        # Whatever letters the database's locale knows.
        codes = [*range(0xC0, 0x180), *range(0x386, 0x3CF), *range(0x400, 0x460), *range(0x531, 0x557)]
        letters = [chr(code) for code in codes if len(chr(code).upper()) == 1 and chr(code).isalpha()]
        query = (
            "select letter from unnest(%s::text [], %s::text []) as t (letter, other)"
            " where marts.folded('a' || letter || 'b') <> marts.folded('a' || other || 'b')"
        )
        others = [letter.upper() if letter.islower() else letter.lower() for letter in letters]
        assert connection.execute(query, (letters, others)).fetchall() == []


def test_a_name_has_the_trigrams_of_all_that_finds_it(warehouse: Warehouse) -> None:
    """One way of making them in the database, and one of asking for them."""
    with warehouse.connect(Role.OWNER) as connection:
        query = (
            "select folded, ops.search_grams(folded) from unnest(%s::text []) as name,"
            " lateral (select ops.folded_names(name, 'Some Body', name)) as made (folded)"
        )
        for folded, grams in connection.execute(query, ([*FOLDED, *AWKWARD_NAMES],)).fetchall():
            title = folded.split(" / ")[0]
            for typed in {title, title[:1], title[:2], title[:4], f"{title} some", title.replace(" ", ""), "somebody"}:
                asked = Words(typed.strip()).values()
                has_words = set(asked["grams"]) <= set(grams)  # type: ignore[arg-type,call-overload]
                has_joined = set(asked["joined_grams"]) <= set(grams)  # type: ignore[arg-type,call-overload]
                assert has_words or has_joined, (typed, folded)
