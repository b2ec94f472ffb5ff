"""MusicBrainz over HTTP: recordings, artists, genres. Only MYI's own errors are raised."""
