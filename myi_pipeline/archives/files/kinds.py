"""Which file is which, by its name or its first rows, and how a wrong package is described.

Every name that Spotify gives to the files of its packages is here. Neither the name of a folder nor case matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from myi_pipeline.catalogue.plays import Source

WANTED: Final = (
    "MYI reads Spotify's extended streaming history (endsong_N.json, Streaming_History_Audio_....json) or the "
    "streaming history of its account data (StreamingHistory....json), as the ZIP that Spotify sent, its folder, "
    "or its JSON files."
)


class FileKind(StrEnum):
    """One kind of play file; the values are stored with each import."""

    ENDSONG = "endsong"
    EXTENDED_AUDIO = "extended_audio"
    EXTENDED_VIDEO = "extended_video"
    ACCOUNT = "account"
    ACCOUNT_MUSIC = "account_music"
    ACCOUNT_PODCAST = "account_podcast"
    ACCOUNT_AUDIOBOOK = "account_audiobook"

    @property
    def source(self) -> Source:
        """Who reported the plays of such a file."""
        return Source.ACCOUNT_HISTORY if self.value.startswith("account") else Source.EXTENDED_HISTORY


# The end of each name is left open: browsers and people add " (1)", "_copy" and the like.
_NAMES: Final = [
    (re.compile(pattern + r"(?![a-z]).*\.json", re.IGNORECASE | re.DOTALL), kind)
    for pattern, kind in (
        (r"endsong", FileKind.ENDSONG),
        (r"streaming_history_audio", FileKind.EXTENDED_AUDIO),
        (r"streaming_history_video", FileKind.EXTENDED_VIDEO),
        (r"streaminghistory_music", FileKind.ACCOUNT_MUSIC),
        (r"streaminghistory_podcast", FileKind.ACCOUNT_PODCAST),
        (r"streaminghistory_audiobook", FileKind.ACCOUNT_AUDIOBOOK),
        (r"streaminghistory(?!_[a-z])", FileKind.ACCOUNT),
    )
]
_ACCOUNT_FILES: Final = re.compile(
    r"(playlist\d*|yourlibrary|userdata|follow|payments|identity|identifiers|inferences|searchqueries|marquee|"
    r"usercustomer|yoursoundcapsule|familyplan|duonewfamily)\.json",
    re.IGNORECASE,
)
_TECHNICAL_FILES: Final = re.compile(
    r"(rawcorestream|accountactivity|addedtoplaylist|audio(driverinfo|streamingsettingsreport|sessionstarted)|"
    r"boomboxplaybacksession|connect(deviceDiscovered|iontype)\w*|download(error)?|headfiledownload|"
    r"core(playback)\w*|kmdevicelinked|playbackerror|requestfailure|social(connectionfailure)|windowsizecoord\w*)"
    r"[\d_]*\.json",
    re.IGNORECASE,
)
_ARCHIVES: Final = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")


def base_name(path: str) -> str:
    """The last part of a path inside an archive or of a file."""
    return path.rsplit("/", 1)[-1]


def kind_by_name(path: str) -> FileKind | None:
    """What a file holds by its base name; None when the name says nothing."""
    name = base_name(path)
    return next((kind for pattern, kind in _NAMES if pattern.fullmatch(name)), None)


def kind_by_rows(rows: Iterable[object]) -> FileKind | None:
    """What a file holds by its first rows; for a file whose name says nothing."""
    for row in rows:
        if not isinstance(row, dict):
            continue
        if "ts" in row and ("ms_played" in row or "spotify_track_uri" in row or "master_metadata_track_name" in row):
            return FileKind.EXTENDED_AUDIO
        if "endTime" in row and "msPlayed" in row:
            if "trackName" in row or "artistName" in row:
                return FileKind.ACCOUNT_MUSIC
            if "episodeName" in row or "podcastName" in row:
                return FileKind.ACCOUNT_PODCAST
            if "chapterName" in row or "audiobookName" in row:
                return FileKind.ACCOUNT_AUDIOBOOK
    return None


_NUMBERED: Final = re.compile(
    r"(?:endsong|streaming_?history(?:_[a-z]+)?)((?:_20[0-9]{2}(?:-20[0-9]{2})?)?)(?:_?([0-9]{1,4}))?(?![0-9]).*",
    re.IGNORECASE | re.DOTALL,
)
# Names of one kind of history that no single export has together.
_ERAS: Final = (
    ({FileKind.ENDSONG}, {FileKind.EXTENDED_AUDIO, FileKind.EXTENDED_VIDEO}),
    ({FileKind.ACCOUNT}, {FileKind.ACCOUNT_MUSIC, FileKind.ACCOUNT_PODCAST, FileKind.ACCOUNT_AUDIOBOOK}),
)


def export_numbers(files: Sequence[tuple[str, FileKind]]) -> list[int]:
    """The export that each play file is from: 0 for all of them, or 1, 2, ... if their names show two exports together.

    No export has two files of one kind and number, or names of two eras. With two exports nothing says which file is
    from which, so each is taken for an export of its own: a history is cut into files by time, and the files of one
    export have no row in common.
    """
    places = [(kind, *_place_in_series(name)) for name, kind in files]
    kinds = {kind for _, kind in files}
    if len(set(places)) == len(places) and not any(kinds & older and kinds & newer for older, newer in _ERAS):
        return [0] * len(files)
    return list(range(1, len(files) + 1))


def _place_in_series(path: str) -> tuple[str, str]:
    """A file's number, or the years in its name where it has none; both empty where the name says nothing."""
    found = _NUMBERED.fullmatch(base_name(path))
    if found is None:
        return "", ""
    years, number = found.groups()
    return ("", str(int(number))) if number else (years, "")


def is_other_file(path: str) -> bool:
    """Whether the name is one that Spotify gives to a file which is no streaming history."""
    name = base_name(path)
    return bool(_ACCOUNT_FILES.fullmatch(name) or _TECHNICAL_FILES.fullmatch(name))


def is_archive(path: str) -> bool:
    """Whether the name is that of an archive."""
    return base_name(path).lower().endswith(_ARCHIVES)


def natural_key(path: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sorts `_2` before `_10`: by base name, then by whole path."""
    parts = re.findall(r"[0-9]+|[^0-9]+", base_name(path).casefold())
    return tuple(
        (0, int(part[:300]), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts
    ), path


def describe_wrong(names: Sequence[str]) -> str:
    """What a package without play files is, as a sentence."""
    if not names:
        return "This is empty."
    bases = [base_name(name) for name in names]
    if any("technical log" in name.casefold() for name in names) or any(map(_TECHNICAL_FILES.fullmatch, bases)):
        return (
            "This is Spotify's technical log information: it holds no listening history. "
            'Ask Spotify for "Extended streaming history" instead.'
        )
    if any(map(_ACCOUNT_FILES.fullmatch, bases)):
        return (
            "This is Spotify's account data, but without a streaming history in it. "
            'Ask Spotify for "Extended streaming history", or download the account data again.'
        )
    if any(map(is_archive, bases)):
        return "This holds other archives but no listening history; hand over the inner archive itself."
    if len(names) == 1:
        return "This is not a listening history."
    return f"This is not a Spotify package: none of its {len(names):,} files is a listening history."
