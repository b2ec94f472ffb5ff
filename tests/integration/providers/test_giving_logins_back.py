"""Whoever is erased has their logins ended at the services that let an app do so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myi_pipeline.errors import AuthRevoked
from myi_pipeline.operations.erase_users import erase_user, receipt_of
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.accounts import Provider, link_account
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenGrant
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.services.oauth import OAuthServer
from tests.integration.providers.conftest import AtTidal, AtYouTube


def linked(warehouse: Warehouse, keys: object, sign_in: OAuthServer, provider: Provider) -> tuple[int, str]:
    access, refresh = sign_in.token_for("ana")
    now = datetime.now(UTC)
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        user_id = add_user(connection, user_key="ana", time_zone="UTC").user_id
        link_account(
            connection,
            keys,  # type: ignore[arg-type]
            user_id=user_id,
            provider=provider,
            provider_account="ana",
            name="Ana",
            client_id=sign_in.client_id,
            grant=TokenGrant(AccessToken(access, now), refresh, frozenset({"read"})),
            now=now,
        )
    return user_id, refresh


def outcome(warehouse: Warehouse, settings: Settings, user_id: int) -> tuple[str, str]:
    receipt = receipt_of(warehouse, erase_user(warehouse, settings, user_id=user_id, now=datetime.now(UTC)))
    assert receipt is not None
    (login,) = receipt.logins
    return login.service, login.outcome


def test_a_login_at_tidal_is_ended_there(at_tidal: AtTidal, warehouse: Warehouse) -> None:
    sign_in = at_tidal.tidal.sign_in
    user_id, refresh = linked(warehouse, at_tidal.services.keys, sign_in, Provider.TIDAL)
    assert at_tidal.services.tidal_sign_in().refresh(refresh).access.value
    assert outcome(warehouse, at_tidal.settings, user_id) == ("TIDAL", "ended")
    with pytest.raises(AuthRevoked):
        at_tidal.services.tidal_sign_in().refresh(refresh)
    # Given back twice, as after a kill, it is ended all the same.
    at_tidal.services.tidal_sign_in().revoke(refresh)


def test_a_login_at_google_is_ended_there(at_youtube: AtYouTube, warehouse: Warehouse) -> None:
    sign_in = at_youtube.youtube.sign_in
    user_id, refresh = linked(warehouse, at_youtube.services.keys, sign_in, Provider.YOUTUBE_MUSIC)
    assert outcome(warehouse, at_youtube.settings, user_id) == ("YouTube Music", "ended")
    with pytest.raises(AuthRevoked):
        at_youtube.services.youtube_sign_in().refresh(refresh)


def test_a_service_that_does_not_answer_stops_no_erasure(at_tidal: AtTidal, warehouse: Warehouse) -> None:
    user_id, _ = linked(warehouse, at_tidal.services.keys, at_tidal.tidal.sign_in, Provider.TIDAL)
    at_tidal.tidal.sign_in.down = 9
    assert outcome(warehouse, at_tidal.settings, user_id) == ("TIDAL", "failed")
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert connection.execute("select from app.users").fetchall() == []
