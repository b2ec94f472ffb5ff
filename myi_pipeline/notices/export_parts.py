"""The notices part of an export: which notices a person wants, and where, by service and host.

Addresses and webhook secrets are not exported, so targets are listed but not imported again."""

from __future__ import annotations

from typing import Final

from myi_pipeline.postgres.parts import Part

PARTS: Final = (
    Part(
        name="settings/notices",
        tables=("app.notice_wishes",),
        read="notices/parts/wishes",
        bring="notices/parts/bring_wishes",
    ),
    Part(name="settings/notice_targets", tables=("app.notice_targets",), read="notices/parts/targets"),
)
