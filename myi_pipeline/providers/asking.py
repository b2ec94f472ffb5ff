"""Requests to one service: a gate before each, reads with retries, writes exactly once.

A read with a transient failure is retried twice, and once more with a fresh token after a 401. A write is sent exactly
once, whatever happens: after Transient (but not RateLimited, which is a refusal) its effect is unknown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog

from myi_pipeline.errors import Forbidden, MyiError, RateLimited, TokenRejected, Transient, UnexpectedAnswer
from myi_pipeline.providers.pacing import Pace
from myi_pipeline.providers.quota_rules import Bucket
from myi_pipeline.providers.retries import WAITS_IN_PROCESS, is_worth_another_try
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenSource
from myi_pipeline.providers.transport import Answer, Clock, Gate, HttpClient, retry_after, send

log = structlog.get_logger(__name__)


class ServiceApi:
    """One service's API for one account, for the app itself, or (without `tokens`) anonymously. Thread-safe.

    A service defines in `_refusal` what its errors mean; `_is_done` is called first, for errors with status 200.
    """

    service = "the service"
    media_type = "application/json"

    def __init__(
        self,
        http: HttpClient,
        *,
        url: str,
        gate: Gate,
        clock: Clock,
        tokens: TokenSource | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._gate = gate
        self._clock = clock
        self._tokens = tokens
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    def read(self, path: str, params: Mapping[str, str] | None = None) -> tuple[str, dict[str, Any]]:
        """Returns a description of the request for people, and the JSON object of the answer."""
        waits = iter(WAITS_IN_PROCESS)
        while True:
            try:
                return self._read_once(path, params)
            except MyiError as error:
                wait = next(waits, None)
                if wait is None or not is_worth_another_try(error):
                    raise
                log.info("service_request_repeated", service=self.service, reason=str(error))
                self._sleep(wait.total_seconds())

    def write(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, never retried. TokenRejected: it was refused, and the next one gets a fresh token."""
        token = self._tokens() if self._tokens is not None else None
        content = json.dumps(document, ensure_ascii=False).encode() if document is not None else None
        try:
            return self._send(method, path, token, params=params, headers=headers, content=content)
        except TokenRejected:
            if self._tokens is not None:
                self._tokens(token)
            raise

    def _read_once(self, path: str, params: Mapping[str, str] | None) -> tuple[str, dict[str, Any]]:
        token = self._tokens() if self._tokens is not None else None
        try:
            answer = self._send("GET", path, token, params=params)
        except TokenRejected:
            if self._tokens is None:
                raise
            try:
                answer = self._send("GET", path, self._tokens(token), params=params)
            except TokenRejected as error:
                raise Forbidden(f"{error}; a freshly refreshed token was rejected too") from None
        return answer.what, answer.document()

    def _send(
        self,
        method: str,
        path: str,
        token: AccessToken | None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        self._before(method, path)
        sent = {"Accept": self.media_type, **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token.value}"
        if content is not None:
            sent["Content-Type"] = self.media_type
        answer = send(
            self._http, method, self._url + path, headers=sent, params=params, content=content, service=self.service
        )
        if not self._is_done(answer):
            raise self._refusal(answer)
        self._gate.passed(Bucket.PERSONAL)
        return answer

    def _before(self, method: str, path: str) -> None:
        """Raises RateLimited if no request may be made now."""
        self._gate.before(Bucket.PERSONAL)

    def _is_done(self, answer: Answer) -> bool:
        return 200 <= answer.status < 300

    def _refusal(self, answer: Answer) -> MyiError:
        """The error for an unsuccessful answer. Services extend this."""
        status, what = answer.status, answer.what
        if status == 429:
            return self._limited(answer, "too many requests")
        if status == 401:
            return TokenRejected(f"{what}: {self.service} does not accept the access token")
        if status >= 500:
            return Transient(f"{what}: {self.service} answered {status}")
        return UnexpectedAnswer(f"{what}: {self.service} answered {status}")

    def _limited(self, answer: Answer, why: str, *, wait: timedelta | None = None) -> RateLimited:
        """All processes pause for the time in the answer, or by how many such answers came in a row."""
        told = wait if wait is not None else retry_after(answer, self._clock())
        until = self._gate.blocked(Bucket.PERSONAL, retry_after=told, quota_exceeded=False)
        return RateLimited(
            f"{answer.what}: {self.service} says {why}; again at {until:%Y-%m-%d %H:%M:%S} UTC", retry_at=until
        )


class PacedGate:
    """A Gate that admits one request per interval, for services with a window shorter than half a minute.

    The other gate would admit a burst of half a minute's requests.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def before(self, bucket: Bucket) -> None:
        self._pace.wait()

    def blocked(self, bucket: Bucket, *, retry_after: timedelta | None, quota_exceeded: bool) -> Any:
        return self._pace.blocked(retry_after=retry_after)

    def passed(self, bucket: Bucket) -> None:
        self._pace.passed()
