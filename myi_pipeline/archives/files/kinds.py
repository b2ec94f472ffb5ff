"""Which file is which, by its name or its first rows, and how to describe a wrong package.

Every name that Spotify gives to the files of its packages is here. The names of folders do not matter, nor does case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from myi_pipeline.catalogue.sources import EXPORTERS

WANTED: Final = (
    "MYI reads Spotify's extended streaming history (endsong_N.json, Streaming_History_Audio_....json), the streaming "
    f"history of its account data (StreamingHistory....json), exports of {EXPORTERS} (ZIP, JSON or CSV), and "
    ".scrobbler.log files: as the ZIP that was sent, its folder, or its files."
)


class FileKind(StrEnum):
    """One kind of play file; the values are stored with each import. For their meaning, see FORMATS in formats.py."""

    ENDSONG = "endsong"
    EXTENDED_AUDIO = "extended_audio"
    EXTENDED_VIDEO = "extended_video"
    ACCOUNT = "account"
    ACCOUNT_MUSIC = "account_music"
    ACCOUNT_PODCAST = "account_podcast"
    ACCOUNT_AUDIOBOOK = "account_audiobook"
    LASTFM_MINUTES = "lastfm_minutes"
    LASTFM_TABLE = "lastfm_table"
    LASTFM_TABLE_MINUTES = "lastfm_table_minutes"
    LASTFM_TRACKS = "lastfm_tracks"
    LASTFM_PAGES = "lastfm_pages"
    LASTFM_STATS = "lastfm_stats"
    LISTENBRAINZ = "listenbrainz"
    LISTENBRAINZ_LIST = "listenbrainz_list"
    MALOJA = "maloja"
    MALOJA_API = "maloja_api"
    KOITO = "koito"
    SCROBBLER_LOG = "scrobbler_log"
    SCROBBLER_LOG_LOCAL = "scrobbler_log_local"


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
    """The last part of a path in an archive or of a file."""
    return path.rsplit("/", 1)[-1]


_NUMBERED: Final = re.compile(
    r"(?:endsong|streaming_?history(?:_[a-z]+)?)((?:_20[0-9]{2}(?:-20[0-9]{2})?)?)(?:_?([0-9]{1,4}))?(?![0-9]).*",
    re.IGNORECASE | re.DOTALL,
)


def place_in_series(path: str) -> tuple[str, str]:
    """A file's number, or the years in its name if it has none; both empty if the name says nothing."""
    found = _NUMBERED.fullmatch(base_name(path))
    if found is None:
        return "", ""
    years, number = found.groups()
    return ("", str(int(number))) if number else (years, "")


def is_other_file(path: str) -> bool:
    """Whether Spotify gives this name to a file that is not a streaming history."""
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
    """A sentence about what a package without play files is."""
    if not names:
        return "This is empty."
    bases = [base_name(name) for name in names]
    if any("technical log" in name.casefold() for name in names) or any(map(_TECHNICAL_FILES.fullmatch, bases)):
        return (
            "This is Spotify's technical log information: it contains no listening history. "
            'Ask Spotify for "Extended streaming history" instead.'
        )
    if any(map(_ACCOUNT_FILES.fullmatch, bases)):
        return (
            "This is Spotify's account data, but without a streaming history in it. "
            'Ask Spotify for "Extended streaming history", or download the account data again.'
        )
    if any(map(is_archive, bases)):
        return "This contains other archives but no listening history; import the inner archive itself."
    if len(names) == 1:
        return "This is not a listening history."
    return f"MYI cannot read this package: none of its {len(names):,} files is a listening history."
