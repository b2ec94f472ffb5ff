"""YouTube Music through YouTube's Data API v3: playlists read and written one video at a time, videos found by name.

Facts are from developers.google.com/youtube/v3: a project has 10,000 units and 100 searches a day; the day ends at
midnight Pacific time; a list costs 1 unit, a write 50. A video has no ISRC.
"""
