"""Settings: where the operator's notices are sent, and which addresses are allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import absolute_folder


def _file(path: Path) -> Path:
    return absolute_folder(str(path))


class NoticeSettings(BaseSettings):
    """The operator's addresses; those of users are in the database."""

    notices_urls: SecretStr | None = Field(
        default=None,
        description="Where the operator's notices are sent: Apprise URLs such as ntfys://ntfy.sh/topic, separated by"
        " blanks.",
    )
    notices_urls_file: Annotated[Path, AfterValidator(_file)] | None = Field(
        default=None, description="A file with such URLs, one per line, instead of MYI_NOTICES_URLS."
    )
    webhooks_allow_private: bool = Field(
        default=False,
        description="Whether users' webhooks and other addresses may point to private networks and this machine.",
    )
