"""Which pictures MYI keeps: from which host, in which size and format.

Only addresses on Spotify's picture host are accepted, and a picture's type is taken from its first bytes, whatever the
server says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from myi_pipeline.catalogue.records import Picture

# Pages show 44 to 128 points, and a screen may have two pixels per point. Spotify offers 640, 300 and 64 pixels.
WANTED_PX: Final = 300
# Ten times the size of a 300 px photograph as JPEG.
MOST_BYTES: Final = 300_000
# No other host or kind of path is ever requested, whatever an answer of the Web API says.
_ADDRESS: Final = re.compile(r"https://i\.scdn\.co(/image/[0-9A-Za-z_-]{1,200})\Z", re.ASCII)
# Pictures without a size are taken to be the largest.
_USUAL_PX: Final = 640
# Encoders may leave some padding behind the end.
_PADDING_BYTES: Final = 1_024


def picture_path(url: str) -> str | None:
    """The path on Spotify's picture host; None for an address of any other kind."""
    found = _ADDRESS.match(url)
    return found[1] if found else None


def best_picture(pictures: Iterable[Picture]) -> Picture | None:
    """The picture closest in size to WANTED_PX, the larger of two equally close; None if no address is allowed."""
    allowed = [each for each in pictures if picture_path(each.url) is not None]
    return min(allowed, key=lambda each: (abs(_pixels(each) - WANTED_PX), -_pixels(each)), default=None)


def media_type_of(content: bytes) -> str | None:
    """image/jpeg, image/png or image/webp, by the first bytes; None for anything else, including SVG and web pages."""
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return None


def is_whole(content: bytes) -> bool:
    """Whether a picture of one of these types also ends properly: a truncated one would be shown as broken."""
    match media_type_of(content):
        case "image/jpeg":
            return b"\xff\xd9" in content[-_PADDING_BYTES:]
        case "image/png":
            return b"IEND\xaeB`\x82" in content[-_PADDING_BYTES:]
        case "image/webp":
            return int.from_bytes(content[4:8], "little") + 8 <= len(content)
        case _:
            return False


def _pixels(picture: Picture) -> int:
    return picture.width or picture.height or _USUAL_PX
