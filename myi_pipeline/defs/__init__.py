"""Everything Dagster: a capability has a module here, or several. Each definition is a thin shell over the capability's
own code.

Only this package and web/dagster_pages import dagster.
"""

import warnings

from dagster import BetaWarning

# constraints.txt pins the version whose beta features (backfill policies) are used here; a user cannot act on it.
warnings.filterwarnings("ignore", category=BetaWarning)
