"""Notices for people and programs, each sent once when it begins and once when it ends, and their delivery."""
