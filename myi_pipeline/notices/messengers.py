"""E-mail, Telegram, ntfy and others by Apprise, whose URLs contain the service, its login and a recipient.

Only services that send text somewhere are allowed: Apprise has others that write files, show windows or run programs,
and options that read files of this machine. A user's own server (mail, ntfy, Gotify) must have a public address, like
webhooks. `send` waits for as long as a server keeps sending; `apart` runs it where that affects nobody else.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from myi_pipeline.errors import BadInput, Transient
from myi_pipeline.notices.addresses import LONGEST_ADDRESS, Lookup, reach, system_lookup
from myi_pipeline.notices.webhooks import Outcome
from myi_pipeline.notices.words import Words

if TYPE_CHECKING:
    from apprise import Apprise

# Apprise's timeouts for a connection and for an answer.
_CONNECT_S, _READ_S = 5, 10
# By what determines the host: the service itself, or the address.
_OF_A_SERVICE = frozenset({"tgram", "discord", "slack", "pover", "pbul", "prowl", "join", "spush", "simplepush"})
_OF_A_HOST = frozenset(
    {
        "mailto", "mailtos", "ntfy", "ntfys", "gotify", "gotifys", "bark", "barks", "rocket", "rockets",
        "mmost", "mmosts", "ncloud", "nclouds", "nctalk", "nctalks", "signal", "signals",
        "zulip",
    }
)  # fmt: skip
SCHEMES = tuple(sorted(_OF_A_SERVICE | _OF_A_HOST))
_EXAMPLES = "such as mailtos://name:password@example.org, ntfys://ntfy.sh/topic or tgram://bot-token/chat"
# These read files, fetch something else, accept any certificate, or are set here.
_REFUSED_OPTIONS = ("template", "pgp", "wkd", "attach", "config", "include", "file", "cert", "key", "verify")
_HOST = re.compile(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9.])?", re.IGNORECASE)
# Each is a separate request, with a pause in between.
_MOST_RECIPIENTS = 5
_OWN_OPTIONS = {"redirect": "no", "cto": str(_CONNECT_S), "rto": str(_READ_S), "overflow": "split"}
_PLACE = "address"


def check_address(url: str, *, allow_private: bool, lookup: Lookup = system_lookup) -> str:
    """Returns the part that may be shown.

    Raises BadInput without repeating anything that may be secret, and Transient.
    """
    opened, scheme = _open(url)
    host = _host_of(opened, scheme)
    if host is not None:
        reach(host, 443, allow_private=allow_private, lookup=lookup)
    return f"{scheme}://{host or '…'}"


def send(url: str, words: Words, *, link: str, allow_private: bool, lookup: Lookup = system_lookup) -> Outcome:
    """One attempt. Never raises for what a service does."""
    try:
        opened, scheme = _open(url)
        host = _host_of(opened, scheme)
        if host is not None:
            reach(host, 443, allow_private=allow_private, lookup=lookup)
    except (BadInput, Transient) as error:
        return Outcome(is_taken=False, error=str(error))
    body = f"{words.text}\n\n{link}".strip()
    taken = False
    with suppress(Exception):
        # A plugin's exception may contain the address.
        taken = bool(opened.notify(title=words.title, body=body, body_format="text"))
    return Outcome(is_taken=taken, error=None if taken else f"{scheme} did not take it")


def _open(url: str) -> tuple[Apprise, str]:
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if len(url) > LONGEST_ADDRESS or not url.isprintable() or any(each.isspace() for each in url):
        raise BadInput("the address cannot be read", place=_PLACE, rule=f"one address {_EXAMPLES}")
    if not separator or scheme not in SCHEMES:
        shown = repr(f"{scheme[:20]}://") if separator else "this"
        raise BadInput(
            f"{shown} is not a service that notices can be sent to; it must be an address {_EXAMPLES}",
            place=_PLACE,
            rule=f"begins with one of {', '.join(SCHEMES)}",
        )
    if "%" in re.split(r"[/?]", rest, maxsplit=1)[0].rpartition("@")[2]:
        raise BadInput("the address writes its host with percent signs", place=_PLACE, rule="a host as it is")
    kept = _options(rest.partition("?")[2])
    import apprise

    # Apprise logs addresses and recipients.
    logging.getLogger("apprise").disabled = True
    asset = apprise.AppriseAsset(async_mode=False, http_redirects=False, secure_logging=True, plugin_paths=[])
    opened = apprise.Apprise(asset=asset)
    address = f"{scheme}://{rest.partition('?')[0]}?" + "&".join(kept)
    found = False
    with suppress(Exception):
        found = bool(opened.add(address)) and len(opened) == 1
    if not found:
        raise BadInput(
            f"this address lacks something that {scheme}:// needs", place=_PLACE, rule=f"an address {_EXAMPLES}"
        )
    if len(opened[0]) > _MOST_RECIPIENTS:
        raise BadInput(
            f"an address can have at most {_MOST_RECIPIENTS} recipients; add another address for more", place=_PLACE
        )
    return opened, scheme


def _options(query: str) -> list[str]:
    kept = []
    for option in filter(None, query.split("&")):
        name = unquote(option.partition("=")[0]).strip().lower()
        if name.startswith(_REFUSED_OPTIONS) or not name[:1].isalpha():
            raise BadInput(f"the option {name[:20]!r} cannot be used here", place=_PLACE)
        if name not in _OWN_OPTIONS:
            kept.append(option)
    return [*kept, *(f"{name}={value}" for name, value in _OWN_OPTIONS.items())]


def _host_of(opened: Apprise, scheme: str) -> str | None:
    """The host in the address; None if the service has its own."""
    if scheme in _OF_A_SERVICE:
        return None
    service: Any = opened[0]
    if scheme in ("ntfy", "ntfys") and service.mode != "private":
        return None
    if scheme in ("mailto", "mailtos"):
        host = service.smtp_host
    elif scheme == "zulip":
        host = f"{service.organization}.{service.hostname}"
    else:
        host = service.host
    if not host:
        raise BadInput("the address contains no host", place=_PLACE, rule=f"an address {_EXAMPLES}")
    return _plain(str(host))


def _plain(host: str) -> str:
    """A name or an IP address, and nothing that a library could interpret as more. Raises BadInput."""
    if not _HOST.fullmatch(host):
        try:
            IPv6Address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise BadInput("the address contains no valid host", place=_PLACE) from None
    return host.removeprefix("[").removesuffix("]")
