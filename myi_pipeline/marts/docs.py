"""The description of the marts as one page: every model, its columns, its SQL, and what is made of what.

Belongs here: having dbt make it, and closing it to the world. Not here: serving it (serve_docs). Invariant: a page that
is kept asks no address for anything, whatever the version of dbt put into it; it is replaced as a whole or not at all.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from myi_pipeline.core.errors import Permanent
from myi_pipeline.services.dbt_runner import DbtRunner

# Tests and hooks are listed without being compiled.
_COMMAND = ("docs", "generate", "--static", "--select", "resource_type:model", "resource_type:source")
# dbt's page draws with scripts and styles of its own, all within it; browsers refuse it everything else.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:;"
    " font-src data:; base-uri 'none'; form-action 'none'"
)
_CHARSET = '<meta charset="utf-8">'
# dbt's page brings a tracker: a script from a content network, which reports to two more hosts. It sleeps while the
# project's send_anonymous_usage_stats is false; here it goes.
_FOREIGN = re.compile(
    r"(?:https?:)?//[a-z0-9.-]*(?:cloudfront\.net|getdbt\.com)(?:/[^\s\"'\\()<>]*)?|fishtownanalytics\.[a-z.-]+"
)
# A template that dbt forgot to fill in: browsers would ask for it.
_BROKEN_ICON = re.compile(r'<link rel="(?:shortcut icon|canonical)"[^>]*>')


def build_docs(dbt: DbtRunner, *, environment: Mapping[str, str], page: Path) -> None:
    """Write the page. Asks the database for columns and sizes, changes nothing in it. Raises Permanent, Transient.

    `environment` is dbt_environment's; dbt leaves its files in the target folder that it names.
    """
    # Models name the run that builds them; nobody builds one here.
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
    """The same page, which neither loads nor reports anything. Raises Permanent when it is not as expected."""
    if text.count(_CHARSET) != 1 or text.index(_CHARSET) > text.index("<script"):
        raise Permanent("dbt's page has changed: it cannot be kept from asking other addresses")
    text = _FOREIGN.sub("about:blank", _BROKEN_ICON.sub("", text))
    return text.replace(_CHARSET, f'{_CHARSET}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">', 1)
