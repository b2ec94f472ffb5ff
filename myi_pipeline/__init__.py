"""MYI: a self-hosted warehouse for listening history."""

__version__ = "0.1.0"
