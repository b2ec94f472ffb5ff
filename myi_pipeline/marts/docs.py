"""The description of the marts as one page: every model, its columns, its SQL, and what it is built from.

dbt makes the page; here it is sealed off, so that it contacts no other address, whatever that version of dbt put into
it. The file is replaced completely or not at all.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from myi_pipeline.errors import Permanent
from myi_pipeline.marts.dbt_runner import DbtRunner

# Tests and hooks are listed without being compiled.
_COMMAND = ("docs", "generate", "--static", "--select", "resource_type:model", "resource_type:source")
# dbt's page uses its own inline scripts and styles; browsers refuse it everything else.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:;"
    " font-src data:; base-uri 'none'; form-action 'none'"
)
_CHARSET = '<meta charset="utf-8">'
# dbt's page contains a tracker: a script from a content delivery network, which reports to two more hosts. It is
# inactive while the project's send_anonymous_usage_stats is false; here it is removed.
_FOREIGN = re.compile(
    r"(?:https?:)?//[a-z0-9.-]*(?:cloudfront\.net|getdbt\.com)(?:/[^\s\"'\\()<>]*)?|fishtownanalytics\.[a-z.-]+"
)
# A template that dbt forgot to fill in: browsers would request it.
_BROKEN_ICON = re.compile(r'<link rel="(?:shortcut icon|canonical)"[^>]*>')


def build_docs(dbt: DbtRunner, *, environment: Mapping[str, str], page: Path) -> None:
    """Write the page. Asks the database for columns and sizes, and changes nothing in it. Raises Permanent, Transient.

    `environment` is dbt_environment's; dbt leaves its files in the target folder named there.
    """
    # Models name the run that builds them, but none is built here.
    result = dbt.invoke(_COMMAND, environment={**environment, "MYI_MART_RUN_ID": "0"})
    made = Path(environment["DBT_TARGET_PATH"]) / "static_index.html"
    if not result.success or not made.is_file():
        raise Permanent(f"dbt could not describe the marts: {result.first_error() or 'no page was made'}")
    text = closed(made.read_text(encoding="utf-8"))
    made.unlink()
    page.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = page.with_name(f"{page.name}.{secrets.token_hex(4)}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, page)
    finally:
        beside.unlink(missing_ok=True)


def closed(text: str) -> str:
    """The same page, which neither loads nor reports anything. Raises Permanent if it is not as expected."""
    if text.count(_CHARSET) != 1 or text.index(_CHARSET) > text.index("<script"):
        raise Permanent("dbt's page has changed: its requests to other addresses cannot be prevented")
    text = _FOREIGN.sub("about:blank", _BROKEN_ICON.sub("", text))
    return text.replace(_CHARSET, f'{_CHARSET}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">', 1)


LOOPBACK = "127.0.0.1"
_NOT_BUILT = b"The description of the marts is not built yet: run `myi docs build`.\n"


def docs_server(page: Path, port: int) -> ThreadingHTTPServer:
    """A server that is already listening. Raises OSError."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "myi", ""
        # A browser that opens a connection without sending anything occupies a thread.
        timeout = 30

        def do_GET(self) -> None:
            name = self.headers.get("Host", "").rpartition(":")[0]
            if name not in (LOOPBACK, "localhost") or self.path.partition("?")[0] not in ("/", "/index.html"):
                self._answer(404, b"There is one page here: /\n", "text/plain")
                return
            try:
                self._answer(200, page.read_bytes(), "text/html")
            except OSError:
                self._answer(404, _NOT_BUILT, "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("X-Frame-Options", "DENY")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are not logged: the page's readers are private."""

    return ThreadingHTTPServer((LOOPBACK, port), Handler)


if __name__ == "__main__":
    # The signal may be ignored here, inherited from the process that started this one.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    docs_server(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()
