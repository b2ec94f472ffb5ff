"""Who has seen a share report today, so that each visitor is counted once a day.

Nothing is stored: visitors are keyed hashes in memory. The key and the hashes are discarded when the day (UTC) or the
process ends; after that, the same visitor counts as a new one.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import date, datetime
from threading import Lock

# 16 bytes each. A flood of fake visitors stops the counting for that day, and nothing else.
_MOST = 200_000


class Visits:
    """The visitors known to one process; only one process serves pages."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._day: date | None = None
        self._key = b""
        self._seen: set[bytes] = set()

    def is_new(self, share_id: str, visitor: str, *, now: datetime) -> bool:
        """Whether this is the visitor's first view of this report today. `visitor`: any text that identifies them; it
        is not stored."""
        with self._lock:
            if self._day != now.date():
                self._day, self._key, self._seen = now.date(), secrets.token_bytes(32), set()
            visit = hashlib.blake2b(f"{share_id} {visitor}".encode("utf-8", "replace"), key=self._key, digest_size=16)
            if visit.digest() in self._seen or len(self._seen) >= _MOST:
                return False
            self._seen.add(visit.digest())
            return True
