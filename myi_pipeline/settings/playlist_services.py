"""Settings: services with playlists, other than Spotify."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import LOOPBACK, Positive, ServiceUrl, parts_of_url, plain_client_id

_GOOGLE_CLIENT_ID = re.compile(r"[0-9A-Za-z._-]{1,128}\Z")


def _client_id_of_google(client_id: str) -> str:
    if not _GOOGLE_CLIENT_ID.match(client_id):
        raise ValueError("is not a client id: these end in .apps.googleusercontent.com")
    return client_id


def _redirect(uri: str) -> str:
    parts = parts_of_url(uri)
    if parts is None or not (parts[0] == "https" or (parts[0] == "http" and parts[1] in LOOPBACK and parts[2])):
        raise ValueError("must be an https URL, or http://127.0.0.1:PORT/...")
    return uri


ClientId = Annotated[str, AfterValidator(plain_client_id)]


class PlaylistServiceSettings(BaseSettings):
    """This installation's apps at TIDAL and YouTube, the services' addresses, and request limits."""

    providers_redirect_uri: Annotated[str, AfterValidator(_redirect)] = Field(
        default="http://127.0.0.1:8897/linked",
        description="Where TIDAL and Google send the browser after a sign-in; register exactly this in your apps.",
    )
    tidal_client_id: ClientId | None = Field(
        default=None,
        description="Client id of your app at developer.tidal.com; without it, TIDAL cannot be linked.",
    )
    tidal_client_secret: SecretStr | None = Field(
        default=None,
        description="That app's client secret; needed only to look tracks up without a linked account.",
    )
    tidal_api_url: ServiceUrl = Field(default="https://openapi.tidal.com/v2", description="TIDAL's API.")
    tidal_login_url: ServiceUrl = Field(default="https://login.tidal.com", description="TIDAL's authorisation page.")
    tidal_auth_url: ServiceUrl = Field(default="https://auth.tidal.com", description="TIDAL's token service.")
    tidal_requests_per_minute: Positive = Field(
        default=240, description="Maximum requests per minute to TIDAL, for all users and processes together."
    )
    deezer_url: ServiceUrl = Field(default="https://api.deezer.com", description="Deezer's API.")
    deezer_interval_ms: Positive = Field(
        default=110,
        description="Minimum milliseconds between two requests to Deezer across all processes; Deezer allows 50 in 5"
        " s.",
    )
    youtube_client_id: Annotated[str, AfterValidator(_client_id_of_google)] | None = Field(
        default=None,
        description="OAuth client id of your project at console.cloud.google.com; without it, YouTube Music cannot be"
        " linked.",
    )
    youtube_client_secret: SecretStr | None = Field(
        default=None, description="That client's secret, without which Google gives no tokens."
    )
    youtube_published: bool = Field(
        default=False,
        description="Whether the project's consent screen is published; while it is in testing, logins end after 7"
        " days.",
    )
    youtube_api_url: ServiceUrl = Field(
        default="https://www.googleapis.com/youtube/v3", description="YouTube's Data API."
    )
    youtube_login_url: ServiceUrl = Field(
        default="https://accounts.google.com", description="Google's authorisation page."
    )
    youtube_auth_url: ServiceUrl = Field(default="https://oauth2.googleapis.com", description="Google's token service.")
    youtube_units_per_day: Positive = Field(
        default=10_000, description="The project's daily quota of YouTube units, not counting searches."
    )
    youtube_searches_per_day: Positive = Field(
        default=100, description="The project's daily quota of YouTube searches."
    )
