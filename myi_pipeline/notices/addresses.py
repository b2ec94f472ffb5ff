"""Which webhook addresses are allowed, by their form and by what their names resolve to.

A name is resolved once per attempt, all its addresses must be public, and the connection goes to one of these: changing
the name afterwards has no effect.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from myi_pipeline.errors import BadInput, Transient

LONGEST_ADDRESS = 2_000
_ALLOW = "MYI_WEBHOOKS_ALLOW_PRIVATE"
# An IPv4 address reached through an IPv6 gateway.
_NAT64 = ip_network("64:ff9b::/96")

Address = IPv4Address | IPv6Address
# Resolves a name; raises OSError.
Lookup = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True)
class Place:
    """A parsed address; `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def shown(self) -> str:
        """Without path and query, which may contain a secret."""
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{self._host}" + ("" if self.port == usual else f":{self.port}")

    @property
    def host_header(self) -> str:
        return self.shown.partition("://")[2]

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def read_place(url: str, *, allow_private: bool) -> Place:
    """Raises BadInput without repeating anything that may be secret."""
    rule = "an address such as https://example.org/hook"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadInput("the address cannot be read", place="webhook address", rule=rule) from None
    if len(url) > LONGEST_ADDRESS or not url.isascii() or not url.isprintable() or " " in url or parts.fragment:
        raise BadInput("the address cannot be read", place="webhook address", rule=rule)
    if parts.scheme == "http" and not allow_private:
        raise BadInput(
            "the address must begin with https://", place="webhook address", rule=f"{rule}, unless {_ALLOW} is set"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput("the address must begin with https:// and contain a host", place="webhook address", rule=rule)
    if "@" in parts.netloc:
        raise BadInput("the address must not contain a name or password", place="webhook address", rule=rule)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    usual = {"http": 80, "https": 443}[parts.scheme]
    return Place(parts.scheme, parts.hostname, port or usual, path)


def system_lookup(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))


def reach(host: str, port: int, *, allow_private: bool, lookup: Lookup = system_lookup) -> tuple[str, ...]:
    """The addresses to connect to. Raises Transient if the name cannot be resolved now, BadInput for a private one."""
    try:
        found = lookup(host, port)
    except (OSError, UnicodeError):
        raise Transient(f"there is no host {host!r}") from None
    if not found:
        raise Transient(f"there is no host {host!r}")
    private = [each for each in found if not is_public(ip_address(each))]
    if private and not allow_private:
        raise BadInput(
            f"{host!r} is in a private network or this machine itself; the operator of this MYI can allow that",
            place="address",
            rule=f"public addresses only, unless {_ALLOW} is set",
        )
    return tuple(found)


def is_public(address: Address) -> bool:
    """Whether it is a public address. An IPv4 address embedded in IPv6 counts as that IPv4 address."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified
