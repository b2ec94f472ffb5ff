"""All settings of MYI, and the only reader of the environment.

A `Settings` object is valid as a whole and never shows a secret; an invalid value stops the start with one line that
names its variable without repeating the value.
"""

from myi_pipeline.settings.database import ROLES_WITH_A_URL
from myi_pipeline.settings.encryption_keys import ENCRYPTION_KEY_BYTES, decode_key
from myi_pipeline.settings.environment import (
    SettingsError,
    environment_of_strangers,
    known_variables,
    load_settings,
    path_settings,
    unknown_variables,
)
from myi_pipeline.settings.kinds import CLIENT_ID
from myi_pipeline.settings.operations import LogFormat, LogLevel, machine_time_zone, pool_limits_in
from myi_pipeline.settings.whole import PREFIX, Settings, default_home

__all__ = [
    "CLIENT_ID",
    "ENCRYPTION_KEY_BYTES",
    "PREFIX",
    "ROLES_WITH_A_URL",
    "LogFormat",
    "LogLevel",
    "Settings",
    "SettingsError",
    "decode_key",
    "default_home",
    "environment_of_strangers",
    "known_variables",
    "load_settings",
    "machine_time_zone",
    "path_settings",
    "pool_limits_in",
    "unknown_variables",
]
