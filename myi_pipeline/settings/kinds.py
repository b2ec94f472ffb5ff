"""Types that several settings use: numbers, lists, addresses."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

LOOPBACK = ("127.0.0.1", "::1")
CLIENT_ID = re.compile(r"[0-9A-Za-z_-]{1,128}\Z")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*\Z")

Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
# The account that runs the embedded server may not use a lower one.
UserPort = Annotated[int, Field(ge=1024, le=65535)]


def plain_client_id(client_id: str) -> str:
    if not CLIENT_ID.match(client_id):
        raise ValueError("is not a client id: copy the letters and digits from your app's page")
    return client_id


def listed(text: str) -> list[str]:
    """The items between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parts_of_url(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of a URL without a fragment, user or blank; None if it is not such a URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    whole = parts.hostname and not parts.fragment and "@" not in parts.netloc and url.isascii() and url.isprintable()
    return (parts.scheme, parts.hostname or "", port) if whole and " " not in url else None


def origin_of(url: str, rule: str) -> str:
    """Scheme, host and port as a browser writes them. Raises ValueError with `rule`."""
    parts = parts_of_url(url.rstrip("/"))
    if parts is None or parts[0] not in ("http", "https") or urlsplit(url.rstrip("/")).path or "?" in url:
        raise ValueError(rule)
    scheme, host, port = parts
    usual = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://" + (f"[{host}]" if ":" in host else host) + (f":{port}" if port not in (None, usual) else "")


def _https_or_loopback(url: str) -> str:
    parts = parts_of_url(url)
    if parts is None or not (parts[0] == "https" or (parts[0] == "http" and parts[1] in (*LOOPBACK, "localhost"))):
        raise ValueError("must be an https URL (http only on this machine)")
    return url.rstrip("/")


def _origin(url: str) -> str:
    return origin_of(url, "must be an origin such as https://music.example.org")


def _site(url: str) -> str:
    rule = "must be an address such as https://music.example.org or https://example.org/music"
    path = urlsplit(url).path.rstrip("/")
    whole = url.rstrip("/")
    if not whole.endswith(path) or not _PATH.match(path) or {".", ".."} & set(path.split("/")):
        raise ValueError(rule)
    return origin_of(whole.removesuffix(path), rule) + path


def _origins(text: str) -> str:
    rule = "must be origins such as https://music.example.org, separated by commas"
    return ",".join(origin_of(part, rule) for part in listed(text))


def _address(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        raise ValueError("must be an address of this machine such as 127.0.0.1, or 0.0.0.0 for all") from None
    return host


def _networks(text: str) -> str:
    for part in listed(text):
        try:
            ip_network(part, strict=False)
        except ValueError:
            raise ValueError("must be addresses or networks such as 10.0.0.0/8, separated by commas") from None
    return text


def _postgres_url(url: SecretStr) -> SecretStr:
    scheme, separator, rest = url.get_secret_value().partition("://")
    if scheme.partition("+")[0] not in ("postgresql", "postgres") or not separator or not rest:
        raise ValueError("must be a URL such as postgresql://user:password@host:5432/myi")
    return url


def _absolute(path: Path) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:
        raise ValueError("names a home folder that does not exist") from None
    return Path(os.path.abspath(path))


def absolute_folder(text: str) -> Path:
    """The folder that a text names. Raises ValueError."""
    return _absolute(Path(text))


Folder = Annotated[Path, AfterValidator(_absolute)]
ServiceUrl = Annotated[str, AfterValidator(_https_or_loopback)]
# An origin, or a path below one.
SiteUrl = Annotated[str, AfterValidator(_site)]
Origin = Annotated[str, AfterValidator(_origin)]
Origins = Annotated[str, AfterValidator(_origins)]
# On which a server listens.
IpAddress = Annotated[str, AfterValidator(_address)]
Networks = Annotated[str, AfterValidator(_networks)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
