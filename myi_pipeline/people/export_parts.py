"""The parts of an export other than listening: settings, corrections, accounts without their logins."""

from __future__ import annotations

from typing import Final

from myi_pipeline.postgres.parts import Part

SETTINGS: Final = (
    Part(name="settings/user", tables=("app.users",), read="people/parts/user"),
    Part(
        name="settings/time_zones",
        tables=("app.user_time_zones",),
        read="people/parts/time_zones",
        bring="people/parts/bring_user",
    ),
)
ACCOUNTS: Final = (
    Part(
        name="accounts/playlist_services",
        tables=("app.provider_accounts",),
        read="people/parts/playlist_services",
        bring="people/parts/bring_playlist_services",
    ),
    # Must be linked again by their owner: the importing user may not be the owner of the account.
    Part(name="accounts/listening_services", tables=("app.linked_services",), read="people/parts/listening_services"),
    Part(name="accounts/audit", tables=("app.audit",), read="people/parts/audit"),
)
# Come after the events and names that they refer to.
DECISIONS: Final = (
    Part(
        name="decisions/corrections",
        tables=("app.corrections",),
        read="people/parts/corrections",
        bring="people/parts/bring_corrections",
    ),
)
