"""Settings: Last.fm and ListenBrainz."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import Positive, ServiceUrl


class ServiceSettings(BaseSettings):
    """Scrobbling services: their addresses, the app at Last.fm, and request limits."""

    lastfm_api_key: SecretStr | None = Field(
        default=None,
        description="API key of your account at last.fm/api; without it, Last.fm cannot be linked.",
    )
    lastfm_api_secret: SecretStr | None = Field(
        default=None, description="That key's shared secret; needed only to send plays on to Last.fm."
    )
    lastfm_url: ServiceUrl = Field(default="https://ws.audioscrobbler.com", description="Last.fm's API.")
    lastfm_site_url: ServiceUrl = Field(
        default="https://www.last.fm", description="Last.fm's pages, where a person allows MYI to send plays."
    )
    lastfm_requests_per_minute: Positive = Field(
        default=180, description="Maximum requests per minute to Last.fm, for all users and processes together."
    )
    listenbrainz_url: ServiceUrl = Field(default="https://api.listenbrainz.org", description="ListenBrainz' API.")
    listenbrainz_requests_per_minute: Positive = Field(
        default=180, description="Maximum requests per minute to ListenBrainz, for all users and processes together."
    )
