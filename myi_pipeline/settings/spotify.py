"""Settings: Spotify, its quota, and the keys that seal logins."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.encryption_keys import decode_keys
from myi_pipeline.settings.kinds import LOOPBACK, Positive, ServiceUrl, parts_of_url

CLIENT_ID = re.compile(r"[0-9A-Za-z_-]{1,128}\Z")


def _keys_of_32_bytes(keys: SecretStr) -> SecretStr:
    decode_keys(keys.get_secret_value())
    return keys


def _plain_word(client_id: str) -> str:
    if not CLIENT_ID.match(client_id):
        raise ValueError("is not a client id: letters and digits, as your app's page shows it")
    return client_id


def _redirect_that_spotify_takes(uri: str) -> str:
    parts = parts_of_url(uri)
    if parts is not None and parts[1] == "localhost":
        raise ValueError("Spotify refuses localhost: write 127.0.0.1 instead, here and in your app's settings")
    if parts is None or not (parts[0] == "https" or (parts[0] == "http" and parts[1] in LOOPBACK and parts[2])):
        raise ValueError("Spotify takes https URLs, http://127.0.0.1:PORT/... and http://[::1]:PORT/...")
    return uri


class SpotifySettings(BaseSettings):
    """The app at Spotify, its addresses, and how much is asked of it."""

    encryption_keys: Annotated[SecretStr, AfterValidator(_keys_of_32_bytes)] | None = Field(
        default=None,
        description="Keys that seal stored logins: 32 random bytes each, in base64 or hex, separated by commas. The"
        " first seals, all open. Without it MYI makes one in MYI_HOME/secrets.",
    )
    spotify_client_id: Annotated[str, AfterValidator(_plain_word)] | None = Field(
        default=None, description="Client id of your app at developer.spotify.com; a user may bring another."
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
    spotify_images_url: ServiceUrl = Field(default="https://i.scdn.co", description="Spotify's host of pictures.")
    covers: bool = Field(default=True, description="Whether covers are fetched and kept; false: none is asked for.")
    spotify_requests_per_minute: Positive = Field(
        default=150, description="Most requests a minute for one client id, all processes together."
    )
    spotify_calls_per_day: Positive = Field(
        default=2_000,
        description="Daily calls per client id after which catalogue requests wait. Polls plan with the rest.",
    )
    spotify_catalogue_calls_per_day: Annotated[int, Field(ge=0)] = Field(
        default=400, description="Most calls for the catalogue in 24 hours, for one client id."
    )

    def encryption_key_bytes(self) -> tuple[bytes, ...]:
        """The keys that were given, the one that seals first. Secret."""
        return decode_keys(self.encryption_keys.get_secret_value()) if self.encryption_keys is not None else ()
