"""One delivery attempt by a messenger in a separate process, which the caller kills after a time limit.

Apprise waits for as long as a server keeps sending, and stores all of it: here that affects only this process, not the
one that sends all notices. Secrets come by stdin. If private networks are forbidden, each connection is checked by its
actual address, whatever its name resolved to before.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from myi_pipeline.notices import messengers
from myi_pipeline.notices.addresses import is_public
from myi_pipeline.notices.webhooks import Outcome
from myi_pipeline.notices.words import Words
from myi_pipeline.settings import environment_of_strangers

LIMIT_S = 30.0
_MOST_MEMORY = 512 * 1024 * 1024
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
# Proxies resolve names themselves: for users' addresses, they would bypass every check.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


async def send(url: str, words: Words, *, link: str, allow_private: bool, limit_s: float = LIMIT_S) -> Outcome:
    """One attempt. Never raises because of what a service does."""
    scheme = url.partition("://")[0][:20]
    given = {"url": url, "title": words.title, "text": words.text, "link": link, "allow_private": allow_private}
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "myi_pipeline.notices.messenger_process", str(int(limit_s) + 5),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=_environment(with_proxies=allow_private),
        )  # fmt: skip
    except OSError as error:
        return Outcome(is_taken=False, error=f"no process could be started: {error.strerror}")
    try:
        async with asyncio.timeout(limit_s):
            said, _ = await process.communicate(json.dumps(given).encode())
        answer = json.loads(said)
        return Outcome(is_taken=bool(answer["is_taken"]), error=answer["error"])
    except TimeoutError:
        return Outcome(is_taken=False, error=f"{scheme} did not finish within {limit_s:g} seconds")
    except (ValueError, KeyError, OSError):
        return Outcome(is_taken=False, error=f"{scheme} did not accept it")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _environment(*, with_proxies: bool) -> dict[str, str]:
    kept = _KEPT + (_PROXIES + tuple(name.lower() for name in _PROXIES) if with_proxies else ())
    # Logins in a .netrc must not be sent to an address that a user names.
    return {"NETRC": os.devnull} | {name: value for name, value in environment_of_strangers().items() if name in kept}


def forbid_private() -> None:
    """From now on, no connection of this process may go to a private network."""
    sys.addaudithook(_judge)


def _judge(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        return
    address = arguments[-1]
    if event == "socket.sendmsg" and address is None:
        return
    host = address[0] if isinstance(address, tuple) else None
    try:
        is_allowed = isinstance(host, str) and is_public(ip_address(host.partition("%")[0]))
    except ValueError:
        is_allowed = False
    if not is_allowed:
        raise PermissionError("this is in a private network or this machine itself")


def _main(limit_s: int) -> None:
    # In case the waiting process no longer exists.
    signal.alarm(limit_s)
    for kind, most in ((resource.RLIMIT_AS, _MOST_MEMORY), (resource.RLIMIT_CORE, 0)):
        # Not every system has every limit.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))
    given = json.load(sys.stdin)
    answer = sys.stdout
    sys.stdout = sys.stderr
    if not given["allow_private"]:
        forbid_private()
    outcome = messengers.send(
        given["url"], Words(given["title"], given["text"]), link=given["link"], allow_private=given["allow_private"]
    )
    answer.write(json.dumps({"is_taken": outcome.is_taken, "error": outcome.error}))
    answer.flush()
    # Do not wait for threads that a plugin left running.
    os._exit(0)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
