"""A setup whose catalogue Spotify fills: tracks as its answers spell them, and archives beside them."""

from __future__ import annotations

from tests.integration.archives.conftest import setup_of_module, shared_setup
from tests.integration.credentials.conftest import make_setup, setup

__all__ = ["make_setup", "setup", "setup_of_module", "shared_setup"]
