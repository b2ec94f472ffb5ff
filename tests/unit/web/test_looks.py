"""Numbers, durations and times as pages show them; light, dark, 12 and 24 hours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from myi_pipeline.web.dashboard.assets import FOLDER
from myi_pipeline.web.shown import looks
from myi_pipeline.web.shown.formats import clock_time, heard, hour, hours, moment
from myi_pipeline.web.shown.looks import Look, has_12_hours, scheme_of

MINUTE, HOUR = 60_000, 3_600_000
NIGHT, NOON = datetime(2024, 3, 9, 0, 5, tzinfo=UTC), datetime(2024, 3, 9, 12, 5, tzinfo=UTC)


@pytest.fixture
def in_12_hours() -> Iterator[None]:
    token = looks.current.set(Look(has_12_hours=True))
    yield
    looks.current.reset(token)


@pytest.mark.parametrize(
    ("ms", "said", "in_hours"),
    [
        (0, "0 s", "0"),
        (59_999, "59 s", "under 0.1"),
        (90 * MINUTE, "1 h 30 min", "1.5"),
        (2 * HOUR, "2 h", "2.0"),
        (100 * HOUR + 40 * MINUTE, "101 h", "101"),
        (1_203 * HOUR + 54 * MINUTE, "1,204 h", "1,204"),
        (None, "–", "–"),
    ],
)
def test_a_time_is_the_same_in_a_tile_and_in_a_headline(ms: int | None, said: str, in_hours: str) -> None:
    """1,203.9 hours were once 1,204 in the headline and 1,203 in a tile."""
    assert (heard(ms), hours(ms)) == (said, in_hours)


@pytest.mark.parametrize(
    ("language", "has_12"),
    [
        ("en-US,en;q=0.9", True),
        ("en-GB,en-US;q=0.9", False),
        ("en", True),
        ("en_AU", True),
        ("de-DE,de;q=0.9,en-US;q=0.8", False),
        ("fr-CA", False),
        ("es-ES", False),
        ("es-MX,es;q=0.9", True),
        ("es", False),
        ("hi-IN", True),
        ("zh-Hant-TW", False),
        ("", False),
        ("*", False),
        ("-,;;q=x" + "a" * 5_000, False),
    ],
)
def test_the_language_says_how_many_hours_a_clock_has(language: str, has_12: bool) -> None:
    assert has_12_hours(language) is has_12


def test_clocks_have_24_hours_unless_the_look_says_12() -> None:
    assert [clock_time(NIGHT, "UTC"), clock_time(NOON, "UTC"), hour(0), hour(8), hour(24)] == [
        "00:05", "12:05", "00:00", "08:00", "24:00",
    ]  # fmt: skip


def test_twelve_is_midnight_and_noon(in_12_hours: None) -> None:
    assert [each.replace("\xa0", " ") for each in (clock_time(NIGHT, "UTC"), moment(NOON, "UTC"))] == [
        "12:05 AM", "9 March 2024, 12:05 PM",
    ]  # fmt: skip
    assert [hour(each).replace("\xa0", " ") for each in (0, 8, 12, 23, 24)] == [
        "12 AM", "8 AM", "12 PM", "11 PM", "12 AM",
    ]  # fmt: skip


def test_only_two_schemes_can_be_chosen() -> None:
    assert [scheme_of(each) for each in ("light", "dark", "system", "<b>", "", None)] == ["light", "dark"] + [None] * 4


def colours(name: str) -> dict[str, str]:
    (block,) = re.findall(r":root \{\n(.*?)\n\}", (FOLDER / name).read_text(encoding="utf-8"), re.DOTALL)
    return dict(re.findall(r"--([\w-]+): (#\w{6});", block))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["site.css", "dark.css"])
def test_what_is_no_text_is_seen_too(name: str) -> None:
    """WCAG 1.4.11: borders of fields and every square of a day with plays stand out three times; steps differ."""
    made = colours(name)
    assert set(made) == set(colours("site.css"))
    for colour in ("edge", "level-1", "level-2", "level-3", "level-4", "gap", "accent"):
        for ground in ("ground", "surface"):
            assert contrast(made[colour], made[ground]) >= 3, (colour, ground)
    for number in range(1, 4):
        assert contrast(made[f"level-{number}"], made[f"level-{number + 1}"]) >= 1.3


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.css")), ids=lambda path: path.name)
def test_no_colour_needs_a_browser_of_this_year(path: Path) -> None:
    """Safari knows light-dark() from 17.5 on, and showed no colours at all before."""
    assert "light-dark(" not in re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
