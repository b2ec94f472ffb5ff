"""Settings: the pages and the API."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import Networks, Origins, Port, Positive, SiteUrl, listed


def _address(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        raise ValueError("must be an address of this machine such as 127.0.0.1, or 0.0.0.0 for all") from None
    return host


class SiteSettings(BaseSettings):
    """Where it listens, who may come in, and how often."""

    api_host: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1", description="Address on which the API and its pages listen."
    )
    api_port: Port = Field(default=8898, description="Port of the API and its pages.")
    public_url: SiteUrl | None = Field(
        default=None, description="Where browsers reach MYI, if not at http://127.0.0.1:MYI_API_PORT."
    )
    trusted_proxies: Networks = Field(
        default="", description="Addresses or networks of proxies whose X-Forwarded-For is believed, by commas."
    )
    cors_origins: Origins = Field(
        default="", description="Origins whose scripts may read the API with an access token, by commas; none."
    )
    metrics_port: Port | None = Field(
        default=None, description="A port of their own for /healthz, /readyz and /metrics, which then are only there."
    )
    open_signup: bool = Field(
        default=False, description="Whether everybody with a Spotify account may sign in and becomes a user."
    )
    session_idle_days: Positive = Field(
        default=14, description="A browser that was not used for this many days has to sign in again."
    )
    session_days: Positive = Field(default=90, description="A sign-in of a browser ends after this many days.")
    api_requests_per_minute: Positive = Field(
        default=600, description="Most requests a minute of one user, or of one address without a user."
    )
    api_sensitive_requests_per_minute: Positive = Field(
        default=20, description="Most sign-ins, uploads, exports and wrong credentials a minute, each."
    )
    api_client_connections: Positive = Field(
        default=100, description="Most open connections of one address; proxies of MYI_TRUSTED_PROXIES have no limit."
    )
    api_max_upload_bytes: Positive = Field(default=1024**3, description="Most bytes of one uploaded archive.")
    uploads_quota_bytes: Positive = Field(
        default=2 * 1024**3, description="Most bytes that one user may hand in over the network and leave lying."
    )
    api_connections: Annotated[int, Field(ge=2)] = Field(
        default=8, description="Most connections for reading marts at the same time."
    )

    @model_validator(mode="after")
    def _others_need_an_address(self) -> Self:
        # Without the name by which it is reached, no request could be distinguished from one that a foreign page makes.
        if self.public_url is None and not ip_address(self.api_host).is_loopback:
            raise ValueError("MYI_PUBLIC_URL: needed when MYI_API_HOST is reached from elsewhere")
        return self

    @property
    def site_origin(self) -> str:
        """Where browsers reach the pages: scheme, host and port."""
        if self.public_url is not None:
            return self.public_url.removesuffix(self.site_path)
        host = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return f"http://{host}:{self.api_port}"

    @property
    def site_path(self) -> str:
        """What stands before each address of the pages, such as `/music`; empty where they have the whole origin."""
        return urlsplit(self.public_url).path if self.public_url is not None else ""

    @property
    def site_url(self) -> str:
        """Where browsers reach the pages, without a slash at its end."""
        return self.site_origin + self.site_path

    def is_on_site(self, address: str) -> bool:
        """Whether an absolute address is one of this site."""
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc}" == self.site_origin and parts.path.startswith(f"{self.site_path}/")

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(part, strict=False) for part in listed(self.trusted_proxies))

    @property
    def cors_origin_list(self) -> tuple[str, ...]:
        return tuple(listed(self.cors_origins))
