"""Settings: MusicBrainz, the source of genres and first release dates."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings

from myi_pipeline import __version__
from myi_pipeline.settings.kinds import Folder, Positive, ServiceUrl

# It is put in parentheses in a header.
_CONTACT = re.compile(r"(?=.{3,200}\Z)(https?://[!-'*-~]+|[!-'*-?A-~]+@[!-'*-?A-~]+\.[!-'*-?A-~]+)", re.ASCII)
# The public server refuses clients that ask more than once a second.
_PUBLIC_HOST, _LEAST_PUBLIC_MS = "musicbrainz.org", 1_000


def _reachable(contact: str) -> str:
    if not _CONTACT.match(contact):
        raise ValueError("must be an e-mail address or an https:// address at which you can be reached")
    return contact


class MusicBrainzSettings(BaseSettings):
    """Whether MusicBrainz is asked, where, and how often."""

    musicbrainz_contact: Annotated[str, AfterValidator(_reachable)] | None = Field(
        default=None,
        description="Your e-mail address or website, sent with each request, as MusicBrainz requires of every program."
        " Without it, MusicBrainz is not used.",
    )
    musicbrainz_url: ServiceUrl = Field(
        default="https://musicbrainz.org/ws/2", description="MusicBrainz' web service, or that of your own mirror."
    )
    musicbrainz_interval_ms: Positive = Field(
        default=1_100,
        description="Minimum milliseconds between two requests across all processes and machines; at musicbrainz.org"
        " at least 1000.",
    )

    musicbrainz_dump: Folder | None = Field(
        default=None,
        description="Folder with a dump of MusicBrainz' database, which is consulted before the web service.",
    )

    @model_validator(mode="after")
    def _keeps_the_public_pace(self) -> MusicBrainzSettings:
        host = urlsplit(self.musicbrainz_url).hostname or ""
        is_public = host == _PUBLIC_HOST or host.endswith("." + _PUBLIC_HOST)
        if is_public and self.musicbrainz_interval_ms < _LEAST_PUBLIC_MS:
            raise ValueError(
                "MYI_MUSICBRAINZ_INTERVAL_MS: must be at least 1000 at musicbrainz.org; only your own mirror may be"
                " asked more often"
            )
        return self

    @property
    def musicbrainz_user_agent(self) -> str | None:
        """Program, version and contact, as MusicBrainz requires; None if it is not to be asked."""
        contact = self.musicbrainz_contact
        return f"MYI/{__version__} ( {contact} )" if contact is not None else None
