"""Settings: the pages and the API."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import IpAddress, Networks, Origins, Port, Positive, SiteUrl, listed


class SiteSettings(BaseSettings):
    """Listening addresses, access, and rate limits."""

    api_host: IpAddress = Field(default="127.0.0.1", description="Address on which the API and its pages listen.")
    api_port: Port = Field(default=8898, description="Port of the API and its pages.")
    public_url: SiteUrl | None = Field(
        default=None, description="Address at which browsers reach MYI, if not http://127.0.0.1:MYI_API_PORT."
    )
    trusted_proxies: Networks = Field(
        default="",
        description="Addresses or networks of proxies whose X-Forwarded-For is trusted, separated by commas.",
    )
    cors_origins: Origins = Field(
        default="",
        description="Origins whose scripts may read the API with an access token, separated by commas; default: none.",
    )
    metrics_port: Port | None = Field(
        default=None,
        description="A separate port for /healthz, /readyz and /metrics, which are then available only there.",
    )
    open_signup: bool = Field(
        default=False, description="Whether anybody with a Spotify account may sign in and become a user."
    )
    session_idle_days: Positive = Field(
        default=14, description="A browser that was not used for this many days must sign in again."
    )
    session_days: Positive = Field(default=90, description="A browser's sign-in ends after this many days.")
    api_requests_per_minute: Positive = Field(
        default=600, description="Maximum requests per minute of one user, or of one address if not signed in."
    )
    api_sensitive_requests_per_minute: Positive = Field(
        default=20,
        description="Maximum sign-ins, uploads, exports, drawn cards and wrong credentials per minute, each.",
    )
    api_client_connections: Positive = Field(
        default=100,
        description="Maximum open connections of one address; proxies in MYI_TRUSTED_PROXIES have no limit.",
    )
    api_max_upload_bytes: Positive = Field(default=1024**3, description="Maximum bytes of one uploaded archive.")
    share_days: Positive = Field(
        default=90, description="A share report ends after this many days, unless its owner chooses otherwise."
    )
    uploads_quota_bytes: Positive = Field(
        default=2 * 1024**3, description="Maximum bytes of one user's uploads that may be stored at a time."
    )
    api_connections: Annotated[int, Field(ge=2)] = Field(
        default=8, description="Maximum concurrent connections for reading marts."
    )

    @model_validator(mode="after")
    def _others_need_an_address(self) -> Self:
        # Without knowing its own name, the site could not distinguish its own requests from those of a foreign page.
        if self.public_url is None and not ip_address(self.api_host).is_loopback:
            raise ValueError("MYI_PUBLIC_URL: required if MYI_API_HOST can be reached from other machines")
        return self

    @property
    def site_origin(self) -> str:
        """The origin of the pages: scheme, host and port."""
        if self.public_url is not None:
            return self.public_url.removesuffix(self.site_path)
        host = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return f"http://{host}:{self.api_port}"

    @property
    def site_path(self) -> str:
        """The path before every address of the pages, such as `/music`; empty if they have the whole origin."""
        return urlsplit(self.public_url).path if self.public_url is not None else ""

    @property
    def site_url(self) -> str:
        """The address of the pages, without a trailing slash."""
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
