"""Settings: the database and its connections."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import Positive, PostgresUrl, UserPort

ROLES_WITH_A_URL = ("ingest", "dbt", "api", "app", "monitor", "analyst")


_KEY = re.compile(r"[0-9a-f]{64}\Z")


def _key(key: SecretStr) -> SecretStr:
    if not _KEY.match(key.get_secret_value()):
        raise ValueError("must be 64 hex digits, as MYI_HOME/secrets/account_names.key holds them")
    return key


def _names_a_user(url: str) -> bool:
    parts = urlsplit(url)
    return parts.username is not None or "user" in parse_qs(parts.query)


class DatabaseSettings(BaseSettings):
    """The Postgres server, and the roles that connect to it."""

    database_url: PostgresUrl | None = Field(
        default=None,
        description="An external Postgres 15-19 instead of the embedded one: the URL of a role that may create roles"
        " and databases, or of the owner (then every MYI_DATABASE_URL_<ROLE> is needed too).",
    )
    database_url_ingest: PostgresUrl | None = Field(default=None, description="URL of the role that loads plays.")
    database_url_dbt: PostgresUrl | None = Field(default=None, description="URL of the role that builds the marts.")
    database_url_api: PostgresUrl | None = Field(
        default=None,
        description="URL of the role that reads marts, one user at a time; of another server: a replica, read by pages"
        " and API. Without a user: MYI's own role there.",
    )
    database_url_app: PostgresUrl | None = Field(
        default=None, description="URL of the role for sessions, tokens and imports."
    )
    database_url_monitor: PostgresUrl | None = Field(
        default=None, description="URL of the role that reads aggregates for metrics; may lead to a replica, too."
    )
    database_url_analyst: PostgresUrl | None = Field(
        default=None, description="URL of the role that reads all marts; may lead to a replica, too."
    )
    dagster_database_url: PostgresUrl | None = Field(
        default=None,
        description="URL of the database for Dagster's own storage; without a user: MYI's own there, behind a pooler.",
    )
    polls_database_url: PostgresUrl | None = Field(
        default=None, description="Where polls connect as the role that loads plays: a pooler in session mode."
    )
    replica_lag_s: Positive = Field(
        default=30,
        description="Once a replica is behind by more seconds than this, pages say so, and `myi doctor` does.",
    )
    sql_port: UserPort | None = Field(
        default=None,
        description="Port on 127.0.0.1 at which `myi up` lets the analyst role connect to the embedded Postgres.",
    )

    account_names_key: Annotated[SecretStr, AfterValidator(_key)] | None = Field(
        default=None,
        description="Key that hashes user names in archives, the same wherever they are imported: 64 hex digits.",
    )

    @model_validator(mode="after")
    def _role_urls_need_the_first(self) -> Self:
        if self.database_url is None:
            for role in self.role_urls():
                raise ValueError(f"MYI_DATABASE_URL_{role.upper()}: needs MYI_DATABASE_URL (the owner's URL) as well")
            if self.polls_database_url is not None:
                raise ValueError("MYI_POLLS_DATABASE_URL: needs MYI_DATABASE_URL as well")
            dagster = self.dagster_database_url
            if dagster is not None and not _names_a_user(dagster.get_secret_value()):
                raise ValueError("MYI_DAGSTER_DATABASE_URL: needs MYI_DATABASE_URL as well, or a user")
        return self

    def role_urls(self) -> dict[str, str]:
        """The role URLs that were given, by role name. Secret."""
        given = {role: getattr(self, f"database_url_{role}") for role in ROLES_WITH_A_URL}
        return {role: url.get_secret_value() for role, url in given.items() if url is not None}
