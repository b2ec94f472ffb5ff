"""A simulated TIDAL on loopback: its sign-in, catalogue and playlists, and the truth about all of them.

Written from TIDAL's published API description (version 1.10.104), but less reliable than the real one usually is: page
sizes vary, totals are wrong, answers are lost after a request was carried out, lists change while they are read.

    with running_tidal(clock=clock) as tidal:
        ana = tidal.world.account("ana")
        mine = tidal.world.make_playlist(ana, "Morning", tracks=["1", "2", "2"])
"""

from myi_pipeline.simulator.tidal.server import SimulatedTidal, running_tidal
from myi_pipeline.simulator.tidal.world import TidalAccount, TidalEntry, TidalPlaylist, TidalTrack, TidalWorld, Write

__all__ = [
    "SimulatedTidal",
    "TidalAccount",
    "TidalEntry",
    "TidalPlaylist",
    "TidalTrack",
    "TidalWorld",
    "Write",
    "running_tidal",
]
