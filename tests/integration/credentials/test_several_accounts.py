"""Several Spotify accounts of one user: each has its own login, and one of them is polled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pydantic import SecretStr

from myi_pipeline.errors import AuthRevoked, BadInput, Busy, LoginDoubted
from myi_pipeline.people import logins
from myi_pipeline.people.account_links import unlink
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.providers import accounts, login_owners, token_vault
from myi_pipeline.providers.accounts import Provider, ProviderAccount
from myi_pipeline.providers.encryption_keys import new_key_text, rotate_keys
from myi_pipeline.providers.envelope import KeyRing, new_key
from myi_pipeline.providers.login_owners import AccountTaken, AccountUnclear, AnotherAccount, LoginUse
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.client import SpotifyClient
from myi_pipeline.providers.spotify.models import Me
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.token_vault import login_lock
from myi_pipeline.settings import decode_key
from tests.integration.credentials.conftest import Setup


def link(setup: Setup, listener: str, *, key: str = "ana", use: LoginUse = LoginUse.FURTHER) -> logins.SignedIn:
    spotify = setup.open()
    pending = logins.begin_login(spotify, setup.settings, user_id=setup.user(key), user_key=key, use=use)
    redirected = setup.simulator.visit(pending.url, listener)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        return logins.finish_login(spotify, connection, pending, redirected=redirected, now=setup.clock.now())


@pytest.fixture
def connection(setup: Setup) -> Iterator[Connection]:
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as made:
        yield made


@pytest.fixture
def two(setup: Setup, connection: Connection) -> tuple[ProviderAccount, ProviderAccount]:
    """Ana's main account, and a further one."""
    setup.sign_in(setup.open())
    assert not link(setup, "listener-2").is_main
    main, further = accounts.list_accounts(connection, user_id=setup.user("ana"))
    return main, further


def me(spotify: Spotify, account: ProviderAccount) -> str | None:
    def ask(client: SpotifyClient, token: AccessToken) -> Me:
        return client.me(token)

    return spotify.call(spotify.account_credential(account), ask, counts=False).account_id


def test_each_account_is_asked_with_its_own_login_and_one_is_polled(
    setup: Setup, two: tuple[ProviderAccount, ProviderAccount]
) -> None:
    main, further = two
    assert [(each.is_main, each.name) for each in two] == [(True, "listener-1"), (False, "listener-2")]
    spotify, control = setup.open(), setup.simulator.control
    assert [me(spotify, each) for each in two] == [control.account_id(f"listener-{number}") for number in (1, 2)]
    # Whoever asks as the user asks as the main account.
    assert spotify.credential(setup.user("ana")).provider_account_id == main.account_id
    assert [each.provider_account_id for each in spotify.credentials()] == [main.account_id]
    # Signing the further account in again renews it, and changes nothing of the main one.
    setup.clock.advance(60)
    before = setup.sql("select refresh_token from app.credentials where is_main")
    assert link(setup, "listener-2").account_id == further.account_id
    assert setup.sql("select refresh_token from app.credentials where is_main") == before
    assert setup.sql("select count(*) from app.credentials") == [(2,)]


def test_one_accounts_lock_and_failures_leave_the_other_alone(
    setup: Setup, two: tuple[ProviderAccount, ProviderAccount], connection: Connection
) -> None:
    main, further = two
    credential = setup.open().account_credential(main)
    with login_lock(connection, credential):
        assert me(setup.open(), further)
        with (
            setup.warehouse.connect(Role.INGEST, autocommit=True) as other,
            pytest.raises(Busy),
            login_lock(other, credential, wait_s=0.2),
        ):
            pass
        # A version of before locks by the user.
        held = connection.execute("select objid from pg_locks where locktype = 'advisory' and classid = %s",
                                  (0x6D796963,)).fetchall()  # fmt: skip
        assert held == [(credential.user_id,)]
    setup.simulator.control.revoke("listener-2")
    setup.clock.advance(timedelta(hours=1))
    for error in (LoginDoubted, AuthRevoked):
        with pytest.raises(error):
            me(setup.open(), further)
        setup.clock.advance(timedelta(hours=7))
    assert setup.sql("select is_main, status from app.credentials order by 1") == [
        (False, "reauth_required"), (True, "active"),
    ]  # fmt: skip
    assert me(setup.open(), main)
    with pytest.raises(AuthRevoked, match="myi providers link ana spotify --further"):
        me(setup.open(), further)


def test_two_accounts_are_refreshed_at_once_and_both_logins_live_on(
    setup: Setup, two: tuple[ProviderAccount, ProviderAccount]
) -> None:
    for _ in range(3):
        setup.clock.advance(timedelta(hours=2))
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda account: me(setup.open(), account), [*two, *two]))
        assert None not in found
    assert setup.sql("select count(*) from app.credentials where status = 'active' and refusals = 0") == [(2,)]


def test_another_account_can_be_made_the_main_one_and_both_logins_stay(
    setup: Setup, two: tuple[ProviderAccount, ProviderAccount], connection: Connection
) -> None:
    main, further = two
    user_id = setup.user("ana")
    logins.poll_account(connection, user_id=user_id, account_id=further.account_id, now=setup.clock.now())
    spotify = setup.open()
    assert spotify.credential(user_id).provider_account_id == further.account_id
    assert [me(spotify, each) is not None for each in two] == [True, True]
    ben = setup.user("ben")
    for user, account in ((ben, main.account_id), (user_id, 999)):
        with pytest.raises(BadInput, match="not a Spotify account of this user"):
            logins.poll_account(connection, user_id=user, account_id=account, now=setup.clock.now())
    assert setup.sql("select provider_account_id from app.credentials where is_main") == [(further.account_id,)]


def test_an_account_has_one_user_whatever_it_is_linked_for(
    setup: Setup, two: tuple[ProviderAccount, ProviderAccount]
) -> None:
    for use in (LoginUse.MAIN, LoginUse.FURTHER):
        with pytest.raises(AccountTaken):
            link(setup, "listener-2", key="ben", use=use)
    # The further one may take the main one's place, when the person says so.
    with pytest.raises(AnotherAccount):
        setup.sign_in(setup.open(), listener="listener-2")
    setup.sign_in(setup.open(), listener="listener-2", may_switch=lambda: True)
    assert setup.sql("select provider_account_id, is_main from app.credentials") == [(two[1].account_id, True)]
    # And without any login, the first account that is linked is the main one.
    assert link(setup, "listener-3", key="ben").is_main


def test_names_that_do_not_tell_two_accounts_of_a_user_apart_change_nothing(setup: Setup) -> None:
    keys, user = KeyRing([new_key()]), setup.user("ana")

    def store(account_key: str, other_key: str | None, use: LoginUse) -> None:
        with setup.warehouse.connect(Role.INGEST, autocommit=True) as made:
            login_owners.store_login(
                made, keys, user_id=user, client_id="c", account_key=account_key, other_key=other_key,
                refresh_token="secret", scopes=(), now=setup.clock.now(), use=use,
            )  # fmt: skip

    store("account:a1", None, LoginUse.MAIN)
    for told, use in (
        (("id:ana", None), LoginUse.FURTHER),  # it may be the main one
        (("account:a9", None), LoginUse.KNOWN),  # a login that went meanwhile
    ):
        with pytest.raises(AccountUnclear):
            store(*told, use)
    store("account:a2", "id:ana2", LoginUse.FURTHER)
    for told in (("account:a3", "id:ana2"), ("id:ana", None)):
        with pytest.raises(AccountUnclear):
            store(*told, LoginUse.FURTHER)
    assert setup.sql("select account_key, is_main from app.credentials order by 1") == [
        ("account:a1", True), ("account:a2", False),
    ]  # fmt: skip


def test_unlinking_ends_one_account_and_disconnecting_the_main_one(
    setup: Setup, two: tuple[ProviderAccount, ProviderAccount], connection: Connection
) -> None:
    main, further = two
    user_id, now = setup.user("ana"), setup.clock.now()
    with setup.warehouse.connect(Role.APP, autocommit=True) as app:
        assert not unlink(app, user_id=setup.user("ben"), account_id=further.account_id, now=now)
        assert accounts.pause_account(app, user_id=user_id, account_id=further.account_id, now=now)
        states = setup.sql("select paused_at is not null from app.provider_accounts order by account_id")
        assert states == [(False,), (True,)]
        assert unlink(app, user_id=user_id, account_id=further.account_id, now=now)
    assert setup.sql("select provider_account_id from app.credentials") == [(main.account_id,)]
    assert link(setup, "listener-2").account_id == further.account_id
    assert logins.disconnect_user(connection, user_key="ana")
    assert setup.sql("select provider_account_id from app.credentials") == [(further.account_id,)]
    assert [each.account_id for each in accounts.list_accounts(connection)] == [further.account_id]
    assert not logins.disconnect_user(connection, user_key="ana")
    assert [each.provider for each in accounts.list_accounts(connection)] == [Provider.SPOTIFY]


def test_a_key_rotation_seals_every_accounts_tokens(setup: Setup, connection: Connection) -> None:
    old, new = new_key_text(), new_key_text()
    setup.settings = setup.settings.model_copy(update={"encryption_keys": SecretStr(old)})
    setup.sign_in(setup.open())
    link(setup, "listener-2")
    spotify = setup.open()
    assert all(me(spotify, each) for each in accounts.list_accounts(connection))
    done = rotate_keys(connection, KeyRing([decode_key(new), decode_key(old)]))
    assert (done.sealed, done.failed) == (2, ())
    alone = KeyRing([decode_key(new)])
    found = token_vault.list_credentials(connection)
    assert len({token_vault.open_token(alone, each) for each in found}) == 2
    assert all(token_vault.open_access(alone, each) for each in found)
