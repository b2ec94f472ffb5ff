"""Listens that players and scrobblers push: understanding them, taking them in, and bringing them to raw."""
