"""What Spotify allows a client id: a rolling window of 30 seconds, and a day for each bucket.

A call that is refused uses up nothing, and is counted as made while blocked, so that a test can see who does not
respect Retry-After.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from myi_pipeline.simulator.live.spec import AppSpec, Bucket

WINDOW_MS = 30_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Refusal:
    """`retry_after_s` is None where the answer does not say when."""

    retry_after_s: int | None
    is_day: bool


@dataclass
class _Account:
    recent: deque[int] = field(default_factory=deque)
    # Per bucket: when its day began, and the calls since.
    days: dict[Bucket, tuple[int, int]] = field(default_factory=dict)


class QuotaBook:
    """All client ids, or developers where client ids share."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self.while_blocked: Counter[tuple[str, Bucket]] = Counter()
        self._told: dict[tuple[str, Bucket], int] = {}

    def tell_to_wait(self, client_id: str, bucket: Bucket, until_ms: int) -> None:
        """A scripted 429 named a time: calls before it are counted as made while blocked."""
        self._told[client_id, bucket] = until_ms

    def note(self, client_id: str, bucket: Bucket, now_ms: int) -> None:
        """A call came; counts it when a scripted 429 had said to wait."""
        if now_ms < self._told.get((client_id, bucket), now_ms):
            self.while_blocked[client_id, bucket] += 1

    def take(self, app: AppSpec, bucket: Bucket, now_ms: int) -> Refusal | None:
        """Counts a call, or says why not."""
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
        self._told.clear()
        self.while_blocked.clear()


def _seconds(ms: int) -> int:
    return max(1, -(-ms // 1000))
