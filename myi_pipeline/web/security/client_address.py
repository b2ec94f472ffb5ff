"""The address that a request comes from: X-Forwarded-For, as far as it can be trusted.

Invariant: no client chooses the address by which it is limited. The header counts only from a trusted proxy, and from
its right end up to the first address that is not one.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import HTTPConnection

UNKNOWN = "unknown"
# What one household or attacker gets of IPv6 is a /64: its addresses are one visitor.
_IPV6_PREFIX = 64


def client_address(connection: HTTPConnection, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """An IPv4 address, an IPv6 network, or `unknown`."""
    peer = connection.client.host if connection.client is not None else ""
    given = ",".join(connection.headers.getlist("x-forwarded-for"))
    chain = [*(part.strip() for part in given.split(",") if part.strip()), peer]
    address = None
    for hop in reversed(chain):
        found = _address(hop)
        if found is None:
            break
        address = found
        if not any(found in network for network in trusted):
            break
    return _told(address)


def visitor_address(host: str) -> str:
    """What client_address gives for the other end of a socket, whatever it says in headers."""
    return _told(_address(host))


def is_this_machine(address: str) -> bool:
    """Whether what client_address gave is a loopback address."""
    return address in ("127.0.0.1", "::/64")


def _told(address: IPv4Address | IPv6Address | None) -> str:
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
