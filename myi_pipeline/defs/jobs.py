"""What can be started by name.

Belongs here: selections. Not here: when (schedules, sensors). Invariant: `refresh_marts` selects every model, because
only a run of all models closes the change ledger.
"""

from typing import TYPE_CHECKING

import dagster as dg

from myi_pipeline.defs.checks import HOUSE_CHECKS, POLL_CHECKS
from myi_pipeline.defs.listening_history import LISTENING_HISTORY
from myi_pipeline.defs.maintenance import MAINTENANCE
from myi_pipeline.defs.recently_played import RECENTLY_PLAYED

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

REFRESH_MARTS, POLL_USERS = "refresh_marts", "poll_users"

import_uploads_job = dg.define_asset_job(
    "import_uploads",
    # The asset asks its cheap check itself; the others wait for the daily round.
    selection=dg.AssetSelection.assets(LISTENING_HISTORY).without_checks(),
    description="Import what lies in the uploads folder of one user, or of a range of users.",
)

poll_users_job = dg.define_asset_job(
    POLL_USERS,
    selection=dg.AssetSelection.assets(RECENTLY_PLAYED).without_checks(),
    description="Ask Spotify what a range of users lately heard; only those whose turn it is.",
)

check_polls_job = dg.define_asset_job(
    "check_polls",
    selection=dg.AssetSelection.checks(*POLL_CHECKS),
    description="Whether everybody is polled in time, and whose login ends soon.",
)

maintenance_job = dg.define_asset_job(
    "daily_maintenance",
    selection=dg.AssetSelection.assets(MAINTENANCE).without_checks() | dg.AssetSelection.checks(*HOUSE_CHECKS),
    description="The daily chores, and then the checks of the whole house.",
)


def build_refresh_job(marts: dg.AssetsDefinition) -> "Job":
    """The models of `marts` with dbt's own tests."""
    return dg.define_asset_job(
        REFRESH_MARTS,
        selection=dg.AssetSelection.assets(marts).without_checks() | dg.AssetSelection.checks(*marts.check_keys),
        description="Recompute in every mart what the change ledger says has changed, then run dbt's data tests.",
    )
