"""What is told of a user's login at Spotify.

Belongs here: its state and its end. Not here: the login itself, which this room cannot open. Invariant: no secret.
"""

from __future__ import annotations

from datetime import UTC, datetime

from myi_pipeline.api.database import Pools
from myi_pipeline.api.sql_files import load_sql
from myi_pipeline.core.login_terms import days_left, ends_at


async def find_login(pools: Pools, user_id: int) -> dict[str, object] | None:
    """The fields of models.figures.Login, or None for a user who only uploads. Raises DatabaseGone."""
    row = await pools.ask_access(load_sql("access/show_login"), {"user_id": user_id})
    if row is None:
        return None
    status, is_paused, authorised_at, refreshed_at = row
    return {
        "status": "paused" if is_paused and status == "active" else status,
        "authorised_at": authorised_at,
        "ends_at": ends_at(authorised_at),
        "days_left": days_left(authorised_at, datetime.now(UTC)),
        "refreshed_at": refreshed_at,
    }
