"""Recent plays polled from Spotify: whose turn it is, reading a page, gaps, and the top lists."""
