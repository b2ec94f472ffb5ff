"""Signing in at TIDAL (login.tidal.com), and whose account it was."""

from __future__ import annotations

from myi_pipeline.providers.oauth_tokens import App, TokenEndpoint
from myi_pipeline.providers.pkce import Challenge, authorise_url
from myi_pipeline.providers.sign_in_rules import AccessToken, AskedScope, SignInTerms, TokenGrant, WhoSignedIn
from myi_pipeline.providers.tidal.api import TidalApi
from myi_pipeline.providers.tidal.models import one_of
from myi_pipeline.providers.transport import Clock, Gate, HttpClient

# All of them are open to third parties according to TIDAL's API description.
TERMS = SignInTerms(
    service="TIDAL",
    scopes=(
        AskedScope("user.read", "to know whose account it is, and in which country", "the account cannot be linked"),
        AskedScope("playlists.read", "to read your playlists", "your playlists are not read"),
        AskedScope("playlists.write", "to create playlists that you move to TIDAL", "nothing can be moved to TIDAL"),
        AskedScope("collection.read", "to read your liked tracks", "liked tracks are not read"),
        AskedScope(
            "collection.write", "to like tracks that you move to TIDAL", "liked tracks cannot be moved to TIDAL"
        ),
        AskedScope("search.read", "to look for tracks by name", "tracks are found only by their code (ISRC)"),
    ),
)
CONSOLE = "https://developer.tidal.com/dashboard"


def tidal_app(*, client_id: str, secret: str | None, auth_url: str) -> App:
    return App(
        service="TIDAL",
        client_id=client_id,
        secret=secret,
        token_url=f"{auth_url.rstrip('/')}/v1/oauth2/token",
        console=CONSOLE,
        settings="MYI_TIDAL_CLIENT_ID and MYI_TIDAL_CLIENT_SECRET",
        revoke_url=f"{auth_url.rstrip('/')}/v1/oauth2/revoke",
    )


class TidalSignIn:
    """A SignIn. `login_url` is the authorisation page."""

    terms = TERMS

    def __init__(self, http: HttpClient, app: App, *, login_url: str, api_url: str, gate: Gate, clock: Clock) -> None:
        self._http = http
        self._login_url = login_url.rstrip("/")
        self._api_url = api_url
        self._gate = gate
        self._clock = clock
        self._endpoint = TokenEndpoint(http, app, gate=gate, clock=clock)
        self.client_id = app.client_id

    def authorise_url(self, challenge: Challenge, *, redirect_uri: str, ask_again: bool = False) -> str:
        """See SignIn; TIDAL always asks."""
        return authorise_url(
            f"{self._login_url}/authorize", challenge, client_id=self.client_id, redirect_uri=redirect_uri,
            scopes=[scope.name for scope in TERMS.scopes],
        )  # fmt: skip

    def exchange(self, code: str, challenge: Challenge, *, redirect_uri: str) -> TokenGrant:
        return self._endpoint.exchange(code, challenge, redirect_uri=redirect_uri)

    def refresh(self, refresh_token: str) -> TokenGrant:
        return self._endpoint.refresh(refresh_token)

    def revoke(self, refresh_token: str) -> None:
        self._endpoint.revoke(refresh_token)

    def who(self, token: AccessToken) -> WhoSignedIn:
        """The account; TIDAL has no /users/me of its own, `me` is an id like any other."""
        api = TidalApi(
            self._http, url=self._api_url, gate=self._gate, clock=self._clock, tokens=lambda rejected=None: token
        )
        what, document = api.read("/users/me")
        user = one_of(document, what=what)
        told = user.get("attributes")
        told = told if isinstance(told, dict) else {}
        name, country = told.get("username"), told.get("country")
        return WhoSignedIn(
            account_id=user["id"],
            name=name if isinstance(name, str) and name else None,
            country=country if isinstance(country, str) and len(country) == 2 else None,
        )
