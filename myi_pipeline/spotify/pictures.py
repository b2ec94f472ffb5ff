"""One picture from Spotify's picture host.

Belongs here: the request, and what an answer means. Not here: which picture, what becomes of it. Invariants: no access
token and no other header of a person goes there; what leaves this module is a whole JPEG, PNG or WebP of at most
MOST_BYTES bytes, by its own bytes. That host is no part of the Web API: it takes none of its quota.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import httpx

from myi_pipeline.core.errors import Gone, RateLimited, Transient, UnexpectedAnswer, Unfit
from myi_pipeline.core.pictures import MOST_BYTES, is_whole, media_type_of, picture_path
from myi_pipeline.spotify.transport import Answer, TooLarge, retry_after, send

# Packed bytes could be many more once unpacked, and pictures are packed already.
_HEADERS: Final = {"Accept": "image/jpeg, image/webp, image/png", "Accept-Encoding": "identity"}
_USUAL_PAUSE, _LONGEST_PAUSE = timedelta(minutes=10), timedelta(days=1)


@dataclass(frozen=True)
class FetchedPicture:
    """`media_type` is what the bytes are."""

    media_type: str
    content: bytes = field(repr=False)


def fetch_picture(http: httpx.Client, *, images_url: str, url: str, now: datetime) -> FetchedPicture:
    """The picture that the catalogue has at `url`, asked of the host at `images_url`.

    Raises Gone, Unfit, RateLimited, Transient and UnexpectedAnswer.
    """
    path = picture_path(url)
    if path is None:
        raise Unfit("a picture's address does not lead to Spotify's picture host")
    try:
        answer = send(http, "GET", images_url + path, headers=_HEADERS, most_bytes=MOST_BYTES, is_unpacked=False)
    except TooLarge as error:
        raise Unfit(str(error)) from None
    if answer.status != 200:
        raise _failure(answer, now)
    media_type = media_type_of(answer.body)
    if media_type is None:
        said = answer.headers.get("content-type", "").partition(";")[0].strip().lower()[:40]
        if said.startswith("image/"):
            raise Unfit(f"{answer.what}: what came as {said} is no JPEG, PNG or WebP")
        # Something in between may have answered (a proxy, a network's sign-in page): that says nothing of the picture.
        raise UnexpectedAnswer(f"{answer.what}: Spotify answered with something other than a picture")
    if not is_whole(answer.body):
        raise UnexpectedAnswer(f"{answer.what}: Spotify answered with half a picture")
    return FetchedPicture(media_type, answer.body)


def _failure(answer: Answer, now: datetime) -> Exception:
    status, what = answer.status, answer.what
    if status == 429:
        at = now + min(retry_after(answer, now) or _USUAL_PAUSE, _LONGEST_PAUSE)
        return RateLimited(f"{what}: Spotify says too many requests; again at {at:%Y-%m-%d %H:%M} UTC", retry_at=at)
    if status in (404, 410):
        return Gone(f"{what}: Spotify does not have it")
    if status >= 500:
        return Transient(f"{what}: Spotify answered {status}")
    return UnexpectedAnswer(f"{what}: Spotify answered {status}")
