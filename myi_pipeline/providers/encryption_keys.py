"""This installation's keys for stored logins: those of the settings, then those of MYI_HOME/secrets.

The file is 0600 before it contains a key; no key is made while a stored login needs one that is missing; only
`new_key_text` reveals a key.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from myi_pipeline.errors import BadInput, Permanent
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.role_passwords import private_folder, write_private
from myi_pipeline.providers import accounts, sealed_logins, service_vault, target_vault
from myi_pipeline.providers.envelope import Damaged, KeyRing, UnknownKey, new_key
from myi_pipeline.settings import Settings, decode_key

log = structlog.get_logger(__name__)

FILE_NAME = "encryption_keys"


class KeyMissing(Permanent):
    """A stored login is sealed with a key that this installation does not have."""


@dataclass(frozen=True)
class KeyUse:
    """One key by its id: its origin (`settings`, `file` or `missing`) and how many logins it seals."""

    key_id: str
    origin: str
    seals_new: bool
    logins: int


def find_keys(settings: Settings) -> KeyRing | None:
    """The existing keys, or None before the first was made. Raises BadInput if the file is damaged."""
    keys = all_keys(settings)
    return KeyRing(keys) if keys else None


def keys_as_setting(settings: Settings) -> str | None:
    """All keys there are, as MYI_ENCRYPTION_KEYS takes them, for another host. Secret."""
    keys = all_keys(settings)
    return ",".join(base64.b64encode(key).decode("ascii") for key in keys) if keys else None


def require_keys(settings: Settings, warehouse: Warehouse, *, role: Role = Role.INGEST) -> KeyRing:
    """The keys, including all that stored logins need; if there is neither a login nor a key, makes one and logs that.

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
            hint="stored logins can be opened only with this file: keep a copy of it separate from database backups",
        )
    return keys


def check_keys(settings: Settings, warehouse: Warehouse, *, role: Role = Role.INGEST) -> KeyRing | None:
    """The check at start-up: raises KeyMissing if a stored login is sealed with an unknown key. Makes none."""
    keys = find_keys(settings)
    with warehouse.connect(role, autocommit=True, application_name="myi keys") as connection:
        stored = _count_logins(connection)
    missing = {key_id: count for key_id, count in stored.items() if keys is None or key_id not in keys.ids}
    if missing:
        names = ", ".join(key_id.hex() for key_id in missing)
        raise KeyMissing(
            f"{sum(missing.values())} stored logins are sealed with a key that is not here ({names}): put it back into"
            f" MYI_ENCRYPTION_KEYS, behind the others, or restore {settings.secrets_folder / FILE_NAME}; if it is lost,"
            " disconnect those users (myi user disconnect KEY; myi service unlink KEY SERVICE; myi providers unlink"
            " ACCOUNT) and let them sign in again, and remove addresses of notices (myi notices remove ID)"
        )
    return keys


def key_uses(settings: Settings, warehouse: Warehouse) -> tuple[KeyUse, ...]:
    """Every key that exists or that a login needs."""
    keys = find_keys(settings)
    given = {KeyRing([key]).sealing_id for key in settings.encryption_key_bytes()}
    with warehouse.connect(Role.INGEST, autocommit=True, application_name="myi keys") as connection:
        sealed = _count_logins(connection, with_access=True)
        # Only logins sealed with a lost key are lost: access tokens are granted again.
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
    """How many logins, and secrets of linked services, accounts and notices, each key seals."""
    logins = Counter(sealed_logins.count_by_key(connection, with_access=with_access))
    logins += Counter(accounts.count_account_keys(connection, with_access=with_access))
    logins += Counter(target_vault.count_target_keys(connection))
    return dict(logins + Counter(service_vault.count_service_keys(connection)))


def new_key_text() -> str:
    """A new key in the form that MYI_ENCRYPTION_KEYS accepts. Secret."""
    while True:
        text = base64.b64encode(new_key()).decode("ascii")
        try:
            decode_key(text)
        except ValueError:  # once in 10^15 keys
            continue
        return text


def put_new_key_into_file(settings: Settings) -> str:
    """Puts a new key before those in the file; returns its id. Raises BadInput if the keys come from the settings."""
    if settings.encryption_keys is not None:
        raise BadInput("the keys come from MYI_ENCRYPTION_KEYS: put a new one first there", place="MYI_ENCRYPTION_KEYS")
    private_folder(settings.secrets_folder)
    text = new_key_text()
    lines = [text, *(base64.b64encode(key).decode("ascii") for key in _file_keys(settings))]
    write_private(settings.secrets_folder / FILE_NAME, "\n".join(lines) + "\n")
    return KeyRing([decode_key(text)]).sealing_id.hex()


def all_keys(settings: Settings) -> list[bytes]:
    """Those of the settings and of the file; the first seals. Raises BadInput if the file is damaged. Secret."""
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
        rule = "one key of 32 bytes in base64 per line"
        raise BadInput(f"{path} is damaged: restore it from a copy", place=str(path), rule=rule)
    return keys


def _make_first(settings: Settings) -> None:
    path = settings.secrets_folder / FILE_NAME
    private_folder(path.parent)
    made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    write_private(made, new_key_text() + "\n")
    try:
        # Linking never replaces a file: if two processes make a key at once, one wins and both read its key.
        os.link(made, path)
    except FileExistsError:
        pass
    finally:
        made.unlink()


_USERS_A_READ = 500


@dataclass(frozen=True)
class Rotated:
    """What was done. `remaining` counts logins by the key (hex id) that still seals them; `failed` lists users."""

    sealed: int
    key_id: str
    remaining: dict[str, int]
    failed: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Kind:
    """A kind of secret for rotation. `owners` maps ids to users."""

    warning: str
    numbered: str
    sealed_otherwise: Callable[..., Sequence[int]]
    seal_again: Callable[[Connection, KeyRing, int], int]
    owners: Callable[[Connection, int], list[int]]


def rotate_keys(connection: Connection, keys: KeyRing, *, after_each: Callable[[int], None] | None = None) -> Rotated:
    """Seals everything with the first key of the ring. `connection` is in autocommit.

    Raises Permanent if the ring has no new key, so that there is nothing to rotate to.
    """
    if len(keys.ids) < 2:
        raise Permanent(
            f"there is no new key: {keys.sealing_id.hex()} is the only one. Make one with `myi keys new`; put it in"
            " front and keep the old one behind it until this command has run"
        )
    told = after_each or (lambda _: None)
    sealed, failed = 0, list[int]()
    for kind in _KINDS:
        after = 0
        while numbers := kind.sealed_otherwise(connection, key_id=keys.sealing_id, after=after, limit=_USERS_A_READ):
            for number in numbers:
                try:
                    sealed += kind.seal_again(connection, keys, number)
                except (Damaged, UnknownKey) as error:
                    log.warning(kind.warning, reason=str(error), **{kind.numbered: number})
                    failed.extend(kind.owners(connection, number))
                told(sealed)
            after = numbers[-1]
    for target_id in target_vault.targets_sealed_otherwise(connection, key_id=keys.sealing_id):
        try:
            sealed += target_vault.seal_target_again(connection, keys, target_id=target_id)
        except (Damaged, UnknownKey) as error:
            log.warning("notice_address_cannot_be_opened", target=str(target_id), reason=str(error))
        told(sealed)
    counts = _count_logins(connection, with_access=True)
    remaining = {key_id.hex(): counts.get(key_id, 0) for key_id in dict.fromkeys((*keys.ids, *counts))}
    return Rotated(sealed, keys.sealing_id.hex(), remaining, tuple(failed))


def _owner(connection: Connection, account_id: int) -> list[int]:
    account = accounts.find_account(connection, account_id=account_id)
    return [account.user_id] if account is not None else []


_KINDS = (
    _Kind(
        "login_cannot_be_opened", "account_id", sealed_logins.sealed_otherwise,
        lambda connection, keys, number: sealed_logins.seal_again(connection, keys, account=number), _owner,
    ),
    _Kind(
        "service_secret_cannot_be_opened", "user_id", service_vault.services_sealed_otherwise,
        lambda connection, keys, number: service_vault.seal_services_again(connection, keys, user_id=number),
        lambda _, number: [number],
    ),
    _Kind(
        "account_login_cannot_be_opened", "account_id", accounts.accounts_sealed_otherwise,
        lambda connection, keys, number: accounts.seal_account_again(connection, keys, account_id=number), _owner,
    ),
)  # fmt: skip
