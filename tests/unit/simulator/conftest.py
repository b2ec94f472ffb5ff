"""One listener for all tests of the simulator: 6,000 plays in three years that know every quirk."""

from __future__ import annotations

from datetime import date

import pytest

from myi_pipeline.simulator import ArchiveSpec, Listener, build_listener

SPEC = ArchiveSpec(
    seed=7,
    first_day=date(2021, 1, 1),
    last_day=date(2023, 12, 31),
    plays=6_000,
    # Rare things are made less rare, so that each is met in few plays; before and after each date there are plays.
    identical_rows=0.01,
    twin_plays=0.01,
    without_ms_played=0.005,
    unknown_tracks=0.02,
    removed_tracks=0.02,
    renamed_tracks=0.02,
    unnamed_tracks=0.01,
    uriless_tracks=0.01,
    skipped_known_from=date(2021, 9, 1),
    offline_seconds_from=date(2022, 1, 1),
    audiobooks_from=date(2022, 1, 1),
    videos_from=date(2021, 6, 1),
    audiobook_sessions=0.05,
)


@pytest.fixture(scope="session")
def spec() -> ArchiveSpec:
    return SPEC


@pytest.fixture(scope="session")
def listener() -> Listener:
    return build_listener(SPEC)
