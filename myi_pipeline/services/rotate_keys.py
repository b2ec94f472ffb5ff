"""Sealing stored logins with the newest key.

Belongs here: going through the logins, one short transaction each. Not here: where keys come from. Invariants: killed
anywhere and run again, every login opens, and the run goes on where it stopped; a login that cannot be opened stays as
it is and is named, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from myi_pipeline.core.errors import Permanent
from myi_pipeline.services.connection_pool import Connection
from myi_pipeline.warehouse import token_vault
from myi_pipeline.warehouse.envelope import Damaged, KeyRing, UnknownKey

log = structlog.get_logger(__name__)

_USERS_A_READ = 500


@dataclass(frozen=True)
class Rotated:
    """What was done. `remaining` counts logins by the key (hex id) that still seals them; `failed` names users."""

    sealed: int
    key_id: str
    remaining: dict[str, int]
    failed: tuple[int, ...] = ()


def rotate_keys(connection: Connection, keys: KeyRing, *, after_each: Callable[[int], None] | None = None) -> Rotated:
    """Seal everything with the first key of the ring. `connection` is in autocommit.

    Raises Permanent when the ring holds no new key: then there is nothing to rotate to.
    """
    if len(keys.ids) < 2:
        raise Permanent(
            f"there is no new key: {keys.sealing_id.hex()} is the only one. Make one with `myi keys new`; put it in"
            " front and keep the old one behind it until this command has run"
        )
    sealed, failed, after = 0, [], 0
    while users := token_vault.sealed_otherwise(connection, key_id=keys.sealing_id, after=after, limit=_USERS_A_READ):
        for user_id in users:
            try:
                sealed += token_vault.seal_again(connection, keys, user_id=user_id)
            except (Damaged, UnknownKey) as error:
                log.warning("login_cannot_be_opened", user_id=user_id, reason=str(error))
                failed.append(user_id)
            if after_each is not None:
                after_each(sealed)
        after = users[-1]
    counts = token_vault.count_by_key(connection)
    remaining = {key_id.hex(): counts.get(key_id, 0) for key_id in dict.fromkeys((*keys.ids, *counts))}
    return Rotated(sealed, keys.sealing_id.hex(), remaining, tuple(failed))
