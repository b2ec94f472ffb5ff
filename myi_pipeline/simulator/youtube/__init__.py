"""A simulated YouTube on loopback: Google's sign-in, playlists of videos, a search, and a daily quota of units.

Less reliable than the real one usually is: answers are lost after a request was carried out, videos vanish, titles are
messy.

    with running_youtube(clock=clock) as youtube:
        youtube.world.make_playlist("ana", "Morning", ["v1", "v2"])
"""

from myi_pipeline.simulator.youtube.server import SimulatedYouTube, running_youtube
from myi_pipeline.simulator.youtube.world import Video, YouTubePlaylist, YouTubeWorld

__all__ = ["SimulatedYouTube", "Video", "YouTubePlaylist", "YouTubeWorld", "running_youtube"]
