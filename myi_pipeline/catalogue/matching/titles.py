"""Parses titles and credits: the name of the song, its version, and who plays.

"Song (feat. B) - Live at the Hall / Remastered 2009" is the song "song", featuring "b", live with the detail "hall";
the remaster is ignored. Only text in brackets, after a dash or at the end can be more than a name: "Live and Let Die"
is a name.

Names are compared folded: without case and punctuation, Latin and Greek letters without accents, "&" as "and". Other
scripts stay as they are; nothing is transliterated, because two names can have the same romanisation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

# Names whose forms are kept: those of a few hundred tracks and their candidates, which are compared with each other one
# after the other. More would grow with a playlist (8 MB each at 20,000) and be asked for no more often.
REMEMBERED = 2_000
# Letters that Unicode does not decompose.
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "$": "s"})
# "P!nk".
_STRUCK_I = re.compile(r"(?<=\b[a-z])!(?=[a-z])")
_SHORTENED = (
    (re.compile(r"\bpt (?=\d|[ivx]+\b)"), "part "),
    (re.compile(r"\bnr (?=\d)"), "no "),
    (re.compile(r"\bvol (?=\d|[ivx]+\b)"), "volume "),
)
_APOSTROPHES = re.compile("['’‘ʼ`´]")
_NON_WORDS = re.compile(r"[^\w]+|_")
_BRACKETS = re.compile(r"[(\[{（【]([^()\[\]{}（）【】]*)[)\]}）】]")
_DASH = re.compile(r"\s+[-–—|~]\s+|\s+//?\s+")
# After a dash Spotify may list several marks: "Live / Remastered 2009", "Mono; 2009 Remaster".
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

# Words that mark a recording of its own, whatever its length -> the kind of version.
_VERSION_WORDS: Mapping[str, str] = {
    "live": "live", "vivo": "live", "directo": "live", "concert": "live", "unplugged": "acoustic",
    "acoustic": "acoustic", "acustico": "acoustic", "acoustique": "acoustic", "akustik": "acoustic",
    "remix": "remix", "rmx": "remix", "remixed": "remix", "mix": "remix", "dub": "dub", "bootleg": "remix",
    "vip": "remix", "rework": "remix", "mashup": "mashup",
    "instrumental": "instrumental", "karaoke": "karaoke", "demo": "demo", "outtake": "take", "take": "take",
    "alternate": "take", "alternative": "take", "rehearsal": "take",
    "acapella": "acapella", "cappella": "acapella", "orchestral": "orchestral", "symphonic": "orchestral",
    "piano": "piano", "stripped": "acoustic", "session": "session", "sessions": "session",
    "mono": "mono", "clean": "clean", "censored": "clean", "reprise": "reprise", "interlude": "interlude",
    "intro": "intro", "outro": "outro", "skit": "skit", "commentary": "commentary", "cover": "cover",
    "rerecorded": "rerecorded", "rerecording": "rerecorded", "slowed": "slowed", "sped": "sped up",
    "nightcore": "sped up", "reverb": "slowed", "extended": "extended", "medley": "medley", "version": "version",
    "versión": "version", "versao": "version", "versione": "version", "ver": "version",
    "konzert": "live", "konzertmitschnitt": "live", "concierto": "live", "akustisch": "acoustic",
    "tribute": "cover", "lullaby": "cover", "8d": "effect", "16d": "effect", "boosted": "effect", "lofi": "effect",
    "hz": "effect", "chopped": "effect", "8bit": "cover", "16bit": "cover", "chiptune": "cover", "flip": "remix",
    "minus": "instrumental", "backing": "instrumental", "drumless": "instrumental", "hardstyle": "remix",
    "acappella": "acapella", "capella": "acapella", "vocals": "acapella", "speed": "sped up", "reversed": "effect",
    "reimagined": "rerecorded",
    "концертная": "live", "концерт": "live", "лайв": "live", "живой": "live", "ремикс": "remix", "акустика": "acoustic",
    "акустическая": "acoustic", "караоке": "karaoke", "инструментал": "instrumental", "демо": "demo", "кавер": "cover",
    "ζωντανα": "live", "ζωντανη": "live", "ρεμιξ": "remix", "ακουστικο": "acoustic", "καραοκε": "karaoke",
}  # fmt: skip
# The same for scripts without spaces, where these are parts of a mark.
_VERSION_PARTS: Mapping[str, str] = {
    "ライブ": "live", "ライヴ": "live", "现场": "live", "現場": "live", "라이브": "live", "リミックス": "remix",
    "混音": "remix", "리믹스": "remix", "アコースティック": "acoustic", "어쿠스틱": "acoustic",
    "カラオケ": "karaoke", "노래방": "karaoke", "伴奏": "instrumental", "インスト": "instrumental", "デモ": "demo",
    "カバー": "cover", "カヴァー": "cover", "翻唱": "cover", "バージョン": "version", "ヴァージョン": "version",
}  # fmt: skip
# Marks of covers: "Originally Performed by", "In the Style of", "Made Famous by".
_COVERED = re.compile(
    r"^(?:as )?(?:originally|made) (?:performed|recorded|sung|famous|popular)(?: by)?\b"
    r"|^(?:in the )?style of\b|^performed by\b"
)
# Joined, because they would otherwise be two words: "8-Bit", "Lo-Fi", "Re-Recorded".
_JOINED = re.compile(r"(?i)\b(re(?=[- ]?record)|lo(?=[- ]?fi\b)|(?:8|16)(?=[- ]?bit\b))[- ]?")
_BESIDE_SIGNS = re.compile(r"(?<=[a-z0-9])(?=[぀-鿿가-힣])|(?<=[぀-鿿가-힣])(?=[a-z0-9])")
# Either another cut, or the same one with another label: the length decides.
_CUT_WORDS: Mapping[str, str] = {"edit": "edit", "radio": "edit", "single": "edit", "short": "edit", "edited": "edit"}
# Words that say nothing about the recording.
_NEUTRAL = frozenset({
    "original", "album", "version", "stereo", "remaster", "remastered", "bonus", "track", "deluxe", "edition",
    "explicit", "from", "soundtrack", "ost", "audio", "official", "video", "lyrics", "lyric", "anniversary",
    "digital", "digitally", "hd", "hq", "main", "studio", "full", "length",
})  # fmt: skip
# Words that are ignored when the details of versions are compared.
_FILLERS = frozenset({
    "the", "a", "an", "at", "in", "on", "from", "of", "for", "by", "and", "with", "recorded", "version", "bbc",
    "de", "en", "ao", "la", "le", "edit",
})  # fmt: skip
_VARIOUS_ARTISTS = frozenset(
    {"various artists", "various", "va", "verschiedene interpreten", "artistes varies", "varios artistas"}
)


@dataclass(frozen=True, slots=True)
class Title:
    """A parsed title. `name` is folded; `subtitle` is text in brackets that is not a mark; `versions` are pairs of kind
    and detail (often empty).

    `soft` is the cut that a mark names, such as edit; `numbers` are all numbers in name and subtitle, in order.
    """

    name: str
    subtitle: str
    versions: tuple[tuple[str, str], ...]
    soft: str
    featured: frozenset[str]
    numbers: tuple[str, ...]


@lru_cache(REMEMBERED)
def fold(text: str) -> str:
    """The form in which two spellings of one name are equal; words are separated by single spaces."""
    low = text.casefold()
    if not low.isascii():
        low = _without_accents(unicodedata.normalize("NFKC", low).casefold())
    low = _APOSTROPHES.sub("", _STRUCK_I.sub("i", low.translate(_LETTERS))).replace("&", " and ").replace("+", " and ")
    words = _NON_WORDS.sub(" ", low).split()
    folded = " ".join("and" if word == "n" and 0 < place < len(words) - 1 else word for place, word in enumerate(words))
    for pattern, whole in _SHORTENED:
        folded = pattern.sub(whole, folded)
    # A name that consists of symbols only keeps them.
    return folded or "".join(text.split())


def _without_accents(text: str) -> str:
    """Remove the accents of Latin and Greek letters. In other scripts they distinguish letters: и and й, か and が."""
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
    """Parse a title as a source spells it."""
    found = _Found()
    name = unicodedata.normalize("NFKC", title)
    inner: list[str] = []
    # Innermost brackets first. Text that is not a mark is a subtitle; at the front it is part of the name.
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
    """The marks found in one title."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.soft = ""
        self.featured: set[str] = set()

    def read_marks(self, text: str) -> bool:
        """Read one or several marks; False if the text, or a part of it, is not a mark."""
        if _FEATURING.match(text.strip()):
            return self.read(text)
        # Read every part, even if an earlier one is not a mark.
        found = [self.read(part) for part in _MARKS.split(text.strip()) if part]
        return all(found)

    def read(self, text: str) -> bool:
        """Read one mark; False if the text is not a mark."""
        if match := _FEATURING.match(text.strip()):
            self.featured.update(names_of(match.group(1)))
            return True
        folded = _BESIDE_SIGNS.sub(" ", fold(_JOINED.sub(r"\1", text)))
        words = folded.split()
        kinds = {_VERSION_WORDS[word] for word in words if word in _VERSION_WORDS}
        if not folded.isascii():
            kinds |= {kind for signs, kind in _VERSION_PARTS.items() if signs in folded}
            words = [word for word in words if not any(signs in word for signs in _VERSION_PARTS)]
        if _COVERED.search(folded):
            kinds.add("cover")
        is_soft = any(word in _CUT_WORDS for word in words)
        is_remastered = bool(_REMASTERED.search(text)) or "remaster" in words
        is_neutral = bool(words) and all(word in _NEUTRAL or _YEAR.match(word) or word.isdigit() for word in words)
        if words and words[0] == "from" and not kinds - {"version"}:
            return True
        if words[-1:] == ["version"] or "version" in kinds:
            # "Album Version" is ignored, "Spanish Version" is a version, "Live Version" means the same as "Live".
            kinds.discard("version")
            other = [
                w
                for w in words
                if w not in _NEUTRAL and w not in _FILLERS and w not in _CUT_WORDS and w not in _VERSION_WORDS
            ]
            others = [w for w in other if not (is_remastered and (w.isdigit() or _YEAR.match(w)))]
            if not kinds and others and not (is_remastered and not _named(others)):
                kinds.add("version")
        if "original" in words and kinds <= {"remix", "version"}:
            # "Original Mix" is the original, not a remix.
            return True
        if not (kinds or is_soft or is_remastered or is_neutral):
            return False
        detail = " ".join(
            w for w in words
            if w not in _VERSION_WORDS and w not in _CUT_WORDS and w not in _FILLERS and w not in _NEUTRAL
            and not (is_remastered and (w.isdigit() or _YEAR.match(w)))
        )  # fmt: skip
        for kind in kinds:
            self.versions[kind] = " ".join(filter(None, (self.versions.get(kind, ""), detail)))
        if is_soft and not kinds:
            self.soft = f"edit {detail}".strip()
        return True

    def read_end(self, folded: str) -> str:
        """Read marks at the end of a name, without brackets or a dash; returns the rest of the name."""
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
    """Numbers, Roman numerals and single letters, which tell parts, movements and keys apart."""
    words = folded.split()
    return tuple(
        word
        for place, word in enumerate(words)
        if word[0].isdigit() or (place > 0 and (_ROMAN.match(word) or (len(word) == 1 and word not in "aio")))
    )


@lru_cache(REMEMBERED)
def names_of(credit: str) -> tuple[str, ...]:
    """The folded names in a credit such as "A, B & C", in order, without articles."""
    whole = unicodedata.normalize("NFKC", credit)
    names = [without_article(fold(part)) for part in _JOINTS.split(whole) if part.strip()]
    return tuple(dict.fromkeys(name for name in names if name)) or (fold(whole),)


def is_sampler(credit: str) -> bool:
    """Whether a credit is "Various Artists" or the like."""
    return fold(credit) in _VARIOUS_ARTISTS


@lru_cache(REMEMBERED)
def album_name(album: str) -> str:
    """An album's name without its edition."""
    parsed = parse_title(album)
    return parsed.name
