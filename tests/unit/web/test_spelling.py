"""Slips of the hand, and the trigrams that find names in spite of them."""

from __future__ import annotations

from random import Random

import pytest

from myi_pipeline.web.reads.spelling import Words, parts_of, slips, slips_allowed, swapped_grams


@pytest.mark.parametrize(
    ("word", "other", "count"),
    [
        ("beatels", "beatles", 1),
        ("beatle", "beatles", 0),
        ("beattles", "beatles", 1),
        ("betles", "beatles", 1),
        ("quen", "queen", 1),
        ("radiohaed", "radiohead", 1),
        ("rdiohaed", "radiohead", 2),
        ("beatles", "beat", 3),
        ("abba", "muse", 3),
    ],
)
def test_slips_are_counted(word: str, other: str, count: int) -> None:
    assert min(slips(word, other, most=2), 3) == count


def slipped(word: str, rng: Random) -> str:
    place = rng.randrange(1, len(word) - 1)
    return rng.choice([
        word[:place] + word[place + 1 :],
        word[:place] + "q" + word[place:],
        word[:place] + "q" + word[place + 1 :],
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
    ])  # fmt: skip


def grams_of(word: str) -> set[str]:
    padded = f"  {word} "
    return {padded[place : place + 3] for place in range(len(padded) - 2)}


def test_one_slip_behind_the_first_letter_leaves_a_part_of_the_word_whole() -> None:
    rng = Random(1)
    for _ in range(3_000):
        word = "".join(rng.choices("abcdefghijklmnop", k=rng.randrange(6, 13)))
        typed = slipped(word, rng)
        if slips_allowed(typed) == 0:
            continue
        assert any(set(part) <= grams_of(word) for part in parts_of(typed)), (typed, word)
        assert Words(typed).slips_in(f"the {word} / album") in (0, 1), (typed, word)


@pytest.mark.parametrize("beside", ["", "radiohead", "muse"])
def test_two_letters_in_the_wrong_order_leave_every_word_of_four_letters_to_be_found(beside: str) -> None:
    """`vnad` had no trigram of `vand` in any of its parts."""
    for word in ("vand", "abba", "cream", "portishead"):
        for place in range(len(word) - 1):
            typed = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
            wanted = grams_of(word) | grams_of(beside)
            asked = Words(f"{typed} {beside}".strip()).parts().values()
            assert any(set(grams) <= wanted for grams in asked), (typed, beside)
            assert Words(typed).slips_in(f"{word} / album") in (0, 1)
    assert swapped_grams("1998") == swapped_grams("abc") == swapped_grams("radiohead") == []


def test_the_article_is_asked_for_only_where_it_is_all() -> None:
    assert Words("the beatles").each == ["beatles"]
    assert Words("the beatles").whole == Words("beatles").whole
    assert Words("the the").each == ["the"]


def test_short_words_and_numbers_must_be_right() -> None:
    assert Words("u2").slips_in("u3") is None
    assert Words("1999").slips_in("1998 / prince / 1999x") == 0
    assert Words("1998").slips_in("1999 / prince / 1999") is None
