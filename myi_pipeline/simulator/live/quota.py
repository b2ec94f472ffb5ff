"""Spotify's quotas for a client id: a rolling window of 30 seconds, and a daily one for each bucket.

A refused call uses no quota, but is counted as made while blocked, so that a test can detect clients that ignore
Retry-After.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from myi_pipeline.simulator.live.spec import AppSpec, Bucket

WINDOW_MS = 30_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Refusal:
    """`retry_after_s` is None if the answer does not say when to retry."""

    retry_after_s: int | None
    is_day: bool


@dataclass
class _Account:
    recent: deque[int] = field(default_factory=deque)
    # Per bucket: the start of the current day, and the calls since.
    days: dict[Bucket, tuple[int, int]] = field(default_factory=dict)


class QuotaBook:
    """The quotas of all client ids, or of developers whose client ids share one."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self.while_blocked: Counter[tuple[str, Bucket]] = Counter()
        self._blocked_until: dict[tuple[str, Bucket], int] = {}

    def tell_to_wait(self, client_id: str, bucket: Bucket, until_ms: int) -> None:
        """Records the time in a scripted 429: earlier calls are counted as made while blocked."""
        self._blocked_until[client_id, bucket] = until_ms

    def note(self, client_id: str, bucket: Bucket, now_ms: int) -> None:
        """Counts a call as made while blocked if a scripted 429 said to wait."""
        if now_ms < self._blocked_until.get((client_id, bucket), now_ms):
            self.while_blocked[client_id, bucket] += 1

    def take(self, app: AppSpec, bucket: Bucket, now_ms: int) -> Refusal | None:
        """Counts a call, or returns why it is refused."""
        account = self._accounts.setdefault(app.developer or app.client_id, _Account())
        refusal = self._day_refusal(account, app, bucket, now_ms) or self._window_refusal(account, app, now_ms)
        if refusal is not None:
            self.while_blocked[app.client_id, bucket] += 1
            return refusal
        began, calls = account.days.get(bucket, (now_ms, 0))
        account.days[bucket] = (began, calls + 1)
        account.recent.append(now_ms)
        return None

    def _day_refusal(self, account: _Account, app: AppSpec, bucket: Bucket, now_ms: int) -> Refusal | None:
        most = app.per_day.get(bucket)
        began, calls = account.days.get(bucket, (now_ms, 0))
        if now_ms >= began + DAY_MS or now_ms < began - DAY_MS:
            account.days.pop(bucket, None)
            return None
        if most is None or calls < most:
            return None
        return Refusal(_seconds(began + DAY_MS - now_ms) if app.quota_answer == "retry_after" else None, is_day=True)

    def _window_refusal(self, account: _Account, app: AppSpec, now_ms: int) -> Refusal | None:
        recent = account.recent
        while recent and not now_ms - WINDOW_MS < recent[0] <= now_ms + WINDOW_MS:
            recent.popleft()
        if app.per_30_s is None or len(recent) < app.per_30_s:
            return None
        return Refusal(_seconds(recent[0] + WINDOW_MS - now_ms), is_day=False)

    def reset(self) -> None:
        self._accounts.clear()
        self._blocked_until.clear()
        self.while_blocked.clear()


def _seconds(ms: int) -> int:
    return max(1, -(-ms // 1000))
