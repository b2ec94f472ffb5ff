"""Signing in, and what stands in the way of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from myi_pipeline.errors import AuthRevoked, BadInput, Forbidden, Paused
from myi_pipeline.people import logins
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers import login_owners
from myi_pipeline.providers.login_owners import AccountTaken, AccountUnclear, AnotherAccount
from myi_pipeline.providers.login_terms import Feature
from myi_pipeline.providers.pkce import LoginDenied
from myi_pipeline.providers.spotify.refresh_credentials import NotSignedIn
from myi_pipeline.simulator.live import AppSpec
from tests.integration.credentials.conftest import CANARY, Setup, SetupMaker


def test_a_login_allows_to_poll_to_read_top_lists_and_what_is_playing(setup: Setup) -> None:
    spotify = setup.open()
    made = setup.sign_in(spotify)
    assert set(made.allowed) == {Feature.POLLS, Feature.TOP_LISTS, Feature.NOW_PLAYING}
    assert made.denied == ()
    page = spotify.call(setup.user("ana"), lambda client, token: client.recently_played(token))
    assert page.count > 0
    assert page.bad == ()


def test_what_is_stored_is_sealed_and_keyed_on_the_immutable_account(setup: Setup) -> None:
    spotify = setup.open()
    setup.sign_in(spotify)
    credential = setup.credential()
    assert credential.account_key == "account:" + setup.simulator.control.account_id("listener-1")
    everything = str(setup.sql("select c::text from app.credentials as c"))
    assert CANARY not in everything
    assert CANARY.encode() not in credential.sealed
    assert CANARY in setup.refresh_token(spotify)


def test_where_spotify_tells_no_account_id_the_id_stands_in_and_gives_way_later(make_setup: SetupMaker) -> None:
    setup = make_setup(account_id=False)
    spotify = setup.open()
    setup.sign_in(spotify)
    assert setup.credential().account_key == "id:user-listener-1"
    setup.simulator.control.set_app(setup.credential().client_id, account_id=True)
    setup.sign_in(spotify)
    assert setup.credential().account_key.startswith("account:")


def test_a_denied_scope_switches_off_what_needs_it_and_says_so(setup: Setup) -> None:
    made = setup.sign_in(setup.open(), denied=("user-top-read",))
    assert set(made.allowed) == {Feature.POLLS, Feature.NOW_PLAYING}
    assert [scope.name for scope in made.denied] == ["user-top-read"]
    assert setup.credential().scopes == ("user-read-currently-playing", "user-read-recently-played")


def test_who_cancels_on_spotifys_page_is_not_signed_in(setup: Setup) -> None:
    with pytest.raises(LoginDenied, match="refused on Spotify's page"):
        setup.sign_in(setup.open(), cancel=True)
    assert setup.sql("select user_id from app.credentials") == []


def test_a_user_may_bring_a_client_id(make_setup: SetupMaker) -> None:
    redirect = "http://127.0.0.1:8898/callback"
    mine, own = (AppSpec(client_id=name, redirect_uris=(redirect,)) for name in ("the-setups", "anas-own"))
    setup = make_setup(apps=(mine, own))
    spotify = setup.open()
    setup.sign_in(spotify, client_id="anas-own")
    assert setup.credential().client_id == "anas-own"
    spotify.call(setup.user("ana"), lambda client, token: client.recently_played(token))
    assert setup.simulator.control.calls(client_id="the-setups") == 0


def test_a_redirect_that_is_not_registered_is_named_before_a_browser_opens(make_setup: SetupMaker) -> None:
    setup = make_setup(apps=(AppSpec(redirect_uris=("http://127.0.0.1:9/elsewhere",)),))
    setup.settings = setup.settings.model_copy(update={"spotify_redirect_uri": "http://127.0.0.1:8898/callback"})
    with pytest.raises(BadInput, match=r"add exactly this .*127\.0\.0\.1") as caught:
        setup.sign_in(setup.open())
    assert "http://127.0.0.1:8898/callback" in str(caught.value)


def test_an_unknown_client_id_is_named(setup: Setup) -> None:
    with pytest.raises(BadInput, match="does not know the client id nobodys"):
        setup.sign_in(setup.open(), client_id="nobodys")


def test_without_any_client_id_it_says_where_to_get_one(setup: Setup) -> None:
    setup.settings = setup.settings.model_copy(update={"spotify_client_id": None})
    with pytest.raises(BadInput, match=r"developer\.spotify\.com"):
        setup.sign_in(setup.open())


@pytest.mark.parametrize(
    ("app", "rule"), [({"premium": False}, "Premium"), ({"allowed": ("listener-2",)}, "not on the app's list of users")]
)
def test_the_rule_that_is_broken_is_named_and_nothing_is_stored(
    make_setup: SetupMaker, app: dict[str, object], rule: str
) -> None:
    setup = make_setup(**app)
    with pytest.raises(Forbidden, match=rule):
        setup.sign_in(setup.open())
    assert setup.sql("select user_id from app.credentials") == []


def test_an_account_belongs_to_one_user_and_the_refusal_names_nobody(setup: Setup) -> None:
    spotify = setup.open()
    setup.sign_in(spotify, "ana", listener="listener-1")
    with pytest.raises(AccountTaken, match="already signed in as another user") as caught:
        setup.sign_in(spotify, "ben", listener="listener-1")
    assert "ana" not in str(caught.value)


def test_another_account_takes_the_place_only_of_one_whose_person_was_asked(setup: Setup) -> None:
    spotify = setup.open()
    setup.sign_in(spotify, "ana", listener="listener-1")
    before = setup.credential()
    with pytest.raises(AnotherAccount, match="signed in with another Spotify account"):
        setup.sign_in(spotify, "ana", listener="listener-2")
    assert setup.credential() == before

    setup.sign_in(spotify, "ana", listener="listener-2", may_switch=lambda: True)
    assert setup.credential().account_id == setup.simulator.control.account_id("listener-2")
    assert setup.sql("select detail from app.audit where event = 'spotify_connected' order by audit_id") == [
        ({},), ({"switched_account": True},),
    ]  # fmt: skip
    # Whoever disconnects first was asked by that.
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert logins.disconnect_user(connection, user_key="ana")
    setup.sign_in(spotify, "ana", listener="listener-1")


@pytest.mark.parametrize("missing", ["account_id", "profile_id"])
def test_either_name_recognises_the_owner_and_keeps_others_out_when_spotify_leaves_one_out(
    setup: Setup, missing: str
) -> None:
    spotify = setup.open()
    setup.sign_in(spotify, "ana", listener="listener-1")
    before = setup.credential()
    setup.simulator.control.set_app(before.client_id, **{missing: False})

    setup.clock.advance(timedelta(days=1))
    setup.sign_in(spotify, "ana", listener="listener-1")

    after = setup.credential()
    assert after.authorised_at > before.authorised_at
    assert (after.account_id, after.profile_id) == (before.account_id, "user-listener-1")
    with pytest.raises(AccountTaken):
        setup.sign_in(spotify, "ben", listener="listener-1")
    setup.sign_in(spotify, "ben", listener="listener-2")


def test_an_account_of_which_one_name_was_stored_is_asked_for_the_other_before_anybody_takes_it(setup: Setup) -> None:
    """What versions before stored: account_id or id, never both."""
    spotify = setup.open()
    setup.sign_in(spotify, "ana", listener="listener-1")
    client = setup.credential().client_id
    setup.sql("update app.credentials set profile_id = null, names_asked_at = null")
    setup.simulator.control.set_app(client, account_id=False)

    with pytest.raises(AccountTaken):
        setup.sign_in(spotify, "ben", listener="listener-1")
    assert setup.credential().profile_id == "user-listener-1"
    setup.sign_in(spotify, "ben", listener="listener-2")

    # The owner is not refused although the other user's account is known by account_id alone.
    setup.sql(
        "update app.credentials set account_id = 'of-ben', profile_id = null, names_asked_at = null where user_id = %s",
        setup.user("ben"),
    )
    setup.sign_in(spotify, "ana", listener="listener-1")
    # Nor is another account taken for the owner's.
    setup.sql(
        "update app.credentials set profile_id = null, names_asked_at = null where user_id = %s", setup.user("ana")
    )
    with pytest.raises(AnotherAccount):
        setup.sign_in(spotify, "ana", listener="listener-3")

    # Where nobody can tell, nobody takes anything; the owner goes on.
    setup.sql(
        "update app.credentials set profile_id = null, names_asked_at = null where user_id = %s", setup.user("ana")
    )
    setup.simulator.control.revoke("listener-1")
    with pytest.raises(AccountUnclear, match="Nothing was changed"):
        setup.sign_in(spotify, "eve", listener="listener-1")
    setup.sign_in(spotify, "ana", listener="listener-1")
    assert setup.credential().profile_id == "user-listener-1"


@pytest.mark.parametrize(
    ("told", "refusal"),
    [
        # account_id is Ana's, id is Ben's.
        (("account:a1", "id:ben"), AccountTaken),
        # Another account, which goes by the id that Ana's was known by.
        (("account:a9", "id:ana"), AccountTaken),
        (("id:ana", None), AccountTaken),
        (("account:a2", None), AccountTaken),
    ],
)
def test_names_that_lead_to_somebody_else_are_refused(
    setup: Setup, told: tuple[str, str | None], refusal: type[Exception]
) -> None:
    keys, now = setup.open().keys, setup.clock.now()

    def store(user: str, account_key: str, other_key: str | None) -> None:
        with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            login_owners.store_login(
                connection, keys, user_id=setup.user(user), client_id="c", account_key=account_key,
                other_key=other_key, refresh_token="secret", scopes=(), now=now,
            )  # fmt: skip

    store("ana", "account:a1", "id:ana")
    store("ben", "account:a2", "id:ben")
    rows = setup.sql("select user_id, account_id, profile_id from app.credentials order by 1")
    for user in ("ana", "eve") if told[0] == "account:a1" else ("eve",):
        with pytest.raises(refusal) as caught:
            store(user, *told)
        assert "ana" not in str(caught.value).split()
    assert setup.sql("select user_id, account_id, profile_id from app.credentials order by 1") == rows


def test_a_code_serves_once_and_for_ten_minutes(setup: Setup) -> None:
    from myi_pipeline.people import logins

    spotify = setup.open()
    pending = logins.begin_login(spotify, setup.settings, user_id=setup.user("ana"), user_key="ana")
    redirected = setup.simulator.visit(pending.url, "listener-1")
    setup.clock.advance(timedelta(minutes=11))
    with (
        setup.warehouse.connect(Role.INGEST, autocommit=True) as connection,
        pytest.raises(AuthRevoked, match="sign in again"),
    ):
        logins.finish_login(spotify, connection, pending, redirected=redirected, now=setup.clock.now())


def test_a_paused_user_is_left_alone_until_resumed(setup: Setup) -> None:
    spotify = setup.open()
    setup.sign_in(spotify)
    user = setup.user("ana")
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        logins.pause_user(connection, user_key="ana", now=setup.clock.now())
        with pytest.raises(Paused):
            spotify.call(user, lambda client, token: client.recently_played(token))
        (state,) = logins.list_logins(connection, now=setup.clock.now())
        assert state.state == "paused"
        logins.resume_user(connection, user_key="ana")
    assert spotify.call(user, lambda client, token: client.recently_played(token)).count > 0
    assert setup.sql("select state from ops.circuits") in ([], [("closed",)])


def test_disconnecting_deletes_the_login_at_once(setup: Setup) -> None:
    spotify = setup.open()
    setup.sign_in(spotify)
    spotify.call(setup.user("ana"), lambda client, token: client.recently_played(token))
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert logins.disconnect_user(connection, user_key="ana")
        assert not logins.disconnect_user(connection, user_key="ana")
    assert setup.sql("select user_id from app.credentials") == []
    with pytest.raises(NotSignedIn):
        spotify.call(setup.user("ana"), lambda client, token: client.recently_played(token))


def test_pausing_who_is_not_signed_in_says_how_to_sign_in(setup: Setup) -> None:
    setup.user("ana")
    with (
        setup.warehouse.connect(Role.INGEST, autocommit=True) as connection,
        pytest.raises(BadInput, match="myi user login ana"),
    ):
        logins.pause_user(connection, user_key="ana", now=setup.clock.now())
