"""Signing in, and what stands in the way of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from myi_pipeline.core.errors import AuthRevoked, BadInput, Forbidden
from myi_pipeline.core.login_terms import Feature
from myi_pipeline.core.pkce import LoginDenied
from myi_pipeline.services import manage_logins
from myi_pipeline.services.refresh_credentials import NotSignedIn, Paused
from myi_pipeline.simulator.live import AppSpec
from myi_pipeline.warehouse.connections import Role
from myi_pipeline.warehouse.token_vault import AccountTaken
from tests.integration.credentials.conftest import CANARY, House, HouseMaker


def test_a_login_allows_to_poll_and_to_read_top_lists(house: House) -> None:
    spotify = house.open()
    made = house.sign_in(spotify)
    assert made.allowed == (Feature.POLLS, Feature.TOP_LISTS)
    assert made.denied == ()
    page = spotify.call(house.user("ana"), lambda client, token: client.recently_played(token))
    assert page.count > 0
    assert page.bad == ()


def test_what_is_stored_is_sealed_and_keyed_on_the_immutable_account(house: House) -> None:
    spotify = house.open()
    house.sign_in(spotify)
    credential = house.credential()
    assert credential.account_key == "account:" + house.simulator.control.account_id("listener-1")
    everything = str(house.sql("select c::text from app.credentials as c"))
    assert CANARY not in everything
    assert CANARY.encode() not in credential.sealed
    assert CANARY in house.refresh_token(spotify)


def test_where_spotify_tells_no_account_id_the_id_stands_in_and_gives_way_later(make_house: HouseMaker) -> None:
    house = make_house(account_id=False)
    spotify = house.open()
    house.sign_in(spotify)
    assert house.credential().account_key == "id:user-listener-1"
    house.simulator.control.set_app(house.credential().client_id, account_id=True)
    house.sign_in(spotify)
    assert house.credential().account_key.startswith("account:")


def test_a_denied_scope_switches_off_what_needs_it_and_says_so(house: House) -> None:
    made = house.sign_in(house.open(), denied=("user-top-read",))
    assert made.allowed == (Feature.POLLS,)
    assert [scope.name for scope in made.denied] == ["user-top-read"]
    assert house.credential().scopes == ("user-read-recently-played",)


def test_who_cancels_on_spotifys_page_is_not_signed_in(house: House) -> None:
    with pytest.raises(LoginDenied, match="refused on Spotify's page"):
        house.sign_in(house.open(), cancel=True)
    assert house.sql("select from app.credentials") == []


def test_a_user_may_bring_a_client_id(make_house: HouseMaker) -> None:
    redirect = "http://127.0.0.1:8898/callback"
    mine, own = (AppSpec(client_id=name, redirect_uris=(redirect,)) for name in ("the-houses", "anas-own"))
    house = make_house(apps=(mine, own))
    spotify = house.open()
    house.sign_in(spotify, client_id="anas-own")
    assert house.credential().client_id == "anas-own"
    spotify.call(house.user("ana"), lambda client, token: client.recently_played(token))
    assert house.simulator.control.calls(client_id="the-houses") == 0


def test_a_redirect_that_is_not_registered_is_named_before_a_browser_opens(make_house: HouseMaker) -> None:
    house = make_house(apps=(AppSpec(redirect_uris=("http://127.0.0.1:9/elsewhere",)),))
    house.settings = house.settings.model_copy(update={"spotify_redirect_uri": "http://127.0.0.1:8898/callback"})
    with pytest.raises(BadInput, match=r"add exactly this .*127\.0\.0\.1") as caught:
        house.sign_in(house.open())
    assert "http://127.0.0.1:8898/callback" in str(caught.value)


def test_an_unknown_client_id_is_named(house: House) -> None:
    with pytest.raises(BadInput, match="does not know the client id nobodys"):
        house.sign_in(house.open(), client_id="nobodys")


def test_without_any_client_id_it_says_where_to_get_one(house: House) -> None:
    house.settings = house.settings.model_copy(update={"spotify_client_id": None})
    with pytest.raises(BadInput, match=r"developer\.spotify\.com"):
        house.sign_in(house.open())


@pytest.mark.parametrize(
    ("app", "rule"), [({"premium": False}, "Premium"), ({"allowed": ("listener-2",)}, "not on the app's list of users")]
)
def test_the_rule_that_is_broken_is_named_and_nothing_is_stored(
    make_house: HouseMaker, app: dict[str, object], rule: str
) -> None:
    house = make_house(**app)
    with pytest.raises(Forbidden, match=rule):
        house.sign_in(house.open())
    assert house.sql("select from app.credentials") == []


def test_an_account_belongs_to_one_user(house: House) -> None:
    spotify = house.open()
    house.sign_in(spotify, "ana", listener="listener-1")
    with pytest.raises(AccountTaken, match="already signed in as user 'ana'"):
        house.sign_in(spotify, "ben", listener="listener-1")


def test_a_user_does_not_become_another_account_by_mistake(house: House) -> None:
    spotify = house.open()
    house.sign_in(spotify, "ana", listener="listener-1")
    with pytest.raises(AccountTaken, match="signed in with another Spotify account"):
        house.sign_in(spotify, "ana", listener="listener-2")
    with house.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert manage_logins.disconnect_user(connection, user_key="ana")
    house.sign_in(spotify, "ana", listener="listener-2")


def test_a_code_serves_once_and_for_ten_minutes(house: House) -> None:
    from myi_pipeline.services import login_user

    spotify = house.open()
    pending = login_user.begin_login(spotify, house.settings, user_id=house.user("ana"), user_key="ana")
    redirected = house.simulator.visit(pending.url, "listener-1")
    house.clock.advance(timedelta(minutes=11))
    with (
        house.warehouse.connect(Role.INGEST, autocommit=True) as connection,
        pytest.raises(AuthRevoked, match="sign in once more"),
    ):
        login_user.finish_login(spotify, connection, pending, redirected=redirected, now=house.clock.now())


def test_a_paused_user_is_left_alone_until_resumed(house: House) -> None:
    spotify = house.open()
    house.sign_in(spotify)
    user = house.user("ana")
    with house.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        manage_logins.pause_user(connection, user_key="ana", now=house.clock.now())
        with pytest.raises(Paused):
            spotify.call(user, lambda client, token: client.recently_played(token))
        (state,) = manage_logins.list_logins(connection, now=house.clock.now())
        assert state.state == "paused"
        manage_logins.resume_user(connection, user_key="ana")
    assert spotify.call(user, lambda client, token: client.recently_played(token)).count > 0
    assert house.sql("select state from ops.circuits") in ([], [("closed",)])


def test_disconnecting_deletes_the_login_at_once(house: House) -> None:
    spotify = house.open()
    house.sign_in(spotify)
    spotify.call(house.user("ana"), lambda client, token: client.recently_played(token))
    with house.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert manage_logins.disconnect_user(connection, user_key="ana")
        assert not manage_logins.disconnect_user(connection, user_key="ana")
    assert house.sql("select from app.credentials") == []
    with pytest.raises(NotSignedIn):
        spotify.call(house.user("ana"), lambda client, token: client.recently_played(token))


def test_pausing_who_is_not_signed_in_says_how_to_sign_in(house: House) -> None:
    house.user("ana")
    with (
        house.warehouse.connect(Role.INGEST, autocommit=True) as connection,
        pytest.raises(BadInput, match="myi user login ana"),
    ):
        manage_logins.pause_user(connection, user_key="ana", now=house.clock.now())
