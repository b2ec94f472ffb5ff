"""Everything Dagster. The only room that imports it; each asset, sensor and schedule is a thin shell over a service."""

import warnings

from dagster import BetaWarning

# constraints.txt pins the version whose beta features (backfill policies) are used here; a user cannot act on it.
warnings.filterwarnings("ignore", category=BetaWarning)
