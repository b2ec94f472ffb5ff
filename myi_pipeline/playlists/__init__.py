"""Playlists: gathered from services with their full history, moved between services, read from and written to files."""
