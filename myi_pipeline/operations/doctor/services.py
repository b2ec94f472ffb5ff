"""Other people's services: the keys and logins that open them, and what was asked of them."""

from __future__ import annotations

from collections.abc import Iterator

from myi_pipeline.operations import checks
from myi_pipeline.operations.doctor.check import Check, Status, from_found
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings


def encryption_keys(settings: Settings) -> Check:
    return from_found("encryption keys", checks.encryption_keys(settings))


def spotify_app(settings: Settings) -> Check:
    return from_found("Spotify app", checks.spotify_app(settings), unless=Status.WARN)


def stored_logins(settings: Settings, warehouse: Warehouse) -> Check:
    return from_found("stored logins", checks.stored_logins_open(settings, warehouse))


def logins(warehouse: Warehouse) -> Check:
    return from_found("logins", checks.logins(warehouse, now=utc_now()), unless=Status.WARN)


def musicbrainz(settings: Settings, warehouse: Warehouse) -> Check:
    return from_found("MusicBrainz", checks.musicbrainz(settings, warehouse, now=utc_now()), unless=Status.WARN)


def polls(warehouse: Warehouse) -> Check:
    finding = checks.polls_succeed(warehouse)
    mend = "" if finding.passed else "myi poll"
    return from_found("polls", (finding.passed, finding.text, mend), unless=Status.WARN)


def linked_accounts(warehouse: Warehouse) -> Iterator[Check]:
    """Empty if nobody has linked one."""
    for finding in (checks.service_polls_succeed(warehouse), checks.service_polls_are_fresh(warehouse, now=utc_now())):
        if not finding.passed or not finding.figures["accounts"]:
            break
    if finding.figures["accounts"]:
        mend = "" if finding.passed else "myi service list; while `myi up` runs, accounts are polled automatically"
        yield from_found("linked accounts", (finding.passed, finding.text, mend), unless=Status.WARN)


def playlist_accounts(warehouse: Warehouse) -> Iterator[Check]:
    """Empty if nobody has linked one."""
    finding, mend = checks.playlist_accounts(warehouse)
    if finding.figures["accounts"]:
        yield from_found("playlist accounts", (finding.passed, finding.text, mend), unless=Status.WARN)


def youtube_units(settings: Settings, warehouse: Warehouse) -> Iterator[Check]:
    """Empty if YouTube is not set up."""
    found = checks.youtube_units(settings, warehouse, now=utc_now())
    if found is not None:
        yield from_found("YouTube's units", found, unless=Status.WARN)
