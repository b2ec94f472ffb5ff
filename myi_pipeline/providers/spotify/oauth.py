"""Signing in at accounts.spotify.com: the authorisation page, the token endpoint, and Spotify's rules for apps."""

from __future__ import annotations

from myi_pipeline.providers.login_terms import scopes_to_ask
from myi_pipeline.providers.oauth_tokens import App, TokenEndpoint
from myi_pipeline.providers.pkce import METHOD, Challenge, authorise_url
from myi_pipeline.providers.transport import Clock, Gate, HttpClient, send

_DASHBOARD = "https://developer.spotify.com/dashboard"


class AccountsClient(TokenEndpoint):
    """The token endpoint for one client id. `client_secret` only if the app's owner configured it."""

    def __init__(
        self,
        http: HttpClient,
        *,
        accounts_url: str,
        client_id: str,
        client_secret: str | None = None,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._url = accounts_url.rstrip("/")
        self.client_id = client_id
        app = App(
            service="Spotify",
            client_id=client_id,
            secret=client_secret,
            token_url=f"{self._url}/api/token",
            console=_DASHBOARD,
            settings="MYI_SPOTIFY_CLIENT_ID and MYI_SPOTIFY_CLIENT_SECRET",
        )
        super().__init__(http, app, gate=gate, clock=clock)

    def __repr__(self) -> str:
        return f"AccountsClient({self._url!r}, client_id={self.client_id!r})"

    def authorise_url(
        self,
        challenge: Challenge,
        *,
        redirect_uri: str,
        ask_again: bool = False,
        with_playlists: bool = False,
        with_writes: bool = False,
    ) -> str:
        """The address that the person opens.

        `ask_again` asks even those who agreed before; `with_playlists` also requests reading playlists, `with_writes`
        changing them.
        """
        asked = scopes_to_ask(with_playlists=with_playlists, with_writes=with_writes)
        return authorise_url(
            f"{self._url}/authorize", challenge, client_id=self.client_id, redirect_uri=redirect_uri,
            scopes=[scope.name for scope in asked], **({"show_dialog": "true"} if ask_again else {}),
        )  # fmt: skip


def broken_rule(http: HttpClient, *, accounts_url: str, client_id: str, redirect_uri: str) -> str | None:
    """Why Spotify's page would refuse this client id and redirect, or None. Signs nobody in.

    Raises Transient if Spotify cannot be reached.
    """
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge_method": METHOD,
        "code_challenge": Challenge(state="", verifier="").code_challenge,
    }
    answer = send(http, "GET", f"{accounts_url.rstrip('/')}/authorize", params=query)
    if answer.status != 400:
        return None
    said = answer.body[:4_096].decode("utf-8", "replace").lower()
    if "redirect" in said:
        return (
            f"Spotify does not know the redirect address {redirect_uri}: add exactly this to the app's Redirect URIs at"
            f" {_DASHBOARD} (localhost is not accepted; 127.0.0.1 is), or set MYI_SPOTIFY_REDIRECT_URI to one of them"
        )
    if "client" in said:
        return f"Spotify does not know the client id {client_id}: copy it from {_DASHBOARD}"
    return None


def explain_forbidden(said: str) -> str:
    """The rule of Spotify's behind a 403, and how to comply. Source: texts of the Web API, 2025-2026."""
    text = said.lower()
    if "premium" in text:
        return "Spotify requires that the owner of the app has Premium"
    if "registered" in text or "allowlist" in text or "user management" in text:
        return (
            "this Spotify account is not on the app's list of users (five at most): add its e-mail under User"
            f" Management at {_DASHBOARD}, or sign in with a client id of its own (--client-id)"
        )
    if "scope" in text:
        return "the login lacks a permission: sign in again and agree to all of them"
    return f"Spotify refuses this ({said or 'no reason given'})"
