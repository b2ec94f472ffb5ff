"""Plays that are sent on to Last.fm and ListenBrainz, once each, at a person's wish."""
