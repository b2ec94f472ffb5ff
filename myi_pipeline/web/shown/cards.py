"""Cards of a story, prepared for drawing (templates/parts/card.svg): pictures with their text in them.

People save a picture and open it with any program, so it refers to no file and no font: texts are fitted by typical
letter widths, with room to spare, and styled only by attributes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin
from typing import Literal

WIDTH, HEIGHT = 1080, 1350
_LEFT, _TOP = 90, 90
_ROOM = WIDTH - 2 * _LEFT
# Letter widths as fractions of the font size, taken from the widest of the common fonts.
_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[]-· "), frozenset("mwMW@%&")
_SMALLEST = 0.6
# Bold letters are wider.
_BOLDER = 1.15


@dataclass(frozen=True)
class Text:
    """`y` is the baseline."""

    x: float
    y: float
    text: str
    size: int
    weight: int = 400
    anchor: Literal["start", "middle", "end"] = "start"
    is_soft: bool = False


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    is_soft: bool = False


@dataclass(frozen=True)
class Shape:
    """`path` is the data of an SVG path."""

    path: str
    is_soft: bool = False


@dataclass(frozen=True)
class Colours:
    ground: str
    ink: str
    soft: str
    accent: str


# Contrast of ink and soft ink to their background is at least 7:1.
_GREEN = Colours("#0b3d29", "#f3fbf6", "#b5d9c6", "#5fd69c")
_INDIGO = Colours("#23244d", "#f4f4ff", "#c3c5ee", "#9ea4ff")
_BROWN = Colours("#40260f", "#fff6ec", "#e6c6a6", "#f2a65a")
_PLUM = Colours("#431a2c", "#fff1f6", "#e8b9cc", "#f285b0")
_TEAL = Colours("#0e3544", "#eefaff", "#aed6e5", "#62c6ea")
_OLIVE = Colours("#35310d", "#fdfbe9", "#dcd4a0", "#e3cf4f")


@dataclass(frozen=True)
class Card:
    """One picture.

    `name` is its address; `says` is a sentence with all of its content, for people who cannot see it.
    """

    name: str
    says: str
    colours: Colours
    texts: Sequence[Text]
    bars: Sequence[Bar] = ()
    shapes: Sequence[Shape] = ()


@dataclass(frozen=True)
class Frame:
    """The frame of every card: person and period at the top, and at the bottom how complete the data are."""

    above: str
    below: str

    def card(
        self,
        name: str,
        says: str,
        colours: Colours,
        *,
        texts: Sequence[Text],
        bars: Sequence[Bar] = (),
        shapes: Sequence[Shape] = (),
    ) -> Card:
        frame = [
            _line(self.above, _TOP + 30, 36, weight=600, is_soft=True),
            _line(self.below, HEIGHT - _TOP, 28, is_soft=True, room=_ROOM - 130),
            Text(WIDTH - _LEFT, HEIGHT - _TOP, "MYI", 28, 700, "end", is_soft=True),
        ]
        return Card(name, says, colours, [each for each in (*frame, *texts) if each.text], bars, shapes)


def figure_card(
    frame: Frame, name: str, *, title: str, figure: str, unit: str, notes: Sequence[str], colours: Colours = _GREEN
) -> Card:
    """One large figure with what it means."""
    texts = [
        _line(title, 300, 52, weight=600),
        _line(figure, 620, 280, weight=800),
        _line(unit, 730, 64, weight=600),
        *(_line(note, 900 + 66 * number, 42, is_soft=True) for number, note in enumerate(notes)),
    ]
    return frame.card(name, _sentence(title, f"{figure} {unit}", *notes), colours, texts=texts)


def hours_card(frame: Frame, *, figure: str, unit: str, notes: Sequence[str]) -> Card:
    return figure_card(frame, "hours", title="You listened for", figure=figure, unit=unit, notes=notes)


def list_card(
    frame: Frame, name: str, *, title: str, rows: Sequence[tuple[str, str]], note: str = "", colours: Colours = _INDIGO
) -> Card:
    """Up to five names, each with a remark; the first is the largest."""
    texts = [_line(title, 270, 60, weight=700)]
    y = 400
    for number, (what, said) in enumerate(rows):
        size = 64 if number == 0 else 48
        texts.append(Text(_LEFT, y, str(number + 1), size, 800, is_soft=True))
        texts.append(_line(what, y, size, weight=700, x=_LEFT + 90))
        texts.append(_line(said, y + 52, 34, is_soft=True, x=_LEFT + 90))
        y += 180 if number == 0 else 160
    texts.append(_line(note, HEIGHT - _TOP - 80, 36, is_soft=True))
    says = _sentence(title, *(f"{number}. {what}, {said}" for number, (what, said) in enumerate(rows, 1)), note)
    return frame.card(name, says, colours, texts=texts)


def artists_card(frame: Frame, rows: Sequence[tuple[str, str]]) -> Card:
    return list_card(frame, "artists", title="Your artists", rows=rows)


def tracks_card(frame: Frame, rows: Sequence[tuple[str, str]]) -> Card:
    return list_card(frame, "tracks", title="Your tracks", rows=rows, colours=_PLUM)


def discoveries_card(frame: Frame, *, title: str, rows: Sequence[tuple[str, str]]) -> Card:
    return list_card(frame, "discoveries", title=title, rows=rows, colours=_TEAL)


# The size in which messengers show link previews.
PREVIEW_WIDTH, PREVIEW_HEIGHT = 1200, 630


def preview_card(*, title: str, above: str, lines: Sequence[str]) -> Card:
    """A title and up to four lines, PREVIEW_WIDTH by PREVIEW_HEIGHT: the picture of a link preview."""
    room = PREVIEW_WIDTH - 160
    texts = [_line(above, 100, 34, is_soft=True, x=80, room=room), _line(title, 200, 76, weight=800, x=80, room=room)]
    texts += [_line(each, 310 + 66 * number, 44, x=80, room=room) for number, each in enumerate(lines[:4])]
    texts.append(Text(PREVIEW_WIDTH - 80, PREVIEW_HEIGHT - 50, "MYI", 30, 700, "end", is_soft=True))
    bars = [Bar(80, 232, 120, 8)]
    return Card("preview", _sentence(title, above, *lines), _GREEN, [each for each in texts if each.text], bars)


def busiest_card(frame: Frame, *, day: str, weekday: str, notes: Sequence[str]) -> Card:
    texts = [
        _line("Your busiest day", 300, 52, weight=600),
        _line(day, 520, 150, weight=800),
        _line(weekday, 640, 64, weight=600),
        *(_line(note, 860 + 66 * number, 42, is_soft=True) for number, note in enumerate(notes)),
    ]
    return frame.card("busiest", _sentence("Your busiest day", f"{weekday}, {day}", *notes), _BROWN, texts=texts)


def streak_card(frame: Frame, *, figure: str, unit: str, notes: Sequence[str]) -> Card:
    return figure_card(
        frame, "streak", title="Your longest streak", figure=figure, unit=unit, notes=notes, colours=_OLIVE
    )


def obsession_card(frame: Frame, *, track: str, artist: str, figure: str, notes: Sequence[str]) -> Card:
    texts = [
        _line("Your obsession", 270, 52, weight=600),
        _line(track, 420, 92, weight=800),
        _line(artist, 500, 46, is_soft=True),
        _line(figure, 860, 280, weight=800),
        _line("times in a row", 960, 60, weight=600),
        *(_line(note, 1070 + 60 * number, 40, is_soft=True) for number, note in enumerate(notes)),
    ]
    says = _sentence("Your obsession", f"{track} by {artist}, {figure} times in a row", *notes)
    return frame.card("obsession", says, _PLUM, texts=texts)


def comparison_card(
    frame: Frame, *, change: str, than: str, now: tuple[str, int, str], before: tuple[str, int, str], note: str
) -> Card:
    """Two bars on one scale, each with its name, its milliseconds and these as text."""
    most = max(now[1], before[1], 1)
    texts = [
        _line("Compared", 300, 52, weight=600),
        _line(change, 500, 150, weight=800),
        _line(than, 600, 56, weight=600),
        _line(note, HEIGHT - _TOP - 80, 36, is_soft=True),
    ]
    bars = []
    for y, (name, ms, said) in ((800, now), (1000, before)):
        texts += [_line(name, y - 26, 40, weight=600, room=500), Text(WIDTH - _LEFT, y - 26, said, 40, 600, "end")]
        bars.append(Bar(_LEFT, y, max(6.0, _ROOM * ms / most), 60, is_soft=y > 800))
    said = f"{now[0]}: {now[2]}; {before[0]}: {before[2]}"
    return frame.card("comparison", _sentence(f"{change} {than}", said, note), _INDIGO, texts=texts, bars=bars)


def clock_card(frame: Frame, *, hours: Sequence[int], notes: Sequence[str]) -> Card:
    """Milliseconds by hour of the day as a dial: midnight on top, noon below."""
    x, y, inner, outer = WIDTH / 2, 720, 120, 330
    most = max(1, *hours)
    shapes = [
        Shape(_sector(x, y, inner, max(inner + 6, inner + (outer - inner) * ms / most), hour), ms != max(hours))
        for hour, ms in enumerate(hours)
    ]
    texts = [_line("Around the clock", 270, 60, weight=700)]
    for hour, (dx, dy) in {
        0: (0, -outer - 24),
        6: (outer + 20, 14),
        12: (0, outer + 58),
        18: (-outer - 20, 14),
    }.items():
        anchor: Literal["start", "middle", "end"] = "middle" if dx == 0 else "start" if dx > 0 else "end"
        texts.append(Text(x + dx, y + dy, f"{hour:02}", 34, 600, anchor, is_soft=True))
    texts += [_line(note, 1160 + 52 * number, 38, is_soft=True) for number, note in enumerate(notes[:2])]
    return frame.card("clock", _sentence("Around the clock", *notes), _TEAL, texts=texts, shapes=shapes)


def _sector(x: float, y: float, inner: float, outer: float, hour: int) -> str:
    """One of a ring's 24 hours, with a small gap to the next."""
    begins, ends = (2 * pi * (hour + part) / 24 for part in (0.06, 0.94))

    def at(radius: float, angle: float) -> str:
        return f"{x + radius * sin(angle):.1f},{y - radius * cos(angle):.1f}"

    return (
        f"M{at(inner, begins)}L{at(outer, begins)}A{outer:.1f},{outer:.1f} 0 0 1 {at(outer, ends)}"
        f"L{at(inner, ends)}A{inner},{inner} 0 0 0 {at(inner, begins)}Z"
    )


def _line(
    text: str,
    y: float,
    size: int,
    *,
    weight: int = 400,
    is_soft: bool = False,
    x: float = _LEFT,
    room: float | None = None,
) -> Text:
    said, fitting = fitted(
        text, size, (WIDTH - _LEFT - x if room is None else room) / (_BOLDER if weight >= 600 else 1)
    )
    return Text(x, y, said, fitting, weight, "start", is_soft)


def fitted(text: str, size: int, room: float) -> tuple[str, int]:
    """A text and its size so that it fits: made smaller and, if that is not enough, cut."""
    said = _seen(text)
    wide = width_of(said)
    if wide * size <= room:
        return said, size
    smaller = max(int(size * _SMALLEST), int(room / wide))
    if wide * smaller <= room:
        return said, smaller
    while said and width_of(f"{said}…") * smaller > room:
        said = said[:-1]
    return f"{said.rstrip()}…", smaller


def _seen(text: str) -> str:
    """Without invisible characters, since XML cannot represent most control characters, and with plain spaces only."""
    return "".join(" " if each.isspace() else each for each in text if each.isspace() or each.isprintable()).strip()


def width_of(text: str) -> float:
    """The maximum width of a text, as a multiple of its font size."""
    return sum(map(_width, text))


def _width(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > 0xFFFF:
        return 1.1
    if letter in _NARROW:
        return 0.4
    if letter in _WIDE:
        return 0.98
    return 0.74 if letter.isupper() else 0.62


def _sentence(*parts: str) -> str:
    return _seen(". ".join(part.rstrip(".") for part in parts if part)) + "."
