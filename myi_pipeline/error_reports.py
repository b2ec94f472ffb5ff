"""Reports of errors to Sentry, or to any server that speaks its protocol, for whoever sets MYI_SENTRY_DSN.

Without it the SDK is not even imported. What is sent is built here and nowhere else: the SDK's own integrations, which
collect requests, arguments, host names and local variables, are off. An event holds the types and frames of an
exception, what its text says when no name can be in it, the release, and the correlation id, which leads to the log
line that says the rest.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from myi_pipeline import __version__
from myi_pipeline.errors import MyiError
from myi_pipeline.logs import MASK, correlation_id, mask
from myi_pipeline.settings import Settings

# How long the end of a process waits for what was not sent yet.
FLUSH_S = 2.0
# A site whose every request fails would fill a quota within minutes.
_MOST_A_MINUTE = 30
_LONGEST_TEXT = 500
# Shorter values of settings are words that occur in any text.
_SHORTEST_SECRET = 6
_IN_QUOTES = re.compile(r"(?<!\w)(?:'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`|«[^»\n]*»|“[^”\n]*”)(?!\w)")
_ADDRESSES = re.compile(
    r"\b[a-z][a-z0-9+.-]*://\S+|[\w.+-]+@[\w-]+\.[\w.-]+|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}\b"
    r"|(?<![\w.])/(?:[^\s:/]+/)+[^\s:]*",
    re.IGNORECASE,
)
# Written for people, so they say who and what: the log has them.
_TEXT_IN_LOG = "(the log says more)"
_STEP_FAILURE = "STEP_FAILURE"

_report: Callable[[BaseException | None, Mapping[str, Any]], None] | None = None


def start_error_reports(settings: Settings, *, part: str) -> None:
    """Report what goes wrong in this process from now on. `part` says what it is: `command`, `daemon` and so on.

    Waits for nothing: events are sent by a thread, and the end of the process gives it FLUSH_S seconds.
    """
    global _report
    if settings.sentry_dsn is None:
        return
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.utils import event_from_exception

    scrub = _Scrubber(settings)
    pace = _Pace()
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        release=f"myi@{__version__}",
        environment="production",
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[AtexitIntegration(callback=lambda pending, timeout: None), DedupeIntegration()],
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        enable_metrics=False,
        spotlight=False,
        debug=False,
        shutdown_timeout=FLUSH_S,
        before_send=lambda event, _: scrub.event(event) if pace.allows(time.monotonic()) else None,
    )

    def report(error: BaseException | None, more: Mapping[str, Any]) -> None:
        # Whoever logs an error has one already.
        with suppress(Exception):
            send(error, more)

    def send(error: BaseException | None, more: Mapping[str, Any]) -> None:
        tags = {"part": part, "correlation_id": correlation_id() or "none", **more.get("tags", {})}
        told: dict[str, Any] = {"level": "error", "tags": tags, "logger": more.get("logger")}
        hint: dict[str, Any] = {}
        if error is not None:
            options = sentry_sdk.get_client().options
            made, hint = event_from_exception(error, client_options=options)
            told |= made
        if "message" in more:
            told["message"] = more["message"]
        sentry_sdk.capture_event(cast(Any, told), hint=hint)

    first_time = _report is None
    _report = report
    watch_logs()
    if first_time:
        _watch_uncaught()


def report_error(error: BaseException) -> None:
    """Report an exception that was caught; does nothing where nobody wants reports."""
    if _report is not None:
        _report(error, {})


def watch_logs() -> None:
    """Errors that are logged are reported: ours, libraries', and Dagster's own, whose logger keeps to itself.

    To be called again by whoever lets Dagster configure its logger, which drops what hung there.
    """
    if _report is not None:
        for name in (None, "dagster"):
            logging.getLogger(name).addHandler(_HANDLER)


class _LoggedErrors(logging.Handler):
    """A line at the level error or above becomes a report, of its exception where it has one."""

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        if _report is None or record.name.startswith(("sentry_sdk", "urllib3")) or hasattr(record, "_myi_reported"):
            return
        record._myi_reported = True
        # structlog's lines are dictionaries up to here. Of the others the template is taken: what is put into it names
        # people and what they hear.
        line = record.msg if isinstance(record.msg, dict) else {"event": str(record.msg)}
        error = _exception_of(line.get("exc_info", record.exc_info))
        _report(error, {"message": str(line.get("event", "")), "logger": record.name})


class FailedSteps(logging.Handler):
    """Named in dagster.yaml: reports a step that failed, with its run's id, and lets other lines pass."""

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "dagster_event", None)
        if _report is None or getattr(event, "event_type_value", None) != _STEP_FAILURE:
            return
        about = cast(Mapping[str, Any], getattr(record, "dagster_meta", None) or {})
        tags = {name: str(about[name]) for name in ("run_id", "job_name", "step_key") if about.get(name)}
        # Dagster logs the event while it handles the exception.
        _report(sys.exc_info()[1], {"message": "step_failed", "logger": "dagster", "tags": tags})


_HANDLER = _LoggedErrors()


def _exception_of(given: object) -> BaseException | None:
    match given:
        case BaseException():
            return given
        case (_, BaseException() as error, _):
            return error
        case True:
            return sys.exc_info()[1]
        case _:
            return None


def _watch_uncaught() -> None:
    of_process, of_thread = sys.excepthook, threading.excepthook

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            report_error(error)
        of_process(kind, error, trace)

    def uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None and issubclass(given.exc_type, Exception):
            report_error(given.exc_value)
        of_thread(given)

    sys.excepthook, threading.excepthook = uncaught, uncaught_in_thread


class _Pace:
    """At most this many events a minute."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque()
        self._lock = threading.Lock()

    def allows(self, now: float) -> bool:
        with self._lock:
            while self._sent and self._sent[0] <= now - 60:
                self._sent.popleft()
            if len(self._sent) >= _MOST_A_MINUTE:
                return False
            self._sent.append(now)
            return True


class _Scrubber:
    """Makes the event that is sent: what is named here is taken from the SDK's, and nothing else."""

    def __init__(self, settings: Settings) -> None:
        values = (getattr(settings, name) for name in type(settings).model_fields)
        found = {part for value in values if isinstance(value, SecretStr) for part in _parts(value.get_secret_value())}
        known = sorted((each for each in found if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None

    def event(self, event: Any) -> Any:
        kept = ("event_id", "timestamp", "level", "platform", "release", "environment", "logger", "tags", "sdk")
        made: dict[str, Any] = {name: event[name] for name in kept if event.get(name)}
        if event.get("message"):
            made["message"] = self.text(event["message"])
        found = (event.get("exception") or {}).get("values") or []
        if found:
            made["exception"] = {"values": [self._exception(each) for each in found]}
        return self._masked(made)

    def _exception(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = ("type", "module", "mechanism")
        made: dict[str, Any] = {name: given[name] for name in kept if given.get(name)}
        if "mechanism" in made:
            mechanism = made["mechanism"]
            numbers = ("type", "handled", "exception_id", "parent_id", "is_exception_group", "source")
            made["mechanism"] = {name: mechanism[name] for name in numbers if name in mechanism}
        is_for_people = f"{given.get('module')}.{given.get('type')}" in _for_people()
        made["value"] = _TEXT_IN_LOG if is_for_people else self.text(given.get("value") or "")
        frames = (given.get("stacktrace") or {}).get("frames") or []
        # Neither the absolute path, which may hold an account's name, nor what variables held.
        names = ("filename", "function", "module", "lineno", "pre_context", "context_line", "post_context", "in_app")
        made["stacktrace"] = {"frames": [{name: each[name] for name in names if name in each} for each in frames]}
        for frame in made["stacktrace"]["frames"]:
            frame["filename"] = str(frame.get("filename") or "").split("/site-packages/")[-1].lstrip("/")
            if not frame.get("module") or frame["filename"].startswith(("home/", "root/", "Users/")):
                frame["filename"] = frame["filename"].rpartition("/")[2]
        return made

    def text(self, text: str) -> str:
        """The first line without secrets, addresses and what stands in quotes, which may be a name."""
        first = next(iter(str(text).strip().splitlines()), "")
        # Our mask goes first: what it recognises may stand in quotes with the name that gives it away outside.
        said = _ADDRESSES.sub("(address)", self._without_secrets(mask(first)))
        return _IN_QUOTES.sub("'...'", said)[:_LONGEST_TEXT]

    def _without_secrets(self, text: str) -> str:
        return self._secrets.sub(MASK, text) if self._secrets is not None else text

    def _masked(self, value: Any) -> Any:
        match value:
            case str():
                return self._without_secrets(mask(value))
            case Mapping():
                return {str(name): self._masked(each) for name, each in value.items()}
            case list() | tuple():
                return [self._masked(each) for each in value]
            case _:
                return value


def _parts(secret: str) -> Iterator[str]:
    """The value, and what of it is secret by itself: an address's password, an option's value, each key of a list."""
    yield secret
    if "://" in secret:
        with suppress(ValueError):
            address = urlsplit(secret)
            given = (address.password, address.username if address.scheme in ("http", "https") else None)
            for part in given:
                if part is not None:
                    yield from (part, unquote(part))
    elif "=" in secret and "&" in secret:
        yield from (value for _, value in parse_qsl(secret))
    else:
        yield from re.split(r"[\s,]+", secret)


def _for_people() -> frozenset[str]:
    """Exceptions whose text is a sentence of ours, with who and what in it."""
    kinds: list[type[BaseException]] = [MyiError]
    for kind in kinds:
        kinds.extend(each for each in kind.__subclasses__() if each not in kinds)
    ours = {f"{kind.__module__}.{kind.__name__}" for kind in kinds}
    return frozenset(ours | {"dagster._core.definitions.events.Failure"})
