"""A process that tells, for tests that kill it: `python -m ... HOURS USER_ID`; its clock is so many hours ahead."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

from myi_pipeline.notices.kinds import IMPORT_FINISHED, Condition
from myi_pipeline.notices.sending import NoticeSender
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Role
from myi_pipeline.settings import load_settings

MESSAGES = 40


def main(ahead_h: float, user_id: int) -> None:
    settings = load_settings()
    began = datetime(2026, 3, 2, 12, tzinfo=UTC)
    found = [
        Condition(kind=IMPORT_FINISHED, subject=f"import {number}", user_id=user_id, since=began)
        for number in range(MESSAGES)
    ]
    with (
        open_warehouse(settings, migrate=False) as warehouse,
        closing(warehouse.connect(Role.INGEST, autocommit=True)) as connection,
    ):
        teller = NoticeSender(settings, connection, clock=lambda: began + timedelta(hours=ahead_h))
        sys.stdout.write("begins\n")
        sys.stdout.flush()
        teller.follow(found, asked=[])
        teller.send_due()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
