"""MusicBrainz over HTTP: recordings, artists, genres. Nothing but errors of MYI's own is raised."""
