"""Logins by the key that seals them: counting them, and sealing them again with another key."""

from __future__ import annotations

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.envelope import Damaged, KeyRing, UnknownKey, sealed_by
from myi_pipeline.providers.token_vault import (
    Credential,
    access_place,
    find_account_credential,
    forget_access,
    login_place,
    open_access,
    open_token,
)


def count_by_key(connection: Connection, *, with_access: bool = False) -> dict[bytes, int]:
    """How many logins each key seals; `with_access` also counts those whose access token alone it seals."""
    query = load_sql("providers/vault/count_by_key_of_all" if with_access else "providers/vault/count_by_key")
    rows = connection.execute(query).fetchall()
    return {bytes(key): int(count) for key, count in rows}


def sealed_otherwise(connection: Connection, *, key_id: bytes, after: int, limit: int) -> tuple[int, ...]:
    """Accounts with provider_account_id > `after` that have anything sealed with another key."""
    values = {"key_id": key_id, "after": after, "limit": limit}
    return tuple(
        int(row[0]) for row in connection.execute(load_sql("providers/vault/sealed_otherwise"), values).fetchall()
    )


def seal_again(connection: Connection, keys: KeyRing, *, account: int) -> bool:
    """Seals one account's tokens with the first key, in one transaction. False if they already are, or no longer exist.

    An access token that cannot be opened is deleted, since a refresh brings another. Raises UnknownKey and Damaged for
    the login. A concurrent refresh writes complete envelopes of its own afterwards.
    """
    with connection.transaction():
        connection.execute("select from app.credentials where provider_account_id = %s for update", (account,))
        credential = find_account_credential(connection, account=account)
        if credential is None:
            return False
        is_changed = _seal_access_again(connection, keys, credential)
        if credential.key_id != keys.sealing_id:
            place = login_place(credential.user_id, credential.client_id)
            sealed = keys.seal(open_token(keys, credential), place=place)
            connection.execute(
                "update app.credentials set refresh_token = %s where provider_account_id = %s", (sealed, account)
            )
            is_changed = True
    return is_changed


def _seal_access_again(connection: Connection, keys: KeyRing, credential: Credential) -> bool:
    envelope = credential.sealed_access
    if envelope is None or sealed_by(envelope) == keys.sealing_id:
        return False
    try:
        value = open_access(keys, credential)
    except (UnknownKey, Damaged):
        forget_access(connection, credential)
        return True
    assert value is not None
    sealed = keys.seal(value, place=access_place(credential.user_id, credential.client_id))
    connection.execute(
        "update app.credentials set access_token = %s where provider_account_id = %s",
        (sealed, credential.provider_account_id),
    )
    return True
