"""Where notices go: adding, listing, changing and opening the addresses of users and of the operator.

Pages may add an address and replace a webhook's secret, but read neither; the sending process opens them. Some of the
operator's come from the settings; a digest identifies these for their deliveries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.notices import addresses, messengers
from myi_pipeline.notices.addresses import Lookup, system_lookup
from myi_pipeline.notices.kinds import check_kinds
from myi_pipeline.notices.webhooks import new_secret
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers.envelope import KeyRing
from myi_pipeline.providers.target_vault import place_of
from myi_pipeline.settings import Settings

MOST_TARGETS = 20
LONGEST_NAME = 100
_ADDRESSES_FILE_BYTES = 100_000


class Channel(StrEnum):
    APPRISE = "apprise"
    WEBHOOK = "webhook"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One address. `kinds` None: the default ones; `stopped_at`: when the receiver said that it is gone."""

    target_id: UUID
    user_id: int | None
    user_key: str | None
    channel: Channel
    name: str
    shown: str
    kinds: tuple[str, ...] | None
    created_at: datetime
    former_until: datetime | None
    stopped_at: datetime | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "channel", Channel(self.channel))
        object.__setattr__(self, "kinds", tuple(self.kinds) if self.kinds is not None else None)


@dataclass(frozen=True)
class Added:
    """`secret` is a webhook's, shown once."""

    target_id: UUID
    secret: str | None = field(repr=False)


@dataclass(frozen=True)
class Opened:
    """An opened address. `signing`: the secrets that sign a webhook's messages."""

    address: str = field(repr=False)
    signing: tuple[str, ...] = field(repr=False, default=())


@contextmanager
def _acting_for(connection: Connection, user_id: int | None) -> Iterator[None]:
    if user_id is None:
        with connection.transaction():
            yield
    else:
        with as_user(connection, user_id):
            yield


def check_name(name: str | None, *, shown: str) -> str:
    """Checks the target's name. Raises BadInput."""
    given = (name or "").strip() or shown[:LONGEST_NAME]
    if len(given) > LONGEST_NAME or not given.isprintable():
        raise BadInput(f"a name has at most {LONGEST_NAME} characters", place="name")
    return given


def add_target(
    connection: Connection,
    keys: KeyRing,
    *,
    user_id: int | None,
    channel: Channel,
    url: str,
    name: str | None = None,
    kinds: tuple[str, ...] | None = None,
    allow_private: bool,
    now: datetime,
    address: str | None = None,
    lookup: Lookup = system_lookup,
) -> Added:
    """Adds a target for a user or the operator. Resolves its host. Raises BadInput and Transient."""
    chosen = check_kinds(kinds, operator=user_id is None) if kinds else None
    if channel is Channel.WEBHOOK:
        place = addresses.read_place(url, allow_private=allow_private)
        addresses.reach(place.host, place.port, allow_private=allow_private, lookup=lookup)
        shown = place.shown
    else:
        # The operator's notices may go to the own network.
        shown = messengers.check_address(url, allow_private=allow_private or user_id is None, lookup=lookup)
    target_id, secret = uuid4(), new_secret() if channel is Channel.WEBHOOK else None
    values = {
        "target_id": target_id,
        "user_id": user_id,
        "channel": channel.value,
        "name": check_name(name, shown=shown),
        "shown": shown[:300],
        "address": keys.seal(url, place=place_of(target_id, user_id, "address")),
        "secret": keys.seal(secret, place=place_of(target_id, user_id, "secret")) if secret is not None else None,
        "kinds": list(chosen) if chosen else None,
        "now": now,
    }
    with _acting_for(connection, user_id):
        count = "select count(*) from app.notice_targets where user_id is not distinct from %s"
        found = connection.execute(count, (user_id,)).fetchone()
        if found is not None and found[0] >= MOST_TARGETS:
            raise BadInput(f"there are {MOST_TARGETS} addresses already; remove one first", place="address")
        connection.execute(load_sql("notices/add_target"), values)
        detail = {"channel": channel.value, "at": shown}
        audit.record(connection, Event.NOTICE_TARGET_ADDED, user_id=user_id, address=address, detail=detail)
    return Added(target_id, secret)


def list_targets(
    connection: Connection, *, user_id: int | None, channel: Channel | None = None
) -> tuple[Target, ...]:  # fmt: skip
    """Of one user; for None all, the operator's first."""
    values = {"user_id": user_id, "channel": channel.value if channel is not None else None}
    with _acting_for(connection, user_id), connection.cursor(row_factory=class_row(Target)) as cursor:
        return tuple(cursor.execute(load_sql("notices/list_targets"), values).fetchall())


def find_target(connection: Connection, *, user_id: int | None, target_id: UUID) -> Target | None:
    return next((each for each in list_targets(connection, user_id=user_id) if each.target_id == target_id), None)


def change_target(
    connection: Connection,
    *,
    user_id: int | None,
    target_id: UUID,
    name: str,
    kinds: tuple[str, ...] | None,
    is_on: bool,
) -> bool:
    """`is_on`: resumes sending after the receiver said that it is gone. False if there is none. Raises BadInput."""
    chosen = check_kinds(kinds, operator=user_id is None) if kinds else None
    values = {
        "target_id": target_id,
        "user_id": user_id,
        "name": check_name(name, shown="address"),
        "kinds": list(chosen) if chosen else None,
        "is_on": is_on,
    }
    with _acting_for(connection, user_id):
        return connection.execute(load_sql("notices/change_target"), values).rowcount > 0


def remove_target(
    connection: Connection, *, user_id: int | None, target_id: UUID, address: str | None = None
) -> bool:  # fmt: skip
    """Removes it, with pending messages. False if there is none; for None, any target."""
    with _acting_for(connection, user_id):
        gone = connection.execute(
            "delete from app.notice_targets where target_id = %s and (%s::int is null or user_id = %s)"
            " returning channel, user_id",
            (target_id, user_id, user_id),
        ).fetchone()
        if gone is None:
            return False
        detail = {"channel": gone[0]}
        audit.record(connection, Event.NOTICE_TARGET_REMOVED, user_id=gone[1], address=address, detail=detail)
    return True


def rotate_secret(
    connection: Connection, keys: KeyRing, *, user_id: int | None, target_id: UUID, address: str | None = None
) -> str | None:
    """A webhook's new secret, shown once; for a day, messages are signed with the former one as well.

    None if there is none.
    """
    secret = new_secret()
    sealed = keys.seal(secret, place=place_of(target_id, user_id, "secret"))
    with _acting_for(connection, user_id):
        done = connection.execute(
            "update app.notice_targets set secret = %s"
            " where target_id = %s and channel = 'webhook' and user_id is not distinct from %s",
            (sealed, target_id, user_id),
        ).rowcount
        if not done:
            return None
        audit.record(connection, Event.WEBHOOK_SECRET_ROTATED, user_id=user_id, address=address)
    return secret


def open_target(connection: Connection, keys: KeyRing, *, target_id: UUID, now: datetime) -> Opened | None:
    """For the sending process. Raises UnknownKey and Damaged."""
    row = connection.execute(load_sql("notices/open_target"), {"target_id": target_id}).fetchone()
    if row is None:
        return None
    user_id, sealed, secret, former, former_until = row
    signing = []
    if secret is not None:
        signing.append(keys.open(secret, place=place_of(target_id, user_id, "secret")))
    if former is not None and former_until > now:
        signing.append(keys.open(former, place=place_of(target_id, user_id, "former_secret")))
    return Opened(keys.open(sealed, place=place_of(target_id, user_id, "address")), tuple(signing))


def settings_addresses(settings: Settings) -> dict[str, str]:
    """The operator's addresses in the settings, by digest. Raises BadInput if their file cannot be read."""
    text = settings.notices_urls.get_secret_value() if settings.notices_urls is not None else ""
    path = settings.notices_urls_file
    if path is not None:
        try:
            with path.open(encoding="utf-8") as file:
                lines = file.read(_ADDRESSES_FILE_BYTES).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise BadInput(f"{path} cannot be read: {reason}", place="MYI_NOTICES_URLS_FILE") from None
        text = "\n".join([text, *(line for line in lines if not line.lstrip().startswith("#"))])
    return {hashlib.sha256(url.encode()).hexdigest()[:16]: url for url in text.split()}
