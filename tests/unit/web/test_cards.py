"""Cards of a story fit their pictures, and layers of a stream lie on each other, whatever the names and figures are."""

from __future__ import annotations

import io
import itertools
import random
import re
from datetime import date

import pytest
from PIL import Image, ImageColor

from myi_pipeline.web.dashboard.card_pictures import draw
from myi_pipeline.web.dashboard.insights import stream_of
from myi_pipeline.web.reads.insights import EraRow
from myi_pipeline.web.shown.cards import HEIGHT, WIDTH, Frame, clock_card, fitted, list_card, width_of

_NAMES = [
    "Björk",
    "I",
    "W" * 300,
    "長い名前の曲" * 12,
    "\u0301" * 40,
    "🎉" * 50,
    "a\x0b\x00b\ufffe",
    "",
    "أغاني الرمل",
    " . ",
]


@pytest.mark.parametrize("name", _NAMES)
def test_a_text_is_made_smaller_and_then_cut_until_it_fits(name: str) -> None:
    for size in (34, 64, 280):
        said, fitting = fitted(name, size, 700)
        assert said.isprintable()
        assert width_of(said) * fitting <= 700
        assert 0.6 * size - 1 <= fitting <= size
        seen = "".join(letter for letter in name if letter.isprintable()).strip()
        assert said.replace(" ", "") == seen.replace(" ", "") or said.endswith("…")


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert fitted("Björk", 64, 700) == ("Björk", 64)


def test_every_space_is_one_that_a_picture_has() -> None:
    assert fitted("9\u00a0PM\u2003or\x0blater\x00", 40, 700) == ("9 PM or later", 40)


def test_no_line_of_a_list_leaves_the_picture() -> None:
    card = list_card(
        Frame("W" * 99, "W" * 99), "artists", title="Your artists", rows=[(name, name) for name in _NAMES[:5]]
    )
    for text in card.texts:
        wide = width_of(text.text) * text.size
        assert text.x >= (wide if text.anchor == "end" else 0)
        assert text.anchor != "start" or text.x + wide <= WIDTH
    assert card.says.isprintable()


def test_the_hour_with_the_most_stands_out_of_the_dial() -> None:
    card = clock_card(Frame("", ""), hours=[*range(24)], notes=["Most at 23:00"])
    assert [shape.is_soft for shape in card.shapes] == [True] * 23 + [False]


def test_the_dial_is_on_the_png_as_it_is_on_the_drawing() -> None:
    """Only texts and bars were drawn, so that the clock would have been an empty card."""
    card = clock_card(Frame("", ""), hours=[*range(24)], notes=[])
    with Image.open(io.BytesIO(draw(card, width=WIDTH, height=HEIGHT))) as picture:
        pixels = picture.convert("RGB")
    for shape in card.shapes:
        # A sector begins and ends on its inner circle, and its corners are on the outer one.
        numbers = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", shape.path)]
        corners = [numbers[0:2], numbers[2:4], numbers[9:11], numbers[11:13]]
        x, y = (round(sum(corner[place] for corner in corners) / 4) for place in (0, 1))
        wanted = card.colours.soft if shape.is_soft else card.colours.accent
        assert pixels.getpixel((x, y)) == pytest.approx(ImageColor.getrgb(wanted), abs=4), shape.path


def test_layers_of_a_stream_lie_on_each_other_and_are_as_wide_as_their_plays() -> None:
    rng = random.Random(1)
    months = [date(2020 + n // 12, n % 12 + 1, 1) for n in range(25)]
    plays = {artist: [rng.choice((0, rng.randrange(500))) for _ in months[1:]] for artist in range(1, 6)}
    rows = [EraRow(artist, None, place, much) for artist, row in plays.items() for place, much in enumerate(row, 1)]
    stream = stream_of(rows, months)
    assert stream is not None
    assert stream.is_by_month
    edges = {}
    for layer in stream.layers:
        ends = [(0.0, 0.0)] * 0
        for part in re.findall(r"[MLC]([^MLCZ]+)", layer.path):
            x, y = map(float, part.split()[-1].split(","))
            ends.append((x, y))
        half = len(ends) // 2
        edges[layer.artist_id] = ([y for _, y in ends[:half]], [y for _, y in ends[half:]][::-1])
    most = max(map(sum, zip(*plays.values(), strict=True)))
    tops = list(edges.values())
    for (_, below), (above, _) in itertools.pairwise(tops):
        assert below == above
    for artist, (upper, lower) in edges.items():
        for top, bottom, much in zip(upper, lower, plays[artist], strict=True):
            assert bottom - top == pytest.approx(300 * much / most, abs=0.11)


def test_a_history_of_two_months_has_no_stream() -> None:
    rows = [EraRow(1, "A", place, 5) for place in (1, 2)]
    assert stream_of(rows, [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)]) is None
