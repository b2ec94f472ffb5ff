"""ListenBrainz: reading anybody's listens, and submitting one's own with a token."""
