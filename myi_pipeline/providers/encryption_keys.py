"""This installation's keys for stored logins: those of the settings, then those of MYI_HOME/secrets.

The file is 0600 before a key is in it; a key is never made while a stored login needs one that is missing; nothing here
shows a key but `new_key_text`.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from myi_pipeline.errors import BadInput, Permanent
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.role_passwords import private_folder, write_private
from myi_pipeline.providers import service_vault, token_vault
from myi_pipeline.providers.envelope import Damaged, KeyRing, UnknownKey, new_key
from myi_pipeline.settings import Settings, decode_key

log = structlog.get_logger(__name__)

FILE_NAME = "encryption_keys"


class KeyMissing(Permanent):
    """A stored login is sealed with a key that this installation does not have."""


@dataclass(frozen=True)
class KeyUse:
    """One key by its name: where it is from (`settings`, `file` or `missing`) and how many logins it seals."""

    key_id: str
    origin: str
    seals_new: bool
    logins: int


def find_keys(settings: Settings) -> KeyRing | None:
    """The keys there are, or None before the first was made. Raises BadInput when the file is damaged."""
    keys = _all_keys(settings)
    return KeyRing(keys) if keys else None


def require_keys(settings: Settings, warehouse: Warehouse, *, role: Role = Role.INGEST) -> KeyRing:
    """The keys, all that stored logins need among them; without any login and any key, one is made and said so.

    Raises KeyMissing. Every process that handles logins begins with this.
    """
    keys = check_keys(settings, warehouse, role=role)
    if keys is None:
        _make_first(settings)
        keys = find_keys(settings)
        assert keys is not None
        log.warning(
            "encryption_key_made",
            path=str(settings.secrets_folder / FILE_NAME),
            key_id=keys.sealing_id.hex(),
            hint="only this file opens stored logins: keep a copy of it apart from the database's backups",
        )
    return keys


def check_keys(settings: Settings, warehouse: Warehouse, *, role: Role = Role.INGEST) -> KeyRing | None:
    """What start-up does: raises KeyMissing when a stored login is sealed with an unknown key. Makes none."""
    keys = find_keys(settings)
    with warehouse.connect(role, autocommit=True, application_name="myi keys") as connection:
        stored = _count_logins(connection)
    missing = {key_id: count for key_id, count in stored.items() if keys is None or key_id not in keys.ids}
    if missing:
        names = ", ".join(key_id.hex() for key_id in missing)
        raise KeyMissing(
            f"{sum(missing.values())} stored logins are sealed with a key that is not here ({names}): put it back into"
            f" MYI_ENCRYPTION_KEYS, behind the others, or restore {settings.secrets_folder / FILE_NAME}; if it is lost,"
            " disconnect those users (myi user disconnect KEY; myi service unlink KEY SERVICE) and let them sign in"
            " again"
        )
    return keys


def key_uses(settings: Settings, warehouse: Warehouse) -> tuple[KeyUse, ...]:
    """Every key that is here or that a login needs."""
    keys = find_keys(settings)
    given = {KeyRing([key]).sealing_id for key in settings.encryption_key_bytes()}
    with warehouse.connect(Role.INGEST, autocommit=True, application_name="myi keys") as connection:
        sealed = _count_logins(connection, with_access=True)
        # What is sealed with a lost key is lost only if it is a login: an access token is granted again.
        stored = _count_logins(connection)
    here = keys.ids if keys is not None else ()
    known = tuple(
        KeyUse(key_id.hex(), "settings" if key_id in given else "file", place == 0, sealed.get(key_id, 0))
        for place, key_id in enumerate(here)
    )
    return known + tuple(
        KeyUse(key_id.hex(), "missing", False, count) for key_id, count in stored.items() if key_id not in here
    )


def _count_logins(connection: Connection, *, with_access: bool = False) -> dict[bytes, int]:
    """How many logins and secrets of linked services each key seals."""
    logins = Counter(token_vault.count_by_key(connection, with_access=with_access))
    return dict(logins + Counter(service_vault.count_service_keys(connection)))


def new_key_text() -> str:
    """A new key as MYI_ENCRYPTION_KEYS takes it. Secret."""
    while True:
        text = base64.b64encode(new_key()).decode("ascii")
        try:
            decode_key(text)
        except ValueError:  # once in 10^15 keys
            continue
        return text


def put_new_key_into_file(settings: Settings) -> str:
    """A new key in front of those of the file; gives its id. Raises BadInput when the settings bring the keys."""
    if settings.encryption_keys is not None:
        raise BadInput("MYI_ENCRYPTION_KEYS brings the keys: put a new one in front there", place="MYI_ENCRYPTION_KEYS")
    private_folder(settings.secrets_folder)
    text = new_key_text()
    lines = [text, *(base64.b64encode(key).decode("ascii") for key in _file_keys(settings))]
    write_private(settings.secrets_folder / FILE_NAME, "\n".join(lines) + "\n")
    return KeyRing([decode_key(text)]).sealing_id.hex()


def _all_keys(settings: Settings) -> list[bytes]:
    given = list(settings.encryption_key_bytes())
    return given + [key for key in _file_keys(settings) if key not in given]


def _file_keys(settings: Settings) -> list[bytes]:
    path = settings.secrets_folder / FILE_NAME
    try:
        lines = path.read_text(encoding="ascii").split()
        keys = [decode_key(line) for line in lines]
    except FileNotFoundError:
        return []
    except (ValueError, UnicodeDecodeError):
        keys = []
    if not keys or len(set(keys)) != len(keys):
        rule = "one key of 32 bytes in base64 a line"
        raise BadInput(f"{path} is damaged: restore it from a copy", place=str(path), rule=rule)
    return keys


def _make_first(settings: Settings) -> None:
    path = settings.secrets_folder / FILE_NAME
    private_folder(path.parent)
    made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    write_private(made, new_key_text() + "\n")
    try:
        # A link never replaces: of two processes that make a key at once, one wins and both read its key.
        os.link(made, path)
    except FileExistsError:
        pass
    finally:
        made.unlink()


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
    after = 0
    while users := service_vault.services_sealed_otherwise(
        connection, key_id=keys.sealing_id, after=after, limit=_USERS_A_READ
    ):
        for user_id in users:
            try:
                sealed += service_vault.seal_services_again(connection, keys, user_id=user_id)
            except (Damaged, UnknownKey) as error:
                log.warning("service_secret_cannot_be_opened", user_id=user_id, reason=str(error))
                failed.append(user_id)
            if after_each is not None:
                after_each(sealed)
        after = users[-1]
    counts = _count_logins(connection, with_access=True)
    remaining = {key_id.hex(): counts.get(key_id, 0) for key_id in dict.fromkeys((*keys.ids, *counts))}
    return Rotated(sealed, keys.sealing_id.hex(), remaining, tuple(failed))
