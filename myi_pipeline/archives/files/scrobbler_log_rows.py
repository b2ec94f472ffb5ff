"""Lines of a `.scrobbler.log`, which offline players write: Audioscrobbler's Portable Player Logging 1.1.

The format is described at the top of apps/plugins/lastfm_scrobbler.c of Rockbox: artist, album, title, number, length
in seconds, rating, the start of the play in seconds since 1970, MusicBrainz' track id (today called recording id).
#TZ/UTC says that the player knew its zone; with #TZ/UNKNOWN it wrote what its clock showed, and the zone must be given.
A line rated S was skipped before half of it was heard: a play with `skipped`, which does not count.

When clocks go back, an hour occurs twice: times in it count as its first occurrence. When they go forward, an hour is
skipped: a player whose clock was not set may still show it, and its time is read as if clocks had not changed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

from myi_pipeline.archives.files.scrobbles import Scrobble, ScrobbleRows, parse_unix_time
from myi_pipeline.catalogue.plays import Source
from myi_pipeline.catalogue.row_rules import BadRow

# What Rockbox writes for a file without tags.
_UNTAGGED = "<untagged>"


class ScrobblerLog(ScrobbleRows):
    """Each row contains the zone of its time, so that it can be read again by itself."""

    source = Source.SCROBBLER_LOG
    known_keys = frozenset(
        ("artist", "album", "title", "tracknum", "length", "rating", "timestamp", "mbid", "zone", "client")
    )
    time_key = "the time"

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        rating = str(row.get("rating") or "").strip().upper()
        if rating not in ("L", "S"):
            raise BadRow("bad_type", "The rating must be L (listened) or S (skipped).")
        played_at = parse_unix_time(row.get("timestamp"), key=self.time_key)
        if (zone := row.get("zone")) != "UTC":
            played_at = _in_zone(played_at, str(zone))
        return Scrobble(
            played_at=played_at,
            title=_tagged(row.get("title")),
            artist=_tagged(row.get("artist")),
            album=_tagged(row.get("album")),
            recording_mbid=row.get("mbid"),
            duration_ms=self._length(row.get("length"), key="length", unit_ms=1000),
            client=row.get("client"),
            skipped=rating == "S",
        )


def _in_zone(shown: datetime, zone: str) -> datetime:
    """The moment at which a clock in the zone first showed this time."""
    try:
        return shown.replace(tzinfo=_zone(zone), fold=0).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        raise BadRow("bad_timestamp", "The time is in an unknown zone.") from None


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _tagged(value: object) -> object:
    return None if isinstance(value, str) and value.strip().casefold() == _UNTAGGED else value


# The zone of a log's times until somebody has chosen one; this is how such a log is recognised.
ANY_ZONE = "?"


def looks_like_log_in_utc(row: dict[str, object]) -> bool:
    """Whether a line is from a log in UTC."""
    return row.get("zone") == "UTC"


def looks_like_local_log(row: dict[str, object]) -> bool:
    """Whether a line is from a log in the player's own zone, which the log does not name."""
    return row.get("zone") == ANY_ZONE
