"""What a title and a credit say: the name of the song, which version of it, who plays.

"Song (feat. B) - Live at the Hall / Remastered 2009" is the song "song", featuring "b", live with the detail "hall";
that it was remastered says nothing. Only what stands in brackets, behind a dash or as the last words is taken for more
than a name: "Live and Let Die" is a name.

Names are compared folded: without case and punctuation, Latin and Greek letters without accents, "&" as "and". Other
scripts stay as they are; nothing is transliterated, because two names can have one romanisation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

# Letters that Unicode does not take apart.
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "$": "s"})
_APOSTROPHES = re.compile("['’‘ʼ`´]")
_NO_WORD = re.compile(r"[^\w]+|_")
_BRACKETS = re.compile(r"[(\[{（【]([^()\[\]{}（）【】]*)[)\]}）】]")
_DASH = re.compile(r"\s+[-–—|~]\s+|\s+//?\s+")
# Behind a dash Spotify lists several marks: "Live / Remastered 2009", "Mono; 2009 Remaster".
_MARKS = re.compile(r"\s*[/;,]\s*|\s+[-–—]\s+")
_FEATURING = re.compile(r"^(?:feat|ft|featuring|with|con)\b\.?\s+(.+)$", re.IGNORECASE)
_BARE_FEATURING = re.compile(r"\s+(?:feat|ft|featuring)\b\.?\s+(.+)$", re.IGNORECASE)
_JOINTS = re.compile(
    r"\s*(?:,|;|/|&|\+|\bfeat\b\.?|\bft\b\.?|\bfeaturing\b|\band\b|\bund\b|\bet\b|\by\b|\bvs\b\.?|\bx\b)\s*",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:the|a|an|die|der|das|los|las|les|le|la)\s+(?=\w)")
_REMASTERED = re.compile(r"\bre-?master(?:ed|ing|isé|izado|izada|isiert)?\b", re.IGNORECASE)
_YEAR = re.compile(r"^(?:19|20)\d\d$")
_ROMAN = re.compile(r"^[ivx]{1,5}$")

# Of a recording of its own, whatever its length: the word, and what it is called here.
_HARD: Mapping[str, str] = {
    "live": "live", "vivo": "live", "directo": "live", "concert": "live", "unplugged": "acoustic",
    "acoustic": "acoustic", "acustico": "acoustic", "acoustique": "acoustic", "akustik": "acoustic",
    "remix": "remix", "rmx": "remix", "remixed": "remix", "mix": "remix", "dub": "remix", "bootleg": "remix",
    "vip": "remix", "rework": "remix", "mashup": "remix",
    "instrumental": "instrumental", "karaoke": "karaoke", "demo": "demo", "outtake": "take", "take": "take",
    "alternate": "take", "alternative": "take", "rehearsal": "take",
    "acapella": "acapella", "cappella": "acapella", "orchestral": "orchestral", "symphonic": "orchestral",
    "piano": "piano", "stripped": "acoustic", "session": "session", "sessions": "session",
    "mono": "mono", "clean": "clean", "censored": "clean", "reprise": "reprise", "interlude": "interlude",
    "intro": "intro", "outro": "outro", "skit": "skit", "commentary": "commentary", "cover": "cover",
    "rerecorded": "rerecorded", "rerecording": "rerecorded", "slowed": "slowed", "sped": "sped up",
    "nightcore": "sped up", "reverb": "slowed", "extended": "extended", "medley": "medley", "version": "version",
    "versión": "version", "versao": "version", "versione": "version",
}  # fmt: skip
# Another cut, or only another label of the same one: the length tells.
_SOFT: Mapping[str, str] = {"edit": "edit", "radio": "edit", "single": "edit", "short": "edit", "edited": "edit"}
# Say nothing of the recording.
_NEUTRAL = frozenset({
    "original", "album", "version", "stereo", "remaster", "remastered", "bonus", "track", "deluxe", "edition",
    "explicit", "from", "soundtrack", "ost", "audio", "official", "video", "lyrics", "lyric", "anniversary",
    "digital", "digitally", "hd", "hq", "main", "studio", "full", "length",
})  # fmt: skip
# What a version's detail is compared without.
_EMPTY = frozenset({
    "the", "a", "an", "at", "in", "on", "from", "of", "for", "by", "and", "with", "recorded", "version", "bbc",
    "de", "en", "ao", "la", "le", "edit",
})  # fmt: skip
_SAMPLERS = frozenset(
    {"various artists", "various", "va", "verschiedene interpreten", "artistes varies", "varios artistas"}
)


@dataclass(frozen=True, slots=True)
class Title:
    """`name` folded, `subtitle` what stands in brackets and is no mark, `versions` kind -> detail (often empty).

    `soft` is the kind of cut that a mark names, such as edit; `numbers` every number of name and subtitle, in order.
    """

    name: str
    subtitle: str
    versions: tuple[tuple[str, str], ...]
    soft: str
    featured: frozenset[str]
    numbers: tuple[str, ...]


@lru_cache(maxsize=20_000)
def fold(text: str) -> str:
    """The form in which two spellings of one name are equal; words parted by single spaces."""
    low = text.casefold()
    if not low.isascii():
        low = _without_accents(unicodedata.normalize("NFKC", low).casefold())
    low = _APOSTROPHES.sub("", low.translate(_LETTERS)).replace("&", " and ").replace("+", " and ")
    words = _NO_WORD.sub(" ", low).split()
    folded = " ".join("and" if word == "n" and 0 < place < len(words) - 1 else word for place, word in enumerate(words))
    # A name of signs alone is known by them.
    return folded or "".join(text.split())


def _without_accents(text: str) -> str:
    """Marks of Latin and Greek letters go; those of others tell letters apart, as in и and й, か and が."""
    kept: list[str] = []
    is_plain = False
    for character in unicodedata.normalize("NFD", text):
        if unicodedata.combining(character):
            if is_plain:
                continue
        else:
            is_plain = character < "Ͱ" or "Ͱ" <= character < "Ѐ" or "Ḁ" <= character < "\u2000"
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def without_article(folded: str) -> str:
    return _ARTICLE.sub("", folded, count=1)


def parse_title(title: str) -> Title:
    """Read a title as sources spell it."""
    found = _Found()
    name = unicodedata.normalize("NFKC", title)
    inner: list[str] = []
    # The innermost brackets first; whatever is no mark is a subtitle, at the front a part of the name.
    while match := _BRACKETS.search(name):
        text, before, behind = match.group(1).strip(), name[: match.start()], name[match.end() :]
        if not before.strip() and behind.strip():
            name = f"{text} {behind}"
            continue
        name = f"{before} {behind}"
        if text and not found.read_marks(text):
            inner.append(text)
    name, *marks = _DASH.split(name)
    for mark in marks:
        if mark.strip() and not found.read_marks(mark):
            name = f"{name} {mark}"
    if match := _BARE_FEATURING.search(name):
        found.featured.update(names_of(match.group(1)))
        name = name[: match.start()]
    folded = found.read_end(fold(name))
    subtitle = fold(" ".join(inner)) if inner else ""
    if not name.strip() and subtitle:
        folded, subtitle = subtitle, ""
    return Title(
        without_article(folded),
        subtitle,
        tuple(sorted(found.versions.items())),
        found.soft,
        frozenset(found.featured),
        _numbers(f"{folded} {subtitle}"),
    )


class _Found:
    """The marks of one title."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.soft = ""
        self.featured: set[str] = set()

    def read_marks(self, text: str) -> bool:
        """Take in one mark or several; False when the text, or a part of it, is none."""
        if _FEATURING.match(text.strip()):
            return self.read(text)
        # Every part is read, whatever the first one is.
        found = [self.read(part) for part in _MARKS.split(text.strip()) if part]
        return all(found)

    def read(self, text: str) -> bool:
        """Take in one mark; False when the text is none."""
        if match := _FEATURING.match(text.strip()):
            self.featured.update(names_of(match.group(1)))
            return True
        words = fold(re.sub(r"(?i)\bre-record", "rerecord", text)).split()
        kinds = {_HARD[word] for word in words if word in _HARD}
        is_soft = any(word in _SOFT for word in words)
        is_remastered = bool(_REMASTERED.search(text)) or "remaster" in words
        is_neutral = bool(words) and all(word in _NEUTRAL or _YEAR.match(word) or word.isdigit() for word in words)
        if words and words[0] == "from" and not kinds - {"version"}:
            return True
        if words[-1:] == ["version"] or "version" in kinds:
            # "Album Version" says nothing, "Spanish Version" does, "Live Version" says no more than "Live".
            kinds.discard("version")
            other = [w for w in words if w not in _NEUTRAL and w not in _EMPTY and w not in _SOFT and w not in _HARD]
            others = [w for w in other if not (is_remastered and (w.isdigit() or _YEAR.match(w)))]
            if not kinds and others and not (is_remastered and not _named(others)):
                kinds.add("version")
        if "original" in words and kinds <= {"remix", "version"}:
            # "Original Mix" is what others remixed.
            return True
        if not (kinds or is_soft or is_remastered or is_neutral):
            return False
        detail = " ".join(
            w for w in words
            if w not in _HARD and w not in _SOFT and w not in _EMPTY and w not in _NEUTRAL
            and not (is_remastered and (w.isdigit() or _YEAR.match(w)))
        )  # fmt: skip
        for kind in kinds:
            self.versions[kind] = " ".join(filter(None, (self.versions.get(kind, ""), detail)))
        if is_soft and not kinds:
            self.soft = f"edit {detail}".strip()
        return True

    def read_end(self, folded: str) -> str:
        """Marks that stand as the last words, without brackets or a dash."""
        words = folded.split()
        if len(words) > 2 and words[-2:] in (["radio", "edit"], ["live", "version"], ["acoustic", "version"]):
            self.read(" ".join(words[-2:]))
            return " ".join(words[:-2])
        if len(words) > 1 and words[-1] in ("remix", "instrumental", "karaoke", "remastered"):
            self.read(words[-1])
            return " ".join(words[:-1])
        return folded


def _named(words: Iterable[str]) -> bool:
    return any(not word.isdigit() for word in words)


def _numbers(folded: str) -> tuple[str, ...]:
    """Numbers, Roman ones and single letters: what tells parts, movements and keys apart."""
    words = folded.split()
    return tuple(
        word
        for place, word in enumerate(words)
        if word[0].isdigit() or (place > 0 and (_ROMAN.match(word) or (len(word) == 1 and word not in "aio")))
    )


@lru_cache(maxsize=20_000)
def names_of(credit: str) -> tuple[str, ...]:
    """The folded names of a credit such as "A, B & C", in its order, without articles."""
    whole = unicodedata.normalize("NFKC", credit)
    names = [without_article(fold(part)) for part in _JOINTS.split(whole) if part.strip()]
    return tuple(dict.fromkeys(name for name in names if name)) or (fold(whole),)


def is_sampler(credit: str) -> bool:
    """Whether a credit only says that a record is a sampler."""
    return fold(credit) in _SAMPLERS


@lru_cache(maxsize=20_000)
def album_name(album: str) -> str:
    """An album's name without its edition."""
    parsed = parse_title(album)
    return parsed.name
