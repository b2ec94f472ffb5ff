"""Files in a bucket of S3, Google Cloud Storage, Azure or a compatible store, with the library obstore.

An object exists once its last byte is stored. Links are presigned URLs of the store. Errors only contain their type, as
answers of a store contain addresses and key names.
"""

from __future__ import annotations

import hashlib
import importlib.util
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from myi_pipeline.errors import Gone, Permanent, Transient
from myi_pipeline.storage.object_ranges import ObjectRanges
from myi_pipeline.storage.stored_files import StoredFile, check_name, is_name

_CONNECT_TIMEOUT, _TIMEOUT = timedelta(seconds=5), timedelta(seconds=60)
_RETRIES, _RETRY_TIMEOUT = 3, timedelta(seconds=30)
# Smaller files are kept in memory during the upload.
_SPOOLED_BYTES: Final = 4 * 1024 * 1024
_REFUSALS: Final = ("status code: 401 ", "status code: 403 ")
_PART_BYTES, _PARTS_AT_ONCE = 8 * 1024 * 1024, 2


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    key: str
    size: int
    stored_at: datetime
    e_tag: str

    def age_s(self) -> float:
        return (datetime.now(UTC) - self.stored_at).total_seconds()

    @property
    def identity(self) -> str:
        """Changes when another object is stored under the key. In whole seconds, the precision of a HEAD request."""
        text = f"{self.size}:{self.e_tag}:{int(self.stored_at.timestamp())}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _stored(found: Mapping[str, Any]) -> StoredObject:
    return StoredObject(
        key=str(found["path"]),
        size=int(found["size"]),
        stored_at=found["last_modified"].astimezone(UTC),
        e_tag=str(found["e_tag"] or "").strip('"'),
    )


def s3_client(config: Mapping[str, Any]) -> Any:
    """A boto3 client, for what obstore cannot do; boto3's defaults apply to what `config` does not name.

    Raises ImportError without boto3. `config` is secret.
    """
    import boto3
    from botocore.config import Config

    given = {name.removeprefix("aws_"): value for name, value in config.items()}
    return boto3.client(
        "s3",
        endpoint_url=given.get("endpoint") or given.get("endpoint_url"),
        region_name=given.get("region"),
        aws_access_key_id=given.get("access_key_id"),
        aws_secret_access_key=given.get("secret_access_key"),
        aws_session_token=given.get("session_token") or given.get("token"),
        config=Config(
            # In some regions, the default would be the old signature version.
            signature_version="s3v4",
            connect_timeout=_CONNECT_TIMEOUT.total_seconds(),
            read_timeout=_TIMEOUT.total_seconds(),
            retries={"total_max_attempts": _RETRIES + 1},
        ),
    )


class ObjectWriter:
    """Uploads an object in parts: it exists once `finish` returns, and never if it is given up before.

    At most three parts are in memory.
    """

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._is_open = bucket, True
        with bucket.explained():
            self._file: Any = bucket.obstore.open_writer(
                bucket.store, key, buffer_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )

    def write(self, piece: bytes) -> None:
        with self._bucket.explained():
            self._file.write(piece)

    def finish(self) -> None:
        if self._is_open:
            with self._bucket.explained():
                self._file.close()
            self._is_open = False

    def give_up(self) -> None:
        """Abort, unless it is finished. Never raises: what remains if the store is unavailable is aborted later."""
        if not self._is_open:
            return
        self._is_open = False
        with suppress(Transient, Permanent), self._bucket.explained():
            # Leaving its context with an error aborts the multipart upload; there is no other way.
            self._file.__exit__(InterruptedError, InterruptedError(), None)


class Bucket:
    """A bucket and a path in it; `setting` is the variable to name in errors."""

    def __init__(self, place: str, options: Mapping[str, str], *, setting: str) -> None:
        """Raises Permanent without obstore, and for options that it does not know. `options` are secret."""
        self._setting, self.place = setting, place
        try:
            import obstore
            from obstore import store as stores
        except ImportError:
            raise Permanent(
                f"{setting}={place.partition('://')[0]}://... needs the package obstore: install"
                " 'myi-pipeline[object-store]'"
            ) from None
        self.obstore: Any = obstore
        from_url: Any = stores.from_url
        # An endpoint with http:// is deliberate: a store in the same private network.
        is_plain = options.get("endpoint", options.get("aws_endpoint", "")).startswith("http://")
        given: dict[str, Any] = {
            "client_options": {
                "connect_timeout": _CONNECT_TIMEOUT, "timeout": _TIMEOUT, "allow_http": is_plain
            },
            "retry_config": {"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT},
        }  # fmt: skip
        with self.explained():
            self.store: Any = from_url(place, config=dict(options) or None, **given)

    def listed(self, prefix: str | None) -> Iterator[StoredObject]:
        with self.explained():
            for batch in self.obstore.list(self.store, prefix=prefix):
                for found in batch:
                    yield _stored(found)

    def look_at(self, key: str) -> StoredObject:
        """Raises Gone."""
        with self.explained(key):
            return _stored(self.obstore.head(self.store, key))

    def read(self, key: str, *, limit: int) -> bytes | None:
        """The first `limit` bytes; None if there is no such object."""
        from obstore.exceptions import NotFoundError

        with self.explained():
            try:
                found = b""
                for chunk in self.obstore.get(self.store, key).stream(min_chunk_size=_PART_BYTES):
                    found += bytes(chunk)
                    if len(found) >= limit:
                        break
            except (NotFoundError, FileNotFoundError):
                return None
        return found[:limit]

    def fetch(self, key: str, target: Path) -> None:
        """Download an object into a new file. Raises Gone, and OSError for the file."""
        with target.open("xb") as file:
            for chunk in self.chunks(key):
                file.write(chunk)

    def chunks(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, a part at a time. Raises Gone, and Transient if it is replaced in the meantime.

        Each part is a request with its own retries and time limit: a single request for a large object could exceed the
        limit.
        """
        fetch, size = self._ranges(key)
        for start in range(0, size, _PART_BYTES):
            yield fetch(start, min(start + _PART_BYTES, size))

    def ranges(self, key: str) -> ObjectRanges:
        """The bytes of an object at any place. Raises Gone, as does its `read_at`, and that Transient if the object is
        replaced in the meantime."""
        fetch, size = self._ranges(key)
        return ObjectRanges(fetch, size=size)

    def _ranges(self, key: str) -> tuple[Callable[[int, int], bytes], int]:
        """What fetches the bytes between two positions, and the size of the object."""
        with self.explained(key):
            found = self.obstore.head(self.store, key)

        def fetch(start: int, end: int) -> bytes:
            options = {"range": (start, end), "if_match": found["e_tag"]}
            with self.explained(key):
                return bytes(self.obstore.get(self.store, key, options=options).bytes())

        return fetch, int(found["size"])

    def writing(self, key: str) -> ObjectWriter:
        return ObjectWriter(self, key)

    def copy(self, source: str, target: str) -> None:
        """Copy within the store. Raises Gone."""
        with self.explained(source):
            self.obstore.copy(self.store, source, target)

    def needs_to_end_uploads(self) -> str | None:
        """The missing package without which abort_unfinished does nothing here, if any."""
        if type(self.store).__name__ != "S3Store" or importlib.util.find_spec("boto3") is not None:
            return None
        return "boto3"

    def abort_unfinished(self, *, is_ours: Callable[[str], bool], older_than: timedelta) -> int:
        """Abort multipart uploads of our keys that are older than this: their writers were killed. Returns how many.

        Only S3 lists them, with boto3; Azure deletes uncommitted parts after a week, and Google's buckets need a
        lifecycle rule.
        """
        if type(self.store).__name__ != "S3Store":
            return 0
        try:
            client = s3_client(self.store.config)
        except ImportError:
            return 0
        bucket, inside = self.store.config["bucket"], f"{self.store.prefix or ''}".strip("/")
        before, ended = datetime.now(UTC) - older_than, 0
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            pages = client.get_paginator("list_multipart_uploads").paginate(
                Bucket=bucket, Prefix=f"{inside}/" if inside else ""
            )
            for upload in [found for page in pages for found in page.get("Uploads", ())]:
                if is_ours(upload["Key"]) and upload["Initiated"] < before:
                    client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                    ended += 1
        except (BotoCoreError, ClientError) as error:
            raise Transient(f"unfinished uploads in {self._setting} cannot be ended ({type(error).__name__})") from None
        return ended

    def put(self, key: str, source: Path | bytes) -> None:
        """A file, or these bytes."""
        with self.explained():
            self.obstore.put(self.store, key, source, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)

    def check(self) -> None:
        """Raises Permanent and Transient unless an object can be stored and deleted again."""
        key = f"probe-{secrets.token_hex(4)}"
        with self.explained():
            self.obstore.put(self.store, key, b"x")
        self.delete([key])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        from obstore.exceptions import NotFoundError

        with self.explained():
            for key in keys:
                try:
                    self.obstore.delete(self.store, key)
                except (NotFoundError, FileNotFoundError):
                    continue

    @contextmanager
    def explained(self, key: str | None = None) -> Iterator[None]:
        """Convert errors of the library into our own; Gone if the object `key` is missing."""
        from obstore import exceptions

        try:
            yield
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
            raise Permanent(f"the object store refuses the credentials of {self._setting}_OPTIONS") from None
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            if key is not None and "NoSuchBucket" not in str(error):
                raise Gone(f"{key} is not in the object store of {self._setting}") from None
            raise Permanent(f"the bucket of {self._setting} does not exist") from None
        except exceptions.UnknownConfigurationKeyError:
            raise Permanent(f"{self._setting}_OPTIONS has an option that this kind of store does not know") from None
        except (exceptions.BaseError, OSError) as error:
            # Listing has no specific exception for this.
            if "NoSuchBucket" in str(error):
                raise Permanent(f"the bucket of {self._setting} does not exist") from None
            if any(status in str(error) for status in _REFUSALS):
                raise Permanent(f"the object store refuses the credentials of {self._setting}_OPTIONS") from None
            raise Transient(f"the request to the object store failed ({type(error).__name__})") from None


class ObjectStore:
    """A FileStore in a bucket; `place` as in MYI_ARTIFACTS, `options` named as in obstore. Secret."""

    def __init__(self, place: str, options: Mapping[str, str]) -> None:
        """Raises Permanent without obstore, and for options that it does not know."""
        self.place = place
        bucket = Bucket(place, options, setting="MYI_ARTIFACTS")
        self._bucket, self._explained = bucket, bucket.explained
        self._obstore, self._store = bucket.obstore, bucket.store

    @contextmanager
    def writing(self, user_id: int, name: str, media_type: str) -> Iterator[BinaryIO]:
        key = f"{user_id}/{check_name(name)}"
        with tempfile.SpooledTemporaryFile(_SPOOLED_BYTES) as spooled:
            yield cast(BinaryIO, spooled)
            spooled.seek(0)
            attributes = {"Content-Type": media_type, "Content-Disposition": f'attachment; filename="{name}"'}
            with self._explained():
                self._obstore.put(
                    self._store,
                    key,
                    spooled,
                    attributes=attributes,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )

    def files(self, user_id: int) -> tuple[StoredFile, ...]:
        found = list(self._listed(f"{user_id}/"))
        return tuple(sorted(found, key=lambda file: (file.stored_at, file.name), reverse=True))

    def all_files(self) -> Iterator[StoredFile]:
        return self._listed(None)

    def delete(self, file: StoredFile) -> None:
        self._bucket.delete([f"{file.user_id}/{file.name}"])

    def delete_all(self, user_id: int) -> None:
        self._bucket.delete([f"{user_id}/{file.name}" for file in self._listed(f"{user_id}/")])

    def link(self, user_id: int, name: str, *, expires_in_s: int) -> str:
        with self._explained():
            return str(
                self._obstore.sign(self._store, "GET", f"{user_id}/{check_name(name)}", timedelta(seconds=expires_in_s))
            )

    def check(self) -> None:
        """Raises Permanent and Transient unless an object can be stored and deleted again."""
        self._bucket.check()

    def _listed(self, prefix: str | None) -> Iterator[StoredFile]:
        """Objects that are not files of users are ignored."""
        for found in self._bucket.listed(prefix):
            user, _, name = found.key.rpartition("/")
            if user.isascii() and user.isdigit() and is_name(name):
                yield StoredFile(user_id=int(user), name=name, size_bytes=found.size, stored_at=found.stored_at)
