"""A simulated Spotify on loopback: accounts service and Web API, made-up listeners, a clock, quotas and faults.

Every play, name, identifier and token is a function of the spec and the clock.

    with running_simulator(SimulatorSpec(listeners=(persona("albums", "ana"),)), clock=clock) as simulator:
        tokens = simulator.sign_in("ana")
        simulator.control.advance(3600)
"""

from myi_pipeline.simulator.live.archive import write_archive
from myi_pipeline.simulator.live.browser import SignedIn, SignInRefused, visit
from myi_pipeline.simulator.live.clock import MovableClock
from myi_pipeline.simulator.live.control import Control, ControlError
from myi_pipeline.simulator.live.faults import Fault
from myi_pipeline.simulator.live.listener import LiveListener, TrueLivePlay
from myi_pipeline.simulator.live.playlists import LIKED, ScriptedEntry, ScriptedPlaylist
from myi_pipeline.simulator.live.server import Simulator, SimulatorFailed, running_simulator, serve
from myi_pipeline.simulator.live.spec import (
    PERSONAS,
    SCOPES,
    AppSpec,
    DeviceSpec,
    ListenerSpec,
    ScriptedPlay,
    SimulatorSpec,
    apps_for,
    mixed_listeners,
    persona,
)
from myi_pipeline.simulator.live.world import World, world_of

__all__ = [
    "LIKED",
    "PERSONAS",
    "SCOPES",
    "AppSpec",
    "Control",
    "ControlError",
    "DeviceSpec",
    "Fault",
    "ListenerSpec",
    "LiveListener",
    "MovableClock",
    "ScriptedEntry",
    "ScriptedPlay",
    "ScriptedPlaylist",
    "SignInRefused",
    "SignedIn",
    "Simulator",
    "SimulatorFailed",
    "SimulatorSpec",
    "TrueLivePlay",
    "World",
    "apps_for",
    "mixed_listeners",
    "persona",
    "running_simulator",
    "serve",
    "visit",
    "world_of",
    "write_archive",
]
