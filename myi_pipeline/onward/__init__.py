"""Sending plays on to Last.fm and ListenBrainz, once each, if a user asks for it."""
