"""The layer below YouTube's client: daily units before each request, pages by token, and the meaning of errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from myi_pipeline.errors import Forbidden, Gone, MyiError, Permanent, Transient, UnexpectedAnswer
from myi_pipeline.providers.asking import ServiceApi
from myi_pipeline.providers.sign_in_rules import TokenSource
from myi_pipeline.providers.transport import Answer, Clock, Gate, HttpClient, plain_words
from myi_pipeline.providers.youtube_music.day_quota import Kind, cost
from myi_pipeline.providers.youtube_music.units import DayUnits

PAGE = 50
# Lists have at most 5,000 entries.
_MOST_PAGES = 400
_DAY_IS_OVER = ("quotaExceeded", "dailyLimitExceeded")
_TOO_FAST = ("rateLimitExceeded", "userRateLimitExceeded")
_LOGIN = ("insufficientPermissions", "forbidden", "accessNotConfigured", "youtubeSignupRequired")


class VideoGone(Gone):
    """The video to be added no longer exists; nothing was added."""


class YouTubeApi(ServiceApi):
    """Raises Gone, Forbidden, RateLimited, TokenRejected, Permanent, Transient and UnexpectedAnswer."""

    service = "YouTube"

    def __init__(
        self,
        http: HttpClient,
        *,
        url: str,
        gate: Gate,
        units: DayUnits,
        clock: Clock,
        tokens: TokenSource,
        sleep: Callable[[float], None],
    ) -> None:
        super().__init__(http, url=url, gate=gate, clock=clock, tokens=tokens, sleep=sleep)
        self._units = units

    def pages(self, path: str, params: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every page from the first on."""
        asked, seen = {**params, "maxResults": str(PAGE)}, set[str]()
        for _ in range(_MOST_PAGES):
            what, document = self.read(path, asked)
            yield what, document
            token = document.get("nextPageToken")
            if not isinstance(token, str) or not token:
                return
            if token in seen:
                raise UnexpectedAnswer(f"{what}: YouTube's pages lead in a circle")
            seen.add(token)
            asked["pageToken"] = token
        raise UnexpectedAnswer(f"GET {path}: YouTube's pages do not end")

    def _before(self, method: str, path: str) -> None:
        # A request that does not pass the gate is not sent and costs nothing.
        super()._before(method, path)
        self._units.take(*cost(method, path))

    def _refusal(self, answer: Answer) -> MyiError:
        status, what = answer.status, answer.what
        reason, said = _reason(answer)
        because = f" ({said})" if said else ""
        if reason in _DAY_IS_OVER:
            return self._units.use_up(Kind.SEARCHES if what.endswith("/search") else Kind.UNITS)
        if reason in _TOO_FAST:
            return self._limited(answer, "too many requests")
        if status in (401, 429) or status >= 500:
            return super()._refusal(answer)
        if status == 409:
            # Also YouTube's answer when it gave up on a write halfway.
            return Transient(f"{what}: YouTube did not finish{because}")
        if reason == "videoNotFound":
            return VideoGone(f"{what}: YouTube no longer has this video")
        if status in (404, 410) and reason:
            return Gone(f"{what}: YouTube does not have it, or does not show it to this account")
        if status == 403 and reason in _LOGIN:
            return Forbidden(f"{what}: YouTube refuses this login{because}")
        if status in (400, 403) and reason:
            return Permanent(f"{what}: YouTube does not accept it ({reason}{f': {said}' if said else ''})")
        return UnexpectedAnswer(f"{what}: YouTube answered {status}{because}")


def _reason(answer: Answer) -> tuple[str, str]:
    """The first error's reason and text."""
    try:
        error = json.loads(answer.body)["error"]
        said = error.get("message")
        reason = error["errors"][0].get("reason")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return "", ""
    return (reason if isinstance(reason, str) else "")[:64], plain_words(said) if isinstance(said, str) else ""
