"""Moving playlists between services: what to write, in which steps, and what became of a write without an answer."""
