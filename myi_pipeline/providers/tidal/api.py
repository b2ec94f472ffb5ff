"""The layer below TIDAL's client: JSON:API documents, pages by cursor, and the meaning of errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from myi_pipeline.errors import BadInput, Forbidden, Gone, MyiError, Permanent, UnexpectedAnswer
from myi_pipeline.providers.asking import ServiceApi
from myi_pipeline.providers.playlists import KeyUsed, WriteUnderWay
from myi_pipeline.providers.transport import Answer, plain_words

MEDIA_TYPE = "application/vnd.api+json"
LONGEST_KEY = 128
# Observed pages have 20 items. A list in TIDAL's app has at most 10,000.
_MOST_PAGES = 2_000
_UNDER_WAY, _OTHER_PAYLOAD = "IDEMPOTENT_REQUEST_IN_PROGRESS", "IDEMPOTENT_REQUEST_PAYLOAD_MISMATCH"


class TidalApi(ServiceApi):
    """Raises Gone, Forbidden, RateLimited, TokenRejected, Transient, UnexpectedAnswer; of writes also WriteUnderWay,
    KeyUsed and Permanent.
    """

    service = "TIDAL"
    media_type = MEDIA_TYPE

    def pages(self, path: str, params: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every page from the first on.

        Only the cursor of links.next is used, so no answer can lead to another server.
        """
        asked, seen = dict(params), set[str]()
        for _ in range(_MOST_PAGES):
            what, document = self.read(path, asked)
            yield what, document
            cursor = self._next_cursor(document, what)
            if cursor is None:
                return
            if cursor in seen:
                raise UnexpectedAnswer(f"{what}: TIDAL's pages lead in a circle")
            seen.add(cursor)
            asked["page[cursor]"] = cursor
        raise UnexpectedAnswer(f"GET {path}: TIDAL's pages do not end")

    def mutate(
        self, method: str, path: str, document: object = None, *, key: str, country: str | None = None
    ) -> Answer:
        """One write. Within an hour, the same `key` and document get the first answer again and change nothing."""
        if not (key.isascii() and key.isprintable() and 0 < len(key) <= LONGEST_KEY):
            raise BadInput(f"a key of TIDAL has 1 to {LONGEST_KEY} plain characters", place="key")
        params = {"countryCode": country} if country else None
        return self.write(method, path, document, params=params, headers={"Idempotency-Key": key})

    def _next_cursor(self, document: dict[str, Any], what: str) -> str | None:
        links = document.get("links")
        following = links.get("next") if isinstance(links, dict) else None
        if following is None:
            return None
        own = urlsplit(self._url)
        try:
            parts = urlsplit(following)
            cursors = parse_qs(parts.query, max_num_fields=50).get("page[cursor]", [])
        except (ValueError, TypeError, AttributeError):
            raise UnexpectedAnswer(f"{what}: TIDAL's link to the next page cannot be read") from None
        if parts.netloc not in ("", own.netloc):
            raise UnexpectedAnswer(f"{what}: TIDAL's next page is at another server")
        if len(cursors) != 1:
            raise UnexpectedAnswer(f"{what}: TIDAL's link to the next page has no cursor")
        return cursors[0]

    def _refusal(self, answer: Answer) -> MyiError:
        status, what = answer.status, answer.what
        if status in (429, 401) or status >= 500:
            return super()._refusal(answer)
        code, said = _error(answer)
        because = f" ({said})" if said else ""
        if status == 403:
            return Forbidden(f"{what}: TIDAL refuses this{because or '; the login may lack a permission'}")
        if status in (404, 410):
            answer.document()  # an HTML page with status 404 comes from something in between
            return Gone(f"{what}: TIDAL does not have it, or does not show it to this account")
        if code == _UNDER_WAY:
            return WriteUnderWay(f"{what}: TIDAL is still processing this write")
        if code == _OTHER_PAYLOAD:
            return KeyUsed(f"{what}: TIDAL knows this key from another write")
        if status in (400, 405, 406, 409, 412, 413, 415, 422):
            answer.document()
            return Permanent(
                f"{what}: TIDAL does not accept it ({status}{f': {said or code}' if said or code else ''})"
            )
        return UnexpectedAnswer(f"{what}: TIDAL answered {status}{because}")


def _error(answer: Answer) -> tuple[str, str]:
    """Code and text of the first error."""
    try:
        first = json.loads(answer.body)["errors"][0]
        code, said = first.get("code"), first.get("detail")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return "", ""
    return (code if isinstance(code, str) else "")[:64], plain_words(said) if isinstance(said, str) else ""
