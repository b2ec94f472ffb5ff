"""What was played: contents, their names and pictures, and what Spotify and MusicBrainz know about them."""
