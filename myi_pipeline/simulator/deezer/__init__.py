"""A simulated Deezer on loopback: public accounts, their lists, a catalogue, and a limit of 50 requests in five
seconds.

Less reliable than the real one usually is: errors have status 200, pages omit tracks, numbers are strings.

    with running_deezer(clock=clock) as deezer:
        deezer.world.make_playlist("42", "Morning", [1, 2, 2])
"""

from myi_pipeline.simulator.deezer.server import (
    DeezerPlaylist,
    DeezerTrack,
    DeezerWorld,
    SimulatedDeezer,
    running_deezer,
)

__all__ = ["DeezerPlaylist", "DeezerTrack", "DeezerWorld", "SimulatedDeezer", "running_deezer"]
