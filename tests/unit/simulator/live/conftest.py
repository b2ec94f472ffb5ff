"""A small world for the unit tests of the live simulator."""

from __future__ import annotations

import pytest

from myi_pipeline.simulator.live import SimulatorSpec, World, world_of


@pytest.fixture(scope="session")
def world() -> World:
    return world_of(SimulatorSpec(seed=5, artists=40, relinked_tracks=0.05, removed_tracks=0.02))
