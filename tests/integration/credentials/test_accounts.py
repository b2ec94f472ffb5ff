"""Accounts at services: a user has several, an account has one user, and a Spotify login's account follows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.errors import AuthRevoked, CircuitOpen, Forbidden, LoginDoubted
from myi_pipeline.operations.doctor.check import Check, Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.people import logins
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.providers import accounts, circuits, encryption_keys
from myi_pipeline.providers.accounts import SECOND_LOOK_AFTER, Provider, ProviderAccount, ProviderAccountTaken
from myi_pipeline.providers.envelope import Damaged, KeyRing, new_key
from myi_pipeline.providers.retries import FailureKind
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenGrant
from tests.integration.credentials.conftest import Setup

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OLD, NEW = new_key(), new_key()


def grant(name: str, *, at: datetime = NOW, refresh: str | None = None) -> TokenGrant:
    return TokenGrant(AccessToken(f"access-{name}", at + HOUR), refresh or f"refresh-{name}", frozenset({"read"}))


def link(connection: Connection, user_id: int, name: str, keys: KeyRing, *, at: datetime = NOW) -> ProviderAccount:
    account_id = accounts.link_account(
        connection,
        keys,
        user_id=user_id,
        provider=Provider.TIDAL,
        provider_account=name,
        name=name.title(),
        client_id="client",
        grant=grant(name, at=at),
        now=at,
    )
    found = accounts.find_account(connection, account_id=account_id)
    assert found is not None
    return found


def never(_: str) -> TokenGrant:
    raise AssertionError("nothing had to be refreshed")


def refuse(_: str) -> TokenGrant:
    raise AuthRevoked("the service refused the login")


@pytest.fixture
def connection(setup: Setup) -> Connection:
    return setup.stack.enter_context(setup.warehouse.connect(Role.INGEST, autocommit=True))


def states(setup: Setup) -> list[tuple[object, ...]]:
    return setup.sql("select provider, state, paused_at is not null from app.provider_accounts order by account_id")


def test_a_spotify_login_has_its_account_which_follows_it(setup: Setup, connection: Connection) -> None:
    spotify = setup.open()
    setup.sign_in(spotify)
    (account,) = accounts.list_accounts(connection)
    credential = setup.credential()
    assert (account.provider, account.provider_account) == (Provider.SPOTIFY, credential.account_key)
    assert (account.client_id, set(account.scopes)) == (credential.client_id, set(credential.scopes))
    logins.pause_user(connection, user_key="ana", now=NOW)
    assert states(setup) == [("spotify", "active", True)]
    logins.resume_user(connection, user_key="ana")
    logins.disconnect_user(connection, user_key="ana")
    assert states(setup) == [("spotify", "ended", False)]
    assert accounts.list_accounts(connection) == ()
    setup.sign_in(spotify)
    assert [each.account_id for each in accounts.list_accounts(connection)] == [account.account_id]
    setup.sign_in(spotify, listener="listener-2", may_switch=lambda: True)
    assert states(setup) == [("spotify", "ended", False), ("spotify", "active", False)]


def test_an_account_that_gets_its_other_name_stays_the_same(setup: Setup, connection: Connection) -> None:
    setup.sign_in(setup.open())
    (before,) = accounts.list_accounts(connection)
    setup.sql("update app.credentials set account_key = 'id:' || profile_id")
    (renamed,) = accounts.list_accounts(connection, with_ended=True)
    assert (renamed.account_id, renamed.provider_account[:3]) == (before.account_id, "id:")
    setup.sql("delete from app.credentials")
    setup.sign_in(setup.open())
    (after,) = accounts.list_accounts(connection, with_ended=True)
    assert after == before


def test_a_user_links_several_accounts_and_each_account_has_one_user(setup: Setup, connection: Connection) -> None:
    ana, ben = setup.user("ana"), setup.user("ben")
    keys = KeyRing([OLD])
    one, two = link(connection, ana, "one", keys), link(connection, ana, "two", keys)
    with pytest.raises(ProviderAccountTaken, match="already linked to another user"):
        link(connection, ben, "one", keys)
    assert [each.account_id for each in accounts.list_accounts(connection, user_id=ana)] == [
        one.account_id,
        two.account_id,
    ]
    assert not accounts.unlink_account(connection, user_id=ben, account_id=one.account_id, now=NOW)
    assert accounts.unlink_account(connection, user_id=ana, account_id=one.account_id, now=NOW)
    assert setup.sql("select account_id from app.account_credentials") == [(two.account_id,)]
    assert link(connection, ben, "one", keys).user_id == ben


def test_an_access_token_is_kept_sealed_until_it_ends_or_is_rejected(setup: Setup, connection: Connection) -> None:
    keys = KeyRing([OLD])
    account = link(connection, setup.user("ana"), "one", keys)
    kept = accounts.open_access(connection, keys, account, refresh=never, now=NOW)
    assert kept.value == "access-one"
    asked: list[str] = []

    def refresh(token: str) -> TokenGrant:
        asked.append(token)
        return grant(f"{len(asked)}", at=NOW + HOUR)

    late = accounts.open_access(connection, keys, account, refresh=refresh, now=NOW + HOUR)
    again = accounts.open_access(connection, keys, account, refresh=refresh, now=NOW + HOUR, rejected=late)
    assert ([late.value, again.value], asked) == (["access-1", "access-2"], ["refresh-one", "refresh-1"])
    sealed = setup.sql("select refresh_token, access_token from app.account_credentials")[0]
    assert not any(word in bytes(each) for each in sealed for word in (b"refresh", b"access"))
    setup.sql("update app.account_credentials set refresh_token = access_token, access_token = null,"
              " access_expires_at = null")  # fmt: skip
    with pytest.raises(AuthRevoked):
        accounts.open_access(connection, keys, account, refresh=never, now=NOW)


def test_a_refused_login_gets_a_second_look_before_it_is_over(setup: Setup, connection: Connection) -> None:
    keys = KeyRing([OLD])
    account = link(connection, setup.user("ana"), "one", keys)
    late = NOW + 2 * HOUR
    for _ in range(3):
        with pytest.raises(LoginDoubted):
            accounts.open_access(connection, keys, account, refresh=refuse, now=late)
    assert states(setup) == [("tidal", "active", False)]
    with pytest.raises(AuthRevoked, match="Link TIDAL account One again"):
        accounts.open_access(connection, keys, account, refresh=refuse, now=late + SECOND_LOOK_AFTER)
    assert states(setup) == [("tidal", "reauth_required", False)]
    assert link(connection, account.user_id, "one", keys, at=late).is_usable


def test_a_failing_account_stops_no_poll_and_no_other_account(setup: Setup, connection: Connection) -> None:
    ana = setup.user("ana")
    one, two = (link(connection, ana, name, KeyRing([OLD])) for name in ("one", "two"))
    for _ in range(3):
        accounts.admit(connection, one, now=NOW)
        accounts.note_outcome(connection, one, Forbidden("no"), now=NOW)
    with pytest.raises(CircuitOpen, match="suspended until"):
        accounts.admit(connection, one, now=NOW)
    accounts.admit(connection, two, now=NOW)
    assert circuits.admit(connection, user_id=ana, now=NOW).allowed
    accounts.admit(connection, one, now=NOW + timedelta(days=1))
    accounts.note_outcome(connection, one, None, now=NOW + timedelta(days=1))
    accounts.admit(connection, one, now=NOW + timedelta(days=1))


def test_logins_of_accounts_move_to_a_new_key_with_all_others(setup: Setup, connection: Connection) -> None:
    account = link(connection, setup.user("ana"), "one", KeyRing([OLD]))
    both, new = KeyRing([NEW, OLD]), KeyRing([NEW])
    rotated = encryption_keys.rotate_keys(connection, both)
    assert (rotated.sealed, rotated.failed) == (1, ())
    assert rotated.remaining == {new.sealing_id.hex(): 1, both.ids[1].hex(): 0}
    asked: list[str] = []

    def refresh(token: str) -> TokenGrant:
        asked.append(token)
        return grant("two")

    assert accounts.open_access(connection, new, account, refresh=refresh, now=NOW).value == "access-two"
    assert asked == ["refresh-one"]


def test_a_login_of_an_account_whose_key_is_lost_is_unlinked(setup: Setup, connection: Connection) -> None:
    account = link(connection, setup.user("ana"), "one", KeyRing([OLD]))
    with pytest.raises(encryption_keys.KeyMissing, match="myi providers unlink ACCOUNT"):
        encryption_keys.check_keys(setup.settings, setup.warehouse)
    accounts.unlink_account(connection, user_id=account.user_id, account_id=account.account_id, now=NOW)
    encryption_keys.check_keys(setup.settings, setup.warehouse)


def test_doctor_names_accounts_whose_playlists_cannot_be_read(setup: Setup, connection: Connection) -> None:
    def found() -> list[Check]:
        return [check for check in run_checks(setup.settings, {}) if check.name == "playlist accounts"]

    assert found() == []
    account = link(connection, setup.user("ana"), "one", encryption_keys.require_keys(setup.settings, setup.warehouse))
    assert [(check.status, check.mend) for check in found()] == [(Status.OK, "")]

    failed = "insert into ops.playlist_states (account_id, failures, last_error) values (%s, 2, 'no answer')"
    setup.sql(failed, account.account_id)
    assert [check.status for check in found()] == [Status.OK]
    setup.sql("update ops.playlist_states set failures = 3")
    (check,) = found()
    assert (check.status, check.found) == (Status.WARN, "ana's TIDAL account failed 3 times in a row: no answer")
    assert check.mend.startswith("myi playlists gather --user ana")

    holder = circuits.CircuitOwner(account.account_id, is_account=True)
    for _ in range(5):
        circuits.note_failure_of(connection, holder, kind=FailureKind.NETWORK, reason="cut off", now=NOW)
    (check,) = found()
    assert (check.status, check.found) == (Status.WARN, "ana's TIDAL account is left alone after failures: cut off")

    setup.sql("update app.provider_accounts set state = 'reauth_required'")
    (check,) = found()
    assert (check.status, check.found) == (Status.WARN, "ana's TIDAL account needs a new login")
    assert check.mend == "myi providers link ana tidal"
    # Somebody wants it so.
    accounts.pause_account(connection, user_id=account.user_id, account_id=account.account_id, now=NOW)
    assert found() == []


def test_who_serves_people_sees_one_users_accounts_and_no_token(setup: Setup, connection: Connection) -> None:
    ana, ben = setup.user("ana"), setup.user("ben")
    link(connection, ana, "one", KeyRing([OLD]))
    with setup.warehouse.connect(Role.APP, autocommit=True) as app:
        assert app.execute("select count(*) from app.provider_accounts").fetchone() == (0,)
        with app.transaction():
            app.execute("select set_config('app.user_id', %s, true)", (str(ben),))
            assert app.execute("select count(*) from app.provider_accounts").fetchone() == (0,)
            assert app.execute("select count(account_id) from app.account_credentials").fetchone() == (0,)
        account_id = accounts.link_account(
            app,
            KeyRing([OLD]),
            user_id=ben,
            provider=Provider.TIDAL,
            provider_account="two",
            name=None,
            client_id=None,
            grant=grant("two"),
            now=NOW,
        )
        assert accounts.unlink_account(app, user_id=ben, account_id=account_id, now=NOW)
        with pytest.raises(Exception, match="permission denied"):
            app.execute("select refresh_token from app.account_credentials")


def test_a_token_that_was_moved_to_another_account_does_not_open(setup: Setup, connection: Connection) -> None:
    keys = KeyRing([OLD])
    ana = setup.user("ana")
    one, two = link(connection, ana, "one", keys), link(connection, ana, "two", keys)
    setup.sql("update app.account_credentials set access_token = null, access_expires_at = null")
    setup.sql(
        "update app.account_credentials as c set refresh_token = o.refresh_token from app.account_credentials as o"
        " where c.account_id = %s and o.account_id = %s",
        two.account_id,
        one.account_id,
    )
    with pytest.raises(AuthRevoked, match="damaged, or was moved"):
        accounts.open_access(connection, keys, two, refresh=never, now=NOW)
    with pytest.raises(Damaged):
        accounts.seal_account_again(connection, KeyRing([NEW, OLD]), account_id=two.account_id)
