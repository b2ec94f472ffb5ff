"""What was played: contents and their names, pictures, and what Spotify says about tracks that only archives name."""
