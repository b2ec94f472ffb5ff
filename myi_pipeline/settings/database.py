"""Settings: the database and how it is reached."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import PostgresUrl, UserPort

ROLES_WITH_A_URL = ("ingest", "dbt", "api", "app", "monitor", "analyst")


class DatabaseSettings(BaseSettings):
    """Which Postgres, and as whom."""

    database_url: PostgresUrl | None = Field(
        default=None,
        description="An external Postgres 15-18 instead of the embedded one: the URL of a role that may create roles"
        " and databases, or of the owner (then every MYI_DATABASE_URL_<ROLE> is needed too).",
    )
    database_url_ingest: PostgresUrl | None = Field(default=None, description="URL of the role that loads plays.")
    database_url_dbt: PostgresUrl | None = Field(default=None, description="URL of the role that builds the marts.")
    database_url_api: PostgresUrl | None = Field(
        default=None, description="URL of the role that reads marts, one user at a time."
    )
    database_url_app: PostgresUrl | None = Field(
        default=None, description="URL of the role for sessions, tokens and imports."
    )
    database_url_monitor: PostgresUrl | None = Field(
        default=None, description="URL of the role that reads aggregates for metrics."
    )
    database_url_analyst: PostgresUrl | None = Field(default=None, description="URL of the role that reads all marts.")
    dagster_database_url: PostgresUrl | None = Field(
        default=None, description="URL of the database for Dagster's own storage."
    )
    sql_port: UserPort | None = Field(
        default=None, description="Port on 127.0.0.1 at which `myi up` lets the analyst into the embedded Postgres."
    )

    @model_validator(mode="after")
    def _role_urls_need_the_first(self) -> Self:
        if self.database_url is None:
            for role in self.role_urls():
                raise ValueError(f"MYI_DATABASE_URL_{role.upper()}: needs MYI_DATABASE_URL (the owner's URL) as well")
        return self

    def role_urls(self) -> dict[str, str]:
        """The role URLs that were given, by role name. Secret."""
        given = {role: getattr(self, f"database_url_{role}") for role in ROLES_WITH_A_URL}
        return {role: url.get_secret_value() for role, url in given.items() if url is not None}
