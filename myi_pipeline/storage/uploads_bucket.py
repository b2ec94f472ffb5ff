"""Uploaded archives in a bucket, one object each, under `<user key>/<name>`.

Objects whose name begins with a dot are still being uploaded. They are not imported, and those left by killed processes
are deleted after a day.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from myi_pipeline.storage.object_ranges import ObjectRanges
from myi_pipeline.storage.object_store import Bucket, ObjectWriter, StoredObject

INCOMING_PREFIX: Final = ".incoming-"
_FORGOTTEN: Final = timedelta(days=1)


class UploadsBucket:
    """Methods raise Transient if the store is unavailable, Permanent if it denies access, Gone for a missing object."""

    def __init__(self, place: str, options: Mapping[str, str]) -> None:
        """Raises Permanent without obstore, and for options that it does not know. `options` are secret."""
        self._bucket = Bucket(place, options, setting="MYI_UPLOADS")
        self.place = place

    def objects(self, user_key: str | None = None) -> Iterator[StoredObject]:
        """Objects of one user or of all, including those being uploaded."""
        return self._bucket.listed(f"{user_key}/" if user_key is not None else None)

    def incoming(self, user_key: str) -> tuple[str, ObjectWriter]:
        """The name of, and a writer for, a new object that is not imported yet."""
        name = f"{user_key}/{INCOMING_PREFIX}{secrets.token_hex(8)}"
        return name, self._bucket.writing(name)

    def put_in_place(self, incoming: str, name: str) -> StoredObject:
        """Copy a complete upload to its final name, under which it is imported."""
        self._bucket.copy(incoming, name)
        return self._bucket.look_at(name)

    def put(self, name: str, source: Path) -> None:
        self._bucket.put(name, source)

    def fetch(self, name: str, target: Path) -> None:
        """Download an object into a new file, a part at a time. Raises OSError for the file."""
        self._bucket.fetch(name, target)

    def chunks(self, name: str) -> Iterator[bytes]:
        return self._bucket.chunks(name)

    def ranges(self, name: str) -> ObjectRanges:
        return self._bucket.ranges(name)

    def delete(self, *names: str) -> None:
        """Delete objects; missing ones are ignored."""
        self._bucket.delete(names)

    def delete_all(self, user_key: str) -> None:
        self._bucket.delete([each.key for each in self.objects(user_key)])

    def used_bytes(self, user_key: str) -> int:
        return sum(each.size for each in self.objects(user_key))

    def check(self) -> None:
        """Raises unless an object can be stored and deleted again."""
        self._bucket.check()

    def forget_unfinished(self, *, older_than: timedelta = _FORGOTTEN) -> int:
        """Delete incomplete uploads that killed processes left, once they are `older_than` (a day by default): objects
        and parts of multipart uploads. Returns how many.

        Other objects are kept even if there is no such user: a bucket is often filled before the user is added.
        """
        doomed = [
            each.key for each in self.objects() if is_incoming(each.key) and each.age_s() > older_than.total_seconds()
        ]
        self._bucket.delete(doomed)
        return len(doomed) + self._bucket.abort_unfinished(is_ours=is_incoming, older_than=older_than)

    def needs_to_end_uploads(self) -> str | None:
        """The missing package, if any, that is needed to abort incomplete multipart uploads."""
        return self._bucket.needs_to_end_uploads()


def is_incoming(name: str) -> bool:
    return name.rpartition("/")[2].startswith(INCOMING_PREFIX)
