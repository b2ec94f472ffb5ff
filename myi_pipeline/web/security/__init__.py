"""Recognising visitors, and limiting what they may try."""
