"""What a visitor shows at the door, by its look alone.

Belongs here: telling whether a text could be a session's reference or an access token at all; anything else is not
looked up. Not here: making and hashing them (services/manage_access).
"""

from __future__ import annotations

import re

from myi_pipeline.services.manage_access import TOKEN_PREFIX

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def is_secret(text: str) -> bool:
    return _SECRET.match(text) is not None


def is_token(text: str) -> bool:
    return text.startswith(TOKEN_PREFIX) and is_secret(text.removeprefix(TOKEN_PREFIX))
