"""The keys that seal logins: where they come from, and changing them while processes are killed."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from pydantic import SecretStr

from myi_pipeline.errors import BadInput, Permanent
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers import login_owners, sealed_logins, token_vault
from myi_pipeline.providers.encryption_keys import (
    FILE_NAME,
    KeyMissing,
    check_keys,
    find_keys,
    key_uses,
    new_key_text,
    put_new_key_into_file,
    require_keys,
    rotate_keys,
)
from myi_pipeline.providers.envelope import KeyRing
from myi_pipeline.settings import decode_key
from tests.integration.credentials.conftest import Setup
from tests.integration.credentials.worker_process import Order, running_worker


def ring(*texts: str) -> KeyRing:
    return KeyRing([decode_key(text) for text in texts])


def with_keys(setup: Setup, *texts: str) -> None:
    setup.settings = setup.settings.model_copy(update={"encryption_keys": SecretStr(",".join(texts))})


def store(setup: Setup, keys: KeyRing, count: int) -> None:
    """`count` logins that never met Spotify, with access tokens."""
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for number in range(count):
            login_owners.store_login(
                connection,
                keys,
                user_id=setup.user(f"user{number}"),
                client_id="client",
                account_key=f"account:{number}",
                other_key=None,
                refresh_token=f"token of {number}",
                scopes=["user-top-read"],
                now=setup.clock.now(),
            )
        for credential in token_vault.list_credentials(connection):
            token_vault.note_refreshed(
                connection,
                keys,
                credential,
                refresh_token=None,
                scopes=None,
                access=(f"access of {credential.user_id}", setup.clock.now() + timedelta(hours=1)),
                now=setup.clock.now(),
            )


def tokens(setup: Setup, keys: KeyRing) -> list[tuple[str, str | None]]:
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        return [
            (token_vault.open_token(keys, each), token_vault.open_access(keys, each))
            for each in token_vault.list_credentials(connection)
        ]


def test_without_a_key_one_is_made_once_for_its_owner_alone(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_keys(setup.settings) is None
    first = require_keys(setup.settings, setup.warehouse)
    path = setup.settings.secrets_folder / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    said = "".join(capsys.readouterr())
    assert str(path) in said
    assert path.read_text().strip() not in said
    assert require_keys(setup.settings, setup.warehouse).ids == first.ids
    assert "encryption_key_made" not in "".join(capsys.readouterr())


def test_a_stored_login_whose_key_is_missing_stops_the_start(setup: Setup) -> None:
    store(setup, ring(lost := new_key_text()), 2)
    with_keys(setup, new_key_text())
    with pytest.raises(KeyMissing, match="2 stored logins") as caught:
        setup.open()
    assert ring(lost).sealing_id.hex() in str(caught.value)
    assert lost not in str(caught.value)
    setup.settings = setup.settings.model_copy(update={"encryption_keys": None})
    with pytest.raises(KeyMissing):
        check_keys(setup.settings, setup.warehouse)
    assert not (setup.settings.secrets_folder / FILE_NAME).exists(), "a new key would only hide that the old is lost"


def test_keys_of_the_settings_seal_and_those_of_the_file_still_open(setup: Setup) -> None:
    store(setup, require_keys(setup.settings, setup.warehouse), 1)
    with_keys(setup, new_key_text())
    uses = key_uses(setup.settings, setup.warehouse)
    assert [(use.origin, use.seals_new, use.logins) for use in uses] == [("settings", True, 0), ("file", False, 1)]


def test_a_missing_key_is_listed(setup: Setup) -> None:
    store(setup, ring(new_key_text()), 1)
    assert [(use.origin, use.logins) for use in key_uses(setup.settings, setup.warehouse)] == [("missing", 1)]


def test_a_damaged_key_file_is_not_replaced(setup: Setup) -> None:
    require_keys(setup.settings, setup.warehouse)
    path = setup.settings.secrets_folder / FILE_NAME
    path.write_text("half a k")
    with pytest.raises(BadInput, match="damaged"):
        require_keys(setup.settings, setup.warehouse)
    assert path.read_text() == "half a k"


def test_rotation_refuses_without_a_new_key(setup: Setup) -> None:
    keys = require_keys(setup.settings, setup.warehouse)
    store(setup, keys, 1)
    with (
        setup.warehouse.connect(Role.INGEST, autocommit=True) as connection,
        pytest.raises(Permanent, match="no new key"),
    ):
        rotate_keys(connection, keys)


def test_rotation_seals_every_login_again_and_counts_what_remains(setup: Setup) -> None:
    old = require_keys(setup.settings, setup.warehouse)
    store(setup, old, 5)
    before = tokens(setup, old)
    put_new_key_into_file(setup.settings)
    keys = require_keys(setup.settings, setup.warehouse)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        done = rotate_keys(connection, keys)
        assert (done.sealed, done.failed) == (5, ())
        assert done.remaining == {keys.sealing_id.hex(): 5, old.sealing_id.hex(): 0}
        assert rotate_keys(connection, keys).sealed == 0
    assert tokens(setup, keys) == before


def test_a_login_that_cannot_be_opened_stops_no_other(setup: Setup) -> None:
    old = ring(text := new_key_text())
    store(setup, old, 3)
    setup.sql("update app.credentials set refresh_token = refresh_token || '\\x00'::bytea where user_id = 2")
    keys = ring(new_key_text(), text)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        done = rotate_keys(connection, keys)
    assert (done.sealed, done.failed) == (2, (2,))


def test_a_key_that_seals_an_access_token_alone_is_in_use_but_not_missed(setup: Setup) -> None:
    old, new = new_key_text(), new_key_text()
    store(setup, ring(old), 2)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        kept = dict(setup.sql("select user_id, access_token from app.credentials"))
        assert rotate_keys(connection, ring(new, old)).remaining == {
            ring(new).sealing_id.hex(): 2,
            ring(old).sealing_id.hex(): 0,
        }
        # A process that had read the old keys alone refreshed just then.
        setup.sql("update app.credentials set access_token = %s where user_id = 1", kept[1])
        with_keys(setup, new, old)
        assert [use.logins for use in key_uses(setup.settings, setup.warehouse)] == [2, 1]
        with_keys(setup, new)
        assert [use.logins for use in key_uses(setup.settings, setup.warehouse)] == [2]
        check_keys(setup.settings, setup.warehouse)
        # What cannot be opened is granted again.
        assert rotate_keys(connection, ring(new, new_key_text())).sealed == 1
    assert setup.sql("select user_id from app.credentials where access_token is not null") == [(2,)]


def test_a_login_that_is_moved_to_another_user_does_not_open(setup: Setup) -> None:
    keys = ring(new_key_text())
    store(setup, keys, 2)
    setup.sql(
        "update app.credentials as a set refresh_token = b.refresh_token from app.credentials as b"
        " where a.user_id = 1 and b.user_id = 2"
    )
    with pytest.raises(Permanent, match="moved from another user"):
        tokens(setup, keys)


def _kill_rotations(setup: Setup, tmp_path: Path, *, kills: int) -> None:
    random, keys = Random(3), [new_key_text()]
    store(setup, ring(*keys), 6)
    expected = tokens(setup, ring(*keys))
    killed = 0
    while killed < kills:
        keys.insert(0, new_key_text())
        with_keys(setup, *keys)
        with running_worker(setup.settings, setup.warehouse, tmp_path / "worker.log") as worker:
            is_done = False
            while not is_done:
                order = Order(task="rotate", now=setup.clock.now().isoformat(), kill_at_step=random.randint(1, 60))
                outcome = worker.carry_out(order)
                killed += outcome.was_killed
                is_done = outcome.code == 0
                assert is_done or outcome.was_killed, (tmp_path / "worker.log").read_text()
                assert tokens(setup, ring(*keys)) == expected
        for column in ("key_id", "access_key_id"):
            counts = dict(setup.sql(f"select encode({column}, 'hex'), count(*) from app.credentials group by 1"))
            assert counts == {ring(keys[0]).sealing_id.hex(): 6}


def test_killed_anywhere_in_a_rotation_every_login_opens_and_the_next_run_ends_it(
    setup: Setup, tmp_path: Path, key_rotation_kills: int
) -> None:
    _kill_rotations(setup, tmp_path, kills=key_rotation_kills)


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_killed_anywhere_in_many_rotations_every_login_opens(
    setup: Setup, tmp_path: Path, key_rotation_kills: int
) -> None:
    _kill_rotations(setup, tmp_path, kills=key_rotation_kills)


def test_a_refresh_during_a_rotation_loses_nothing(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login is refreshed between the moment that rotation lists it and the moment that it seals it."""
    old, text = new_key_text(), new_key_text()
    with_keys(setup, old)
    spotify = setup.open()
    setup.sign_in(spotify)
    user = setup.user("ana")
    seal = sealed_logins.seal_again

    def refresh_first(connection: object, keys: KeyRing, *, account: int) -> bool:
        setup.clock.advance(timedelta(hours=1))
        spotify.call(user, lambda client, token: client.recently_played(token))
        return seal(connection, keys, account=account)  # type: ignore[arg-type]

    monkeypatch.setattr(sealed_logins, "seal_again", refresh_first)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert rotate_keys(connection, ring(text, old)).sealed == 1
    monkeypatch.undo()
    with_keys(setup, text, old)
    assert setup.open().call(user, lambda client, token: client.recently_played(token)).count
