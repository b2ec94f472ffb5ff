"""File names that every system can store: Windows, macOS and Linux, also on a USB stick or in a ZIP."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Final

# Windows' rules are the strictest: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_FORBIDDEN: Final = frozenset('<>:"/\\|?*')
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|\Z)", re.IGNORECASE)
# With a number and a suffix this stays below the 143 bytes that encrypted home folders allow.
_MOST_BYTES: Final = 120
_UNNAMED: Final = "playlist"


def file_stem(name: str, *, most_bytes: int = _MOST_BYTES) -> str:
    """A file name without suffix, as close to the playlist's name as all file systems allow."""
    whole = unicodedata.normalize("NFC", name)
    kept = "".join(char if char.isprintable() and char not in _FORBIDDEN else "_" for char in whole)
    stem = _trimmed(kept.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")) or _UNNAMED
    return f"_{stem}" if _DEVICES.match(stem) else stem


def _trimmed(text: str) -> str:
    # A leading dot hides a file, and Windows drops trailing dots and spaces.
    return text.lstrip(". ").rstrip(". ")


class FileNames:
    """Gives each file of a folder a unique name, even on file systems that ignore case and accents."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: Counter[str] = Counter()

    def take(self, name: str, suffix: str) -> str:
        """`name` and the suffix, with a number if that is taken."""
        stem = file_stem(name)
        alike = _alike(stem)
        while True:
            self._counts[alike] += 1
            number = self._counts[alike]
            end = f" ({number})" if number > 1 else ""
            found = f"{file_stem(stem, most_bytes=_MOST_BYTES - len(end))}{end}{suffix}"
            if (taken := _alike(found)) not in self._taken:
                self._taken.add(taken)
                return found


def _alike(name: str) -> str:
    """Equal for names that some file system does not tell apart: Unicode's compatibility caseless match (D146)."""
    once = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKD", once.casefold())
