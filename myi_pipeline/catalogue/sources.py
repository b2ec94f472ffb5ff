"""What each source of plays is like, for code that reads rows; raw.sources has the same traits and more for SQL, and a
test compares the two. Rules ask for a trait, never for a source by its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from myi_pipeline.catalogue.plays import Source

# Nobody could use Spotify before.
_SPOTIFY_BEGINS: Final = datetime(2006, 1, 1, tzinfo=UTC)
# The first scrobbler, Audioscrobbler, began in October 2002; ListenBrainz refuses what is older for the same reason
# (LISTEN_MINIMUM_DATE in listenbrainz/listenstore/__init__.py of metabrainz/listenbrainz-server).
_SCROBBLING_BEGINS: Final = datetime(2002, 10, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTraits:
    """`label` is what people call what they hand in or connect, `short` the same beside a single play. Times before
    `earliest` are no plays, and `why_earliest` says why. Times are cut to `precision_ms` milliseconds."""

    label: str
    short: str
    earliest: datetime
    why_earliest: str
    precision_ms: int = 1000

    @property
    def cuts_to_minutes(self) -> bool:
        """Whether two equal rows are two plays: in seconds they would differ."""
        return self.precision_ms >= 60_000


def _spotify(label: str, short: str, *, precision_ms: int = 1000) -> SourceTraits:
    return SourceTraits(
        label=label,
        short=short,
        earliest=_SPOTIFY_BEGINS,
        why_earliest="2006, when there was no Spotify yet",
        precision_ms=precision_ms,
    )


def _scrobbles(label: str, short: str, *, precision_ms: int = 1000) -> SourceTraits:
    return SourceTraits(
        label=label,
        short=short,
        earliest=_SCROBBLING_BEGINS,
        why_earliest="October 2002, when nothing scrobbled yet; a player that has lost its clock writes such times",
        precision_ms=precision_ms,
    )


TRAITS: Final[dict[Source, SourceTraits]] = {
    Source.EXTENDED_HISTORY: _spotify("Extended streaming history", "archive"),
    Source.ACCOUNT_HISTORY: _spotify("Account data", "account data", precision_ms=60_000),
    Source.SPOTIFY_API: _spotify("Spotify, polled", "polled", precision_ms=1),
    Source.LASTFM_EXPORT: _scrobbles("Last.fm export", "Last.fm"),
    Source.LISTENBRAINZ_EXPORT: _scrobbles("ListenBrainz export", "ListenBrainz"),
    Source.MALOJA_EXPORT: _scrobbles("Maloja export", "Maloja"),
    Source.KOITO_EXPORT: _scrobbles("Koito export", "Koito"),
    Source.SCROBBLER_LOG: _scrobbles("Scrobbler log", "scrobbler log"),
    Source.LASTFM_API: _scrobbles("Last.fm, polled", "Last.fm, polled"),
    Source.LISTENBRAINZ_API: _scrobbles("ListenBrainz, polled", "ListenBrainz, polled"),
    Source.SUBMITTED_LISTENS: _scrobbles("Reported by a player", "player"),
    Source.LASTFM_EXPORT_MINUTES: _scrobbles("Last.fm export, cut to minutes", "Last.fm", precision_ms=60_000),
}

# The oldest time that any source may tell; also the oldest month that gets a partition.
EARLIEST: Final = min(traits.earliest for traits in TRAITS.values())


def label_of(name: str) -> str:
    """What people call a source, by its name in raw.sources and in app.imports.kind; other names as they are."""
    return TRAITS[Source[name.upper()]].label if name.upper() in Source.__members__ else name


def short_label_of(name: str) -> str:
    """The same beside a single play."""
    return TRAITS[Source[name.upper()]].short if name.upper() in Source.__members__ else name
