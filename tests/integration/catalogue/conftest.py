"""A house whose catalogue Spotify fills: tracks as its answers spell them, and archives beside them."""

from __future__ import annotations

from tests.integration.credentials.conftest import house, make_house
from tests.integration.imports.conftest import house_of_module, shared_house

__all__ = ["house", "house_of_module", "make_house", "shared_house"]
