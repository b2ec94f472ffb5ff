"""Small rules of sign-in and requests: local and forwarded addresses, remembered visitors, origins in settings."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from myi_pipeline.logs import mask
from myi_pipeline.people.manage_access import new_secret
from myi_pipeline.settings import Settings, SettingsError, load_settings
from myi_pipeline.web.dashboard.pages import local_address
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.visitors import REMEMBERED_S, KnownVisitors, Visitor, is_secret, is_token

ANA = Visitor(user_id=1, user_key="ana", display_name=None, time_zone="UTC", session_id=1)


def test_a_visitor_is_remembered_for_a_moment_and_forgotten_at_once() -> None:
    now = [100.0]
    known = KnownVisitors(lambda: now[0])
    known.remember(b"a", ANA, known.begin())
    assert known.find(b"a") == ANA
    now[0] += REMEMBERED_S
    assert known.find(b"a") is None
    known.remember(b"a", ANA, known.begin())
    known.forget_all()
    assert known.find(b"a") is None


def test_what_was_looked_up_before_a_session_ended_is_not_remembered_after() -> None:
    known = KnownVisitors()
    begun = known.begin()
    known.forget_all()
    known.remember(b"a", ANA, begun)
    assert known.find(b"a") is None


@pytest.mark.parametrize("address", ["/", "/top?by=year", "/a/b%20c#x"[:8]])
def test_a_path_on_this_site_is_local(address: str) -> None:
    assert local_address(address) == address


@pytest.mark.parametrize(
    "address",
    [None, "", "x", "//evil.example", "/\\evil.example", "/\t/e.example", "/ /x", "https://evil.example", "/a\n/b",
     "/" + "a" * 600, "/<b>", "javascript:alert(1)", "///evil.example"],
)  # fmt: skip
def test_anything_else_is_not(address: str | None) -> None:
    assert local_address(address) == "/"


def asked_from(peer: str, *forwarded: str, trusted: str = "") -> str:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    scope: dict[str, Any] = {"type": "http", "client": (peer, 1), "headers": headers}
    return client_address(Request(scope), Settings(trusted_proxies=trusted).trusted_networks)


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        ("203.0.113.1", ["10.0.0.1"], "", "203.0.113.1"),
        ("10.0.0.9", ["203.0.113.1"], "10.0.0.0/8", "203.0.113.1"),
        ("10.0.0.9", ["1.1.1.1, 203.0.113.1"], "10.0.0.0/8", "203.0.113.1"),
        ("10.0.0.9", ["1.1.1.1", "203.0.113.1, 10.0.0.8"], "10.0.0.0/8", "203.0.113.1"),
        ("10.0.0.9", ["nonsense"], "10.0.0.0/8", "10.0.0.9"),
        ("::ffff:10.0.0.9", ["203.0.113.1"], "10.0.0.0/8", "203.0.113.1"),
        ("2001:db8:1:2:3::4", [], "", "2001:db8:1:2::/64"),
        ("a socket", [], "", "unknown"),
    ],
)
def test_an_address_is_believed_as_far_as_proxies_are_trusted(
    peer: str, forwarded: list[str], trusted: str, found: str
) -> None:
    assert asked_from(peer, *forwarded, trusted=trusted) == found


def test_only_what_could_be_ours_is_looked_up() -> None:
    secret = new_secret()
    assert is_secret(secret)
    assert is_token(f"myi_{secret}")
    assert not any(
        is_token(text) for text in ("", "myi_", secret, f"myi_{secret}x", f"MYI_{secret}", f"myi_{secret}\n")
    )


def test_a_token_never_reaches_a_log() -> None:
    token = f"myi_{new_secret()}"
    assert token not in mask(f"somebody wrote {token} into an address")


@pytest.mark.parametrize(
    ("variables", "wrong"),
    [
        ({"MYI_PUBLIC_URL": "https://a.example/../path"}, "MYI_PUBLIC_URL"),
        ({"MYI_PUBLIC_URL": "https://a.example//path"}, "MYI_PUBLIC_URL"),
        ({"MYI_PUBLIC_URL": "https://a.example/path?x=1"}, "MYI_PUBLIC_URL"),
        ({"MYI_PUBLIC_URL": 'https://a.example/"path'}, "MYI_PUBLIC_URL"),
        ({"MYI_PUBLIC_URL": "a.example"}, "MYI_PUBLIC_URL"),
        ({"MYI_API_HOST": "0.0.0.0"}, "MYI_PUBLIC_URL"),
        ({"MYI_API_HOST": "everywhere"}, "MYI_API_HOST"),
        ({"MYI_TRUSTED_PROXIES": "10.0.0.0/99"}, "MYI_TRUSTED_PROXIES"),
        ({"MYI_CORS_ORIGINS": "*"}, "MYI_CORS_ORIGINS"),
    ],
)
def test_a_setting_that_would_let_anyone_in_is_refused_by_name(variables: dict[str, str], wrong: str) -> None:
    with pytest.raises(SettingsError, match=wrong):
        load_settings(variables)


def test_an_origin_is_written_as_browsers_write_it() -> None:
    settings = load_settings({"MYI_PUBLIC_URL": "https://Music.Example.org:443/", "MYI_API_HOST": "0.0.0.0"})
    assert settings.site_origin == "https://music.example.org"
    below = load_settings({"MYI_PUBLIC_URL": "https://Example.org:443/music/ana/"})
    assert (below.site_origin, below.site_path) == ("https://example.org", "/music/ana")
    assert below.site_url == "https://example.org/music/ana"
    assert load_settings({"MYI_API_HOST": "::1", "MYI_API_PORT": "9000"}).site_origin == "http://[::1]:9000"
