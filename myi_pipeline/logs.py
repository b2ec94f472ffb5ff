"""What this program says about itself while it works.

Like `settings`, it imports nothing of MYI. No password, token, cookie or code
leaves through a log line, wherever it comes from: every line, also one of a library and the text of a traceback, passes
`mask` last.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_SECRET_NAME = (
    r"(?:[\w-]*(?:password|passwd|secret|token|authorization|cookie|api_?key|encryption_?keys?|code_verifier))"
)
_SECRET_KEY = re.compile(_SECRET_NAME + r"\Z", re.IGNORECASE)
_SECRET_TEXTS = (
    # A password inside a URL. It may itself hold an @, so the run ends at the last one before a slash or a blank.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]+@", re.IGNORECASE), rf"\1:{MASK}@"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(rf"\b({_SECRET_NAME}[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;)}}]+", re.IGNORECASE), rf"\1{MASK}"),
    # Access tokens of MYI, wherever they stand.
    (re.compile(r"\bmyi_[A-Za-z0-9_-]{43}\b"), MASK),
    # The query of an OAuth answer.
    (re.compile(r"([?&](?:code|state)=)[^\s&\"']+"), rf"\1{MASK}"),
)
# Libraries that log their every step at INFO.
_CHATTY = ("alembic", "httpx", "httpcore", "urllib3", "asyncio", "sqlalchemy", "watchdog", "markdown_it")

_correlation_id: ContextVar[str | None] = ContextVar("myi_correlation_id", default=None)
# A thread starts with an empty context; it belongs to its process's work all the same.
_process_correlation_id: str | None = None


def start_correlation(given: str | None = None) -> str:
    """The id that ties together all lines of one piece of work, here and in its child processes.

    `given` comes from a parent; one that is not well formed is replaced, because it would go into other people's logs.
    """
    global _process_correlation_id
    value = given if given and _WELL_FORMED_ID.match(given) else secrets.token_hex(8)
    _correlation_id.set(value)
    if _process_correlation_id is None:
        _process_correlation_id = value
    return value


def correlation_id() -> str | None:
    """The id of the work that is going on, or None before any was started."""
    return _correlation_id.get() or _process_correlation_id


def mask(text: str) -> str:
    """The same text without what looks like a secret."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


def _masked(value: Any, *, depth: int = 4) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping) and depth:
        return {
            key: MASK if isinstance(key, str) and _SECRET_KEY.match(key) else _masked(item, depth=depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)) and depth:
        return [_masked(item, depth=depth - 1) for item in value]
    if value is None or isinstance(value, (int, float)):
        return value
    return mask(str(value))


def _mask_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # Names that start with an underscore are the formatter's own, and leave before the line is written.
    return {
        key: value if key.startswith("_") else MASK if _SECRET_KEY.match(key) else _masked(value)
        for key, value in event.items()
    }


def _add_correlation_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    current = correlation_id()
    if current is not None:
        event.setdefault("correlation_id", current)
    return event


class OwnHandler(logging.StreamHandler[TextIO]):
    """The one handler that MYI adds. Without a stream it writes to what sys.stderr is now: a progress bar replaces it
    while it lives, and so does a test."""

    def __init__(self, stream: TextIO | None = None) -> None:
        logging.Handler.__init__(self)
        self._stream = stream

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr if self._stream is None else self._stream


def configure_logs(
    *, level: str = "info", layout: Literal["auto", "json", "console"] = "auto", stream: TextIO | None = None
) -> None:
    """Sends all logs of this process, structlog's and the standard library's, to standard error in one form.

    `auto` means lines for people on a terminal, else one JSON object a line. May be called again; the last call holds.
    """
    target = stream or sys.stderr
    as_json = layout == "json" or (layout == "auto" and not target.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_correlation_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.UnicodeDecoder(),
    ]
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        # Not earlier: a handler beside this one may want the exception itself (error_reports).
        structlog.processors.format_exc_info,
        _mask_secrets,
    ]
    if as_json:
        last.append(structlog.processors.JSONRenderer(default=str, ensure_ascii=False))
    else:
        colors = target.isatty()
        last.append(structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback))
    handler = OwnHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, OwnHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
