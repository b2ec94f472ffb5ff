"""Listens submitted by players and scrobblers: parsing them, accepting them, and loading them into raw."""
