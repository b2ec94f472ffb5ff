"""Signing in at Google for YouTube, and identifying the channel."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from myi_pipeline.errors import Permanent
from myi_pipeline.providers.oauth_tokens import App, TokenEndpoint
from myi_pipeline.providers.pkce import Challenge, authorise_url
from myi_pipeline.providers.sign_in_rules import AccessToken, AskedScope, SignInTerms, TokenGrant, WhoSignedIn
from myi_pipeline.providers.transport import Clock, Gate, HttpClient
from myi_pipeline.providers.youtube_music.api import YouTubeApi
from myi_pipeline.providers.youtube_music.models import items_of, object_of, text_of
from myi_pipeline.providers.youtube_music.units import DayUnits

CONSOLE = "https://console.cloud.google.com/apis/credentials"
_SCOPE = "https://www.googleapis.com/auth/youtube"
_SCOPES = (
    AskedScope(f"{_SCOPE}.readonly", "to read your playlists", "the account cannot be linked"),
    AskedScope(_SCOPE, "to create playlists that you move to YouTube Music", "nothing can be moved to YouTube Music"),
)
# Google: refresh tokens of a project whose consent screen is external and in testing expire after seven days.
TESTING_LIFE = timedelta(days=7)


def terms(*, is_published: bool) -> SignInTerms:
    """What a person should know. A published app's login lasts until it is revoked, or unused for six months."""
    if is_published:
        return SignInTerms(service="YouTube Music", scopes=_SCOPES, note="The login lasts until you revoke it.")
    return SignInTerms(
        service="YouTube Music",
        scopes=_SCOPES,
        lasts=TESTING_LIFE,
        note="This login ends after 7 days, because the consent screen of the Google project is in testing: you will"
        " have to sign in again every week. It lasts once the project's owner publishes the app on the page of the"
        " consent screen and sets MYI_YOUTUBE_PUBLISHED=true.",
    )


def youtube_app(*, client_id: str, secret: str | None, auth_url: str) -> App:
    return App(
        service="Google",
        client_id=client_id,
        secret=secret,
        token_url=f"{auth_url.rstrip('/')}/token",
        console=CONSOLE,
        settings="MYI_YOUTUBE_CLIENT_ID and MYI_YOUTUBE_CLIENT_SECRET",
        revoke_url=f"{auth_url.rstrip('/')}/revoke",
        has_secret_in_form=True,
    )


class YouTubeSignIn:
    """A SignIn. `login_url` is the authorisation page."""

    def __init__(
        self,
        http: HttpClient,
        app: App,
        *,
        login_url: str,
        api_url: str,
        gate: Gate,
        units: DayUnits,
        clock: Clock,
        is_published: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._login_url = login_url.rstrip("/")
        self._api_url = api_url
        self._gate = gate
        self._units = units
        self._clock = clock
        self._sleep = sleep
        self._endpoint = TokenEndpoint(http, app, gate=gate, clock=clock)
        self.client_id = app.client_id
        self.terms = terms(is_published=is_published)

    def authorise_url(self, challenge: Challenge, *, redirect_uri: str, ask_again: bool = False) -> str:
        """See SignIn. Google gives a refresh token only after asking, so it always asks."""
        return authorise_url(
            f"{self._login_url}/o/oauth2/v2/auth", challenge, client_id=self.client_id, redirect_uri=redirect_uri,
            scopes=[scope.name for scope in _SCOPES], access_type="offline",
            prompt="consent select_account" if ask_again else "consent",
        )  # fmt: skip

    def exchange(self, code: str, challenge: Challenge, *, redirect_uri: str) -> TokenGrant:
        return self._endpoint.exchange(code, challenge, redirect_uri=redirect_uri)

    def refresh(self, refresh_token: str) -> TokenGrant:
        return self._endpoint.refresh(refresh_token)

    def revoke(self, refresh_token: str) -> None:
        self._endpoint.revoke(refresh_token)

    def who(self, token: AccessToken) -> WhoSignedIn:
        """The channel. Also raises Permanent for a Google account without one."""
        api = YouTubeApi(
            self._http, url=self._api_url, gate=self._gate, units=self._units, clock=self._clock,
            tokens=lambda rejected=None: token, sleep=self._sleep,
        )  # fmt: skip
        what, document = api.read("/channels", {"part": "snippet", "mine": "true"})
        found = items_of(document, what=what)
        named = text_of(found[0].get("id")) if found else None
        if named is None:
            raise Permanent("this Google account has no channel on YouTube: open youtube.com and create one")
        told = object_of(found[0].get("snippet"))
        return WhoSignedIn(account_id=named, name=text_of(told.get("title")), country=text_of(told.get("country")))
