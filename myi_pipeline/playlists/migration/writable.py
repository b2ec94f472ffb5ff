"""Which linked accounts playlists can be moved to, and what prevents it."""

from __future__ import annotations

from typing import Final

from myi_pipeline.providers.accounts import Provider, ProviderAccount
from myi_pipeline.providers.login_terms import Feature, features

TARGETS: Final = frozenset({Provider.SPOTIFY, Provider.TIDAL, Provider.YOUTUBE_MUSIC})
# Write permissions of the services that are linked by `myi providers link`, which always asks for them.
_NEEDED: Final = {
    Provider.TIDAL: "playlists.write",
    Provider.YOUTUBE_MUSIC: "https://www.googleapis.com/auth/youtube",
}


def writing_trouble(account: ProviderAccount) -> str | None:
    """Why nothing can be moved to the account with its current login, and what to do about it; None if it can."""
    title, key = account.title, account.user_key
    if account.provider not in TARGETS:
        return f"playlists cannot be moved to {account.provider.label}: it does not let programs write"
    if account.state == "reauth_required":
        return f"the login of {title} has ended: {_sign_in(account)}"
    if not account.is_usable:
        return f"{title} cannot be used: it is paused, or its login has ended"
    if account.provider is Provider.SPOTIFY:
        allowed = features(account.scopes)
        if Feature.PLAYLIST_WRITES not in allowed or Feature.PLAYLISTS not in allowed:
            return (
                f"the Spotify login of {key} does not allow changing playlists. To allow it: {_sign_in(account)}, or"
                " “Connect again” with both boxes ticked on the account page, and agree to what Spotify asks"
            )
        return None
    # A service that does not list the permissions has granted all that were requested.
    if account.scopes and _NEEDED[account.provider] not in account.scopes:
        return f"the login of {title} does not allow changing playlists. To allow it: {_sign_in(account)}"
    return None


def _sign_in(account: ProviderAccount) -> str:
    if account.provider is Provider.SPOTIFY:
        return f"myi user login {account.user_key} --playlist-writes"
    return f"myi providers link {account.user_key} {account.provider.value}"
