"""Which answers of Spotify are about one account, when either name may be missing."""

from __future__ import annotations

import pytest

from myi_pipeline.providers.account_names import AccountNames, Match


def names(text: str) -> AccountNames:
    account_id, _, profile_id = text.partition("/")
    return AccountNames(account_id=account_id or None, profile_id=profile_id or None)


@pytest.mark.parametrize(
    ("stored", "told", "expected"),
    [
        ("a1/ana", "a1/ana", Match.SAME),
        ("a1/ana", "a1/", Match.SAME),
        ("a1/ana", "/ana", Match.SAME),
        ("a1/", "a1/ana", Match.SAME),
        ("/ana", "a1/ana", Match.SAME),
        # The id changed; account_id never does.
        ("a1/ana", "a1/anna", Match.SAME),
        ("a1/ana", "a2/ben", Match.OTHER),
        ("a1/ana", "a2/", Match.OTHER),
        ("a1/ana", "/ben", Match.OTHER),
        # The id went to another account: not the same one, whatever it is called.
        ("a1/ana", "a2/ana", Match.CONFLICT),
        ("a1/", "/ana", Match.UNKNOWN),
        ("/ana", "a1/", Match.UNKNOWN),
    ],
)
def test_account_id_decides_and_id_where_one_side_has_none(stored: str, told: str, expected: Match) -> None:
    assert names(stored).compare(names(told)) is expected
    assert names(told).compare(names(stored)) is expected


def test_what_was_told_before_is_kept_when_a_later_answer_leaves_it_out() -> None:
    assert names("a1/ana").known_with(names("a1/")) == names("a1/ana")
    assert names("/ana").known_with(names("a1/ana")) == names("a1/ana")
    assert names("a1/ana").known_with(names("a1/anna")) == names("a1/anna")
    assert (names("a1/ana").key, names("/ana").key) == ("account:a1", "id:ana")
    assert AccountNames.from_keys("id:ana", "account:a1") == names("a1/ana")
    # A name may hold a colon itself.
    assert AccountNames.from_keys("id:ana:x", None) == names("/ana:x")


def test_an_account_without_any_name_is_none() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        AccountNames(account_id="", profile_id=None)
