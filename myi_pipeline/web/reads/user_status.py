"""What a page says about its user beside the marts: the login, the newest import, what is still to be counted."""

from __future__ import annotations

from dataclasses import dataclass

from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.reads.sql_files import load_sql

# A day or two is what a poll brings, all the time; more is an archive.
_MANY_DAYS = 8


@dataclass(frozen=True)
class UserStatus:
    """`import_id` is the newest import, None without any; one that waits for the person's word is none.
    `is_zone_chosen`: the person, or somebody for them, set the time zone. `has_scrobbler`: a token that submits listens
    was used within a month."""

    is_zone_chosen: bool
    login_status: str
    days_to_count: int
    import_id: int | None
    archive_name: str | None
    import_status: str | None
    has_scrobbler: bool = False

    @property
    def is_connected(self) -> bool:
        return self.login_status == "active"

    @property
    def is_followed(self) -> bool:
        """Whether anybody could say what is playing now."""
        return self.is_connected or self.has_scrobbler

    @property
    def is_importing(self) -> bool:
        return self.import_status in ("pending", "running")

    @property
    def is_being_counted(self) -> bool:
        """Whether an archive's plays are still on their way to the marts."""
        return self.days_to_count == _MANY_DAYS


async def find_user_status(pools: Pools, user_id: int) -> UserStatus:
    """Raises DatabaseGone."""
    found = await pools.ask_access(load_sql("access/user_status"), {"user_id": user_id, "at_most": _MANY_DAYS})
    # A user who was removed a moment ago has nothing.
    return UserStatus(*found) if found is not None else UserStatus(True, "", 0, None, None, None)
