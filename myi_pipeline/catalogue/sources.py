"""The traits of each source of plays, for code that reads rows. raw.sources has the same traits, and more, for SQL; a
test compares the two. Rules check traits, never the number of a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from myi_pipeline.catalogue.plays import Source
from myi_pipeline.providers.scrobbles import Service

# Spotify did not exist before.
_SPOTIFY_BEGINS: Final = datetime(2006, 1, 1, tzinfo=UTC)
# The first scrobbler, Audioscrobbler, started in October 2002. ListenBrainz refuses older listens for the same reason
# (LISTEN_MINIMUM_DATE in listenbrainz/listenstore/__init__.py of metabrainz/listenbrainz-server).
_SCROBBLING_BEGINS: Final = datetime(2002, 10, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTraits:
    """`label` is what people call what they upload or connect; `short` is shown next to a single play. Times before
    `earliest` are not plays, and `why_earliest` says why. Times are cut to `precision_ms` milliseconds. `service`
    collected these plays, so they are never sent to it. `exporter` is the program or service that writes such files.
    """

    label: str
    short: str
    earliest: datetime
    why_earliest: str
    precision_ms: int = 1000
    service: Service | None = None
    exporter: str | None = None

    @property
    def cuts_to_minutes(self) -> bool:
        """Whether times are cut to minutes. Two equal rows are then two plays: in seconds they would differ."""
        return self.precision_ms >= 60_000


def _spotify(label: str, short: str, *, precision_ms: int = 1000) -> SourceTraits:
    return SourceTraits(
        label=label,
        short=short,
        earliest=_SPOTIFY_BEGINS,
        why_earliest="2006, when there was no Spotify yet",
        precision_ms=precision_ms,
    )


def _scrobbles(
    label: str,
    short: str,
    *,
    service: Service | None = None,
    exporter: str | None = None,
    precision_ms: int = 1000,
) -> SourceTraits:
    return SourceTraits(
        label=label,
        short=short,
        earliest=_SCROBBLING_BEGINS,
        why_earliest="October 2002, when nothing scrobbled yet; a player whose clock was reset writes such times",
        precision_ms=precision_ms,
        service=service,
        exporter=exporter,
    )


def _export(name: str, *, service: Service | None = None) -> SourceTraits:
    return _scrobbles(f"{name} export", name, service=service, exporter=name)


TRAITS: Final[dict[Source, SourceTraits]] = {
    Source.EXTENDED_HISTORY: _spotify("Extended streaming history", "archive"),
    Source.ACCOUNT_HISTORY: _spotify("Account data", "account data", precision_ms=60_000),
    Source.SPOTIFY_API: _spotify("Spotify, polled", "polled", precision_ms=1),
    Source.LASTFM_EXPORT: _export("Last.fm", service=Service.LASTFM),
    Source.LISTENBRAINZ_EXPORT: _export("ListenBrainz", service=Service.LISTENBRAINZ),
    Source.MALOJA_EXPORT: _export("Maloja"),
    Source.KOITO_EXPORT: _export("Koito"),
    Source.SCROBBLER_LOG: _scrobbles("Scrobbler log", "scrobbler log"),
    Source.LASTFM_API: _scrobbles("Last.fm, polled", "Last.fm, polled", service=Service.LASTFM),
    Source.LISTENBRAINZ_API: _scrobbles("ListenBrainz, polled", "ListenBrainz, polled", service=Service.LISTENBRAINZ),
    Source.SUBMITTED_LISTENS: _scrobbles("Reported by a player", "player"),
    Source.LASTFM_EXPORT_MINUTES: _scrobbles(
        "Last.fm export, cut to minutes", "Last.fm, to the minute", service=Service.LASTFM, precision_ms=60_000
    ),
}

_EXPORTERS: Final = tuple(dict.fromkeys(traits.exporter for traits in TRAITS.values() if traits.exporter is not None))
# For sentences: "Last.fm, ListenBrainz, Maloja and Koito".
EXPORTERS: Final = f"{', '.join(_EXPORTERS[:-1])} and {_EXPORTERS[-1]}"

# The source of plays that are polled from a linked account.
POLLED_SOURCES: Final = {
    Service.LASTFM: Source.LASTFM_API,
    Service.LISTENBRAINZ: Source.LISTENBRAINZ_API,
}

# The earliest time that any source may report; also the earliest month that gets a partition.
EARLIEST: Final = min(traits.earliest for traits in TRAITS.values())


# Values of app.imports.kind that are not sources.
_OTHER_LABELS: Final = {"myi_export": "Export of MYI"}


def label_of(name: str) -> str:
    """What people call a source, by its name in raw.sources or app.imports.kind; other names are returned unchanged."""
    if name in _OTHER_LABELS:
        return _OTHER_LABELS[name]
    return TRAITS[Source[name.upper()]].label if name.upper() in Source.__members__ else name


def short_label_of(name: str) -> str:
    """The same, in the short form shown next to a single play."""
    return TRAITS[Source[name.upper()]].short if name.upper() in Source.__members__ else name
