"""Cards as PNG, for programs that cannot show SVG, such as link previews in messengers.

Text is set in a common font of the machine, or else in Pillow's own, which covers little more than English: letters
that a font lacks are transliterated into Latin ones. Drawing takes a core for a tenth of a second and more, so only a
few are drawn at once, and the latest pictures are kept.
"""

from __future__ import annotations

import io
import math
import re
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING

import anyio.to_thread
from anyio import CapacityLimiter

from myi_pipeline.web.shown.cards import PREVIEW_HEIGHT, PREVIEW_WIDTH, Bar, Card, Colours, Shape, Text

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

# File names on Linux, macOS and Windows; Pillow searches the system's folders.
_FONTS = {
    False: ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf"),
    True: ("DejaVuSans-Bold.ttf", "NotoSans-Bold.ttf", "LiberationSans-Bold.ttf", "Arial Bold.ttf", "arialbd.ttf"),
}
_BOLD_FROM = 600
# A text that is wider than estimated is drawn smaller, down to this.
_LEAST_PX = 12
_KEPT = 64
_COMMANDS, _NUMBERS = re.compile(r"([MLA])([^MLAZ]*)"), re.compile(r"-?\d+(?:\.\d+)?")
_ARC_PARTS = 8
_NO_LETTER = "\uffff"


async def drawn(
    card: Card, drawing: CapacityLimiter, *, width: int = PREVIEW_WIDTH, height: int = PREVIEW_HEIGHT
) -> bytes:
    """The same once one of the site's few places for it is free: the threads that wait for the database stay so."""
    return await anyio.to_thread.run_sync(partial(draw, card, width=width, height=height), limiter=drawing)


def draw(card: Card, *, width: int = PREVIEW_WIDTH, height: int = PREVIEW_HEIGHT) -> bytes:
    """A card of bars and texts, of this size in pixels."""
    return _draw(card.colours, tuple(card.bars), tuple(card.shapes), tuple(card.texts), width, height)


@lru_cache(maxsize=_KEPT)
def _draw(
    colours: Colours, bars: tuple[Bar, ...], shapes: tuple[Shape, ...], texts: tuple[Text, ...], width: int, height: int
) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height), colours.ground)
    pen = ImageDraw.Draw(image)
    for bar in bars:
        ends = (bar.x, bar.y, bar.x + bar.width, bar.y + bar.height)
        pen.rounded_rectangle(
            ends, radius=min(12, bar.height / 2), fill=colours.soft if bar.is_soft else colours.accent
        )
    for shape in shapes:
        pen.polygon(_outline(shape.path), fill=colours.soft if shape.is_soft else colours.accent)
    for text in texts:
        room = width - 80 - text.x if text.anchor == "start" else text.x - 80
        said, font = _fitting(text, room)
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[text.anchor]
        pen.text((text.x, text.y), said, font=font, fill=colours.soft if text.is_soft else colours.ink, anchor=anchor)
    file = io.BytesIO()
    # 64 colours suffice for two text colours with their edges, in a third of the bytes.
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _outline(path: str) -> list[tuple[float, float]]:
    """The corners of a path of lines and of arcs of less than half a circle, which become short lines."""
    points: list[tuple[float, float]] = []
    for command, data in _COMMANDS.findall(path):
        numbers = [float(each) for each in _NUMBERS.findall(data)]
        x, y = numbers[-2:]
        if command == "A":
            points += _arc(points[-1], (x, y), radius=numbers[0], is_clockwise=numbers[4] == 1)
        points.append((x, y))
    return points


def _arc(
    begins: tuple[float, float], ends: tuple[float, float], *, radius: float, is_clockwise: bool
) -> list[tuple[float, float]]:
    """Points between two of a circle; down is positive, as in pictures."""
    (x0, y0), (x1, y1) = begins, ends
    chord = math.hypot(x1 - x0, y1 - y0)
    if chord == 0:
        return []
    # The centre lies beside the middle of the chord.
    away = math.sqrt(max(0.0, radius**2 - chord**2 / 4)) * (1 if is_clockwise else -1)
    centre_x = (x0 + x1) / 2 - away * (y1 - y0) / chord
    centre_y = (y0 + y1) / 2 + away * (x1 - x0) / chord
    first = math.atan2(y0 - centre_y, x0 - centre_x)
    turn = math.remainder(math.atan2(y1 - centre_y, x1 - centre_x) - first, 2 * math.pi)
    return [
        (centre_x + radius * math.cos(first + turn * part / _ARC_PARTS),
         centre_y + radius * math.sin(first + turn * part / _ARC_PARTS))
        for part in range(1, _ARC_PARTS)
    ]  # fmt: skip


def _fitting(text: Text, room: float) -> tuple[str, FreeTypeFont]:
    is_bold, size = text.weight >= _BOLD_FROM, text.size
    said = _written(text.text, is_bold=is_bold)
    font = _font(size, is_bold)
    while font.getlength(said) > room and size > _LEAST_PX:
        size -= 2
        font = _font(size, is_bold)
    while said and font.getlength(said) > room:
        said = said[:-1]
    return said, font


@lru_cache(maxsize=256)
def _font(size: int, is_bold: bool) -> FreeTypeFont:
    from PIL import ImageFont

    for name in _FONTS[is_bold]:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    made = ImageFont.load_default(size)
    assert isinstance(made, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return made


def _written(text: str, *, is_bold: bool) -> str:
    from anyascii import anyascii

    return "".join(each if _has(each, is_bold) else anyascii(each) for each in text)


@lru_cache(maxsize=10_000)
def _has(letter: str, is_bold: bool) -> bool:
    """Whether the font has this letter: a missing one looks like a character that no font has."""
    if letter.isspace() or (letter.isascii() and letter.isprintable()):
        return True
    font = _font(32, is_bold)
    return bytes(font.getmask(letter)) != _blank(is_bold)


@cache
def _blank(is_bold: bool) -> bytes:
    return bytes(_font(32, is_bold).getmask(_NO_LETTER))
