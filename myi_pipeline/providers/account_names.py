"""Whether two answers of Spotify are about the same account.

An account has two names: `account_id`, which never changes, and `id`, which may. Older answers have only `id`, and
either may be missing from one. So `account_id` decides if both sides have it, and `id` otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Match(StrEnum):
    """SAME and OTHER are certain. CONFLICT: another `account_id`, but the same `id`. UNKNOWN: no name in common."""

    SAME = "same"
    OTHER = "other"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class AccountNames:
    """The known names of one account; at least one."""

    account_id: str | None = None
    profile_id: str | None = None

    def __post_init__(self) -> None:
        if not self.account_id and not self.profile_id:
            raise ValueError("an account needs a name")

    @property
    def key(self) -> str:
        """The first name as stored."""
        return f"account:{self.account_id}" if self.account_id else f"id:{self.profile_id}"

    @classmethod
    def from_keys(cls, *keys: str | None) -> AccountNames:
        """From names as stored: `account:...` and `id:...`."""
        found: dict[str, str] = {}
        for key in keys:
            if key is not None:
                kind, _, name = key.partition(":")
                found[kind] = name
        return cls(account_id=found.get("account"), profile_id=found.get("id"))

    def compare(self, other: AccountNames) -> Match:
        by_account = _equal(self.account_id, other.account_id)
        by_profile = _equal(self.profile_id, other.profile_id)
        if by_account is None and by_profile is None:
            return Match.UNKNOWN
        if by_account is False:
            return Match.CONFLICT if by_profile else Match.OTHER
        return Match.SAME if by_account or by_profile else Match.OTHER

    def known_with(self, newer: AccountNames) -> AccountNames:
        """Both names of the same account: those of the latest answer, completed from earlier ones."""
        return AccountNames(
            account_id=newer.account_id or self.account_id, profile_id=newer.profile_id or self.profile_id
        )


def _equal(mine: str | None, other: str | None) -> bool | None:
    return mine == other if mine and other else None
