"""Settings: Spotify, its quota, and the keys that seal logins."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.encryption_keys import decode_keys
from myi_pipeline.settings.kinds import LOOPBACK, Positive, ServiceUrl, parts_of_url, plain_client_id


def _keys_of_32_bytes(keys: SecretStr) -> SecretStr:
    decode_keys(keys.get_secret_value())
    return keys


def _redirect_that_spotify_takes(uri: str) -> str:
    parts = parts_of_url(uri)
    if parts is not None and parts[1] == "localhost":
        raise ValueError("Spotify refuses localhost: write 127.0.0.1 instead, here and in your app's settings")
    if parts is None or not (parts[0] == "https" or (parts[0] == "http" and parts[1] in LOOPBACK and parts[2])):
        raise ValueError("Spotify accepts https URLs, http://127.0.0.1:PORT/... and http://[::1]:PORT/...")
    return uri


class SpotifySettings(BaseSettings):
    """The app at Spotify, Spotify's addresses, and request limits."""

    encryption_keys: Annotated[SecretStr, AfterValidator(_keys_of_32_bytes)] | None = Field(
        default=None,
        description="Keys that seal stored logins: 32 random bytes each, in base64 or hex, separated by commas. The"
        " first seals, all open. Without any, MYI makes one in MYI_HOME/secrets.",
    )
    spotify_client_id: Annotated[str, AfterValidator(plain_client_id)] | None = Field(
        default=None, description="Client id of your app at developer.spotify.com; users may have their own."
    )
    spotify_client_secret: SecretStr | None = Field(
        default=None, description="That app's client secret; not needed, since sign-in uses PKCE."
    )
    spotify_redirect_uri: Annotated[str, AfterValidator(_redirect_that_spotify_takes)] = Field(
        default="http://127.0.0.1:8898/callback",
        description="Where Spotify sends the browser after a sign-in; register exactly this in your app.",
    )
    spotify_api_url: ServiceUrl = Field(default="https://api.spotify.com/v1", description="Spotify's Web API.")
    spotify_accounts_url: ServiceUrl = Field(
        default="https://accounts.spotify.com", description="Spotify's sign-in and token service."
    )
    spotify_images_url: ServiceUrl = Field(default="https://i.scdn.co", description="Spotify's picture host.")
    covers: bool = Field(default=True, description="Whether covers are downloaded and stored.")
    spotify_requests_per_minute: Positive = Field(
        default=150, description="Maximum requests per minute for one client id, for across all processes."
    )
    spotify_calls_per_day: Positive = Field(
        default=2_000,
        description="Daily calls per client id after which catalogue requests wait. Polls are planned with the rest.",
    )
    spotify_catalogue_calls_per_day: Annotated[int, Field(ge=0)] = Field(
        default=400, description="Maximum catalogue calls in 24 hours for one client id."
    )

    def encryption_key_bytes(self) -> tuple[bytes, ...]:
        """The configured keys; the first one seals. Secret."""
        return decode_keys(self.encryption_keys.get_secret_value()) if self.encryption_keys is not None else ()
