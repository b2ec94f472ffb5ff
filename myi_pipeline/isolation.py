"""The variables of a user's shell that steer other programs, kept out of ours.

MYI talks to Postgres through libpq, to dbt and to Dagster, and starts Python as a child: each reads variables of its
own (PG*, DBT_*, DAGSTER_*, PYTHON*) that a user set for another purpose, and every one of them can lead MYI to another
server, another profile, or into waiting for ever. Everything that MYI needs it passes itself. This module needs the
standard library alone, since it runs before anything else is imported.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, MutableMapping
from importlib.util import find_spec
from pathlib import Path

_LIBPQ_AND_DBT = re.compile(
    r"PG(?:[A-Z]+|CONNECT_TIMEOUT)|DBT_\w+|GRPC_\w+|UVICORN_\w+|FORWARDED_ALLOW_IPS|WEB_CONCURRENCY"
)
_DAGSTER = re.compile(r"DAGSTER_\w+")
_PYTHON = re.compile(r"PYTHON\w+")
# They change how Python runs, not what it does.
_HARMLESS_PYTHON = frozenset(
    {
        "PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONHASHSEED", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX",
        "PYTHONSAFEPATH", "PYTHONUNBUFFERED",
    }
)  # fmt: skip
# What a person's terminal is asked to look like; a program whose output is read by another must not mind.
_LOOKS = re.compile(r"NO_COLOR|FORCE_COLOR|CLICOLOR\w*|PY_COLORS|TTY_\w+")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

# Names that isolate_process() dropped, for commands that print settings for a shell.
dropped: set[str] = set()


def isolate_process(*, is_dagster: bool = False) -> None:
    """Drop the variables from this process and so from its children; libpq reads them at each connection.

    In a process that `dagster` itself started, Dagster's own variables are what it runs by: they stay.
    """
    for name in list(_foreign(os.environ, is_dagster=is_dagster)):
        dropped.add(name)
        del os.environ[name]
    _narrow_proxies(os.environ)


def children_environment() -> dict[str, str]:
    """What a child inherits: this process's environment less what is foreign, and less wishes about colours."""
    values = dict(os.environ)
    for name in [*_foreign(values, is_dagster=False), *(name for name in values if _LOOKS.fullmatch(name))]:
        values.pop(name, None)
    _narrow_proxies(values)
    return values


def restart_without_python_variables() -> None:
    """Begin this command again when variables steer its interpreter: it has read them already.

    PYTHONWARNINGS=error stops it at the first import, PYTHONPATH can put other modules in the place of ours, and
    PYTHONINSPECT waits for a person at the end.
    """
    own = _search_path_that_holds_us()
    steering = [name for name in os.environ if _steers_python(name) and name != own]
    if not steering or sys.flags.ignore_environment:
        return
    for name in steering:
        del os.environ[name]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _foreign(values: MutableMapping[str, str], *, is_dagster: bool) -> Iterator[str]:
    own = _search_path_that_holds_us()
    for name in values:
        is_python = _steers_python(name) and name != own
        if is_python or _LIBPQ_AND_DBT.fullmatch(name) or (_DAGSTER.fullmatch(name) and not is_dagster):
            yield name


def _steers_python(name: str) -> bool:
    return _PYTHON.fullmatch(name) is not None and name not in _HARMLESS_PYTHON


def _search_path_that_holds_us() -> str | None:
    """PYTHONPATH, if MYI itself is found by it: that is how it was installed."""
    found = find_spec("myi_pipeline")
    places = [str(Path(place).parent) for place in (found.submodule_search_locations or [])] if found else []
    entries = [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return "PYTHONPATH" if any(place in entries for place in places) else None


def _narrow_proxies(values: MutableMapping[str, str]) -> None:
    """A proxy of the shell is for the world, not for what runs on this machine.

    Where HTTPS_PROXY is set, ALL_PROXY serves nothing that MYI asks for; it often names a SOCKS proxy, which the HTTP
    library refuses even when it has no use for it.
    """
    if not any(name.lower().endswith("_proxy") for name in values):
        return
    if values.get("https_proxy") or values.get("HTTPS_PROXY"):
        for name in ("all_proxy", "ALL_PROXY"):
            values.pop(name, None)
    for name in ("no_proxy", "NO_PROXY"):
        kept = [part.strip() for part in values.get(name, "").split(",") if part.strip()]
        if "*" not in kept:
            values[name] = ",".join([*kept, *(host for host in _LOOPBACK if host not in kept)])
