"""From what the settings say to the store of Google or Azure: bucket, folder, credentials and links, as far as it goes
without either. Of S3 a whole server is asked (integration/storage).
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from myi_pipeline.errors import Permanent
from myi_pipeline.settings import Settings
from myi_pipeline.storage.object_store import ObjectStore
from myi_pipeline.storage.open_store import open_store

pytest.importorskip("obstore")

NAME = "playlists-xspf-20240309-5f0c1e2d3a4b.zip"
ACCOUNT_KEY = base64.b64encode(b"k" * 32).decode()


def store_of(home: Path, place: str, **options: str) -> ObjectStore:
    told = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    settings = Settings.model_validate({"home": home, "artifacts": place, "artifacts_options": told})
    assert settings.artifacts_folder is None
    found = open_store(settings)
    assert isinstance(found, ObjectStore)
    return found


@pytest.fixture(scope="module")
def service_account() -> str:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    document = {
        "type": "service_account", "client_email": "myi@example.iam.gserviceaccount.com", "private_key_id": "1",
        "private_key": key.decode(),
    }  # fmt: skip
    return json.dumps(document)


@pytest.mark.parametrize("place", ["gs://exports/of/myi", "gs://exports/of/myi/"])
def test_a_bucket_of_google_is_opened_with_its_folder_and_gives_links_that_expire(
    tmp_path: Path, service_account: str, place: str
) -> None:
    store = store_of(tmp_path, place, service_account_key=service_account)
    assert (type(store._store).__name__, store._store.prefix) == ("GCSStore", "of/myi")
    link = urlsplit(store.link(7, NAME, expires_in_s=120))
    assert (link.scheme, link.netloc, link.path) == ("https", "storage.googleapis.com", f"/exports/of/myi/7/{NAME}")
    asked = parse_qs(link.query)
    assert asked["X-Goog-Expires"] == ["120"]
    assert asked["X-Goog-Credential"][0].startswith("myi@example.iam.gserviceaccount.com/")
    assert len(asked["X-Goog-Signature"][0]) == 512


def test_a_container_of_azure_is_opened_with_its_folder_and_gives_links_that_expire(tmp_path: Path) -> None:
    store = store_of(tmp_path, "az://exports/of/myi", account_name="myi", account_key=ACCOUNT_KEY)
    assert (type(store._store).__name__, store._store.prefix) == ("AzureStore", "of/myi")
    link = urlsplit(store.link(7, NAME, expires_in_s=120))
    assert (link.scheme, link.netloc, link.path) == ("https", "myi.blob.core.windows.net", f"/exports/of/myi/7/{NAME}")
    assert {"se", "sig", "sp"} <= parse_qs(link.query).keys()


@pytest.mark.parametrize(
    ("place", "options"),
    [
        ("gs://exports", {"account_key": ACCOUNT_KEY}),
        ("az://exports", {"account_name": "myi", "service_account_key": "{}"}),
        ("s3://exports", {"colour": "blue"}),
    ],
)
def test_an_option_of_another_kind_of_store_is_named_as_such(
    tmp_path: Path, place: str, options: dict[str, str]
) -> None:
    with pytest.raises(Permanent, match="an option that this kind of store does not know") as refused:
        store_of(tmp_path, place, **options)
    assert not any(value in str(refused.value) for value in options.values())


@pytest.mark.parametrize(
    "place", ["gs://", "gs:///myi", "az://exports/../other", "az://exports?sig=1", "abs://exports"]
)
def test_what_is_no_bucket_is_refused_by_the_settings(tmp_path: Path, place: str) -> None:
    with pytest.raises(ValueError, match="artifacts"):
        Settings.model_validate({"home": tmp_path, "artifacts": place})


Seen = list[tuple[str, str, str, bytes]]


@pytest.fixture
def azure() -> Iterator[tuple[str, Seen]]:
    """A door that takes what comes, as Azure answers a blob that is put: its address, and what came."""
    seen: Seen = []

    class Door(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            told = self.headers
            seen.append((urlsplit(self.path).path, told["authorization"], told["x-ms-blob-content-type"], body))
            self.send_response(201)
            self.send_header("etag", '"1"')
            self.send_header("last-modified", "Sat, 09 Mar 2024 21:14:07 GMT")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/myi", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_is_put_into_azure_comes_signed_to_the_place_that_was_named(
    tmp_path: Path, azure: tuple[str, Seen]
) -> None:
    address, seen = azure
    store = store_of(
        tmp_path, "az://exports/of/myi", account_name="myi", account_key=ACCOUNT_KEY, endpoint=address
    )  # fmt: skip
    with store.writing(7, NAME, "application/zip") as out:
        out.write(b"content")
    ((path, authorization, media_type, body),) = seen
    assert path == f"/myi/exports/of/myi/7/{NAME}"
    assert authorization.startswith("SharedKey myi:")
    assert (media_type, body) == ("application/zip", b"content")
