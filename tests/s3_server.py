"""An S3 server on loopback that believes nobody: moto's, behind a check of every signature.

moto takes requests whose signature is wrong or expired, or that have none. The check follows "Authenticating requests
(AWS Signature Version 4)" and "Authenticating requests: using query parameters" of the S3 API reference, and shares no
code with the libraries that sign.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

KEY, SECRET, REGION = "key", "a+secret/of=ours", "eu-central-1"
_ALGORITHM = "AWS4-HMAC-SHA256"
_HEADER = re.compile(rf"{_ALGORITHM} Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{{64}})\Z")
_CLOCKS_APART = timedelta(minutes=15)
# A week: no link is good for longer.
_LONGEST_S = 604_800
_STATUS = {
    "InternalError": "500 Internal Server Error",
    "AuthorizationQueryParametersError": "400 Bad Request",
    "AuthorizationHeaderMalformed": "400 Bad Request",
}

Environ = dict[str, Any]


class Refused(Exception):
    """An S3 error by its code."""


@dataclass
class SignatureCheck:
    """WSGI in front of moto. `now` may be moved; `fails` may refuse what it likes, as a store that is away or full
    would; `asked` are the requests that passed."""

    app: Callable[..., Iterable[bytes]]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    fails: Callable[[Environ], bool] = lambda _: False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            if self.fails(environ):
                raise Refused("InternalError")
            self._check(environ)
        except Refused as error:
            # Unread, the rest of the body would be taken for the next request.
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(_STATUS.get(str(error), "403 Forbidden"), [("Content-Type", "application/xml")])
            return [f"<Error><Code>{error}</Code></Error>".encode()]
        self.asked.append((environ["REQUEST_METHOD"], environ["RAW_URI"]))
        return self.app(environ, start_response)

    def _check(self, environ: Environ) -> None:
        query = parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
        told = dict(query)
        malformed = "AuthorizationQueryParametersError" if "X-Amz-Signature" in told else "AuthorizationHeaderMalformed"
        if "X-Amz-Signature" in told:
            at = _moment(told.get("X-Amz-Date", ""))
            if told.get("X-Amz-Algorithm") != _ALGORITHM:
                raise Refused("AuthorizationQueryParametersError")
            expires = told.get("X-Amz-Expires", "")
            if not re.fullmatch(r"[0-9]{1,18}", expires) or not 1 <= int(expires) <= _LONGEST_S:
                raise Refused("AuthorizationQueryParametersError")
            if not at <= self.now() + _CLOCKS_APART or self.now() >= at + timedelta(seconds=int(expires)):
                raise Refused("AccessDenied")
            credential, headers, signature = (
                told["X-Amz-Credential"], told["X-Amz-SignedHeaders"], told["X-Amz-Signature"]
            )  # fmt: skip
            query = [(name, value) for name, value in query if name != "X-Amz-Signature"]
            payload = "UNSIGNED-PAYLOAD"
        else:
            found = _HEADER.match(environ.get("HTTP_AUTHORIZATION", ""))
            if found is None:
                raise Refused("AccessDenied")
            credential, headers, signature = found.groups()
            at = _moment(environ.get("HTTP_X_AMZ_DATE", ""))
            if abs(self.now() - at) > _CLOCKS_APART:
                raise Refused("RequestTimeTooSkewed")
            payload = _payload(environ)
        key, day, region, service, end = (credential.split("/") + [""] * 5)[:5]
        # A signature is good in the region alone for which it was made.
        if region != REGION:
            raise Refused(malformed)
        if key != KEY or (day, service, end) != (f"{at:%Y%m%d}", "s3", "aws4_request"):
            raise Refused("InvalidAccessKeyId")
        if "host" not in headers.split(";"):
            raise Refused("SignatureDoesNotMatch")
        request = "\n".join(
            [
                environ["REQUEST_METHOD"],
                environ["RAW_URI"].partition("?")[0],
                "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query)),
                *(f"{name}:{_header(environ, name)}" for name in headers.split(";")),
                "",
                headers,
                payload,
            ]
        )
        scope = f"{day}/{region}/{service}/{end}"
        to_sign = f"{_ALGORITHM}\n{at:%Y%m%dT%H%M%SZ}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        sealed = f"AWS4{SECRET}".encode()
        for part in (day, region, service, end, to_sign):
            sealed = hmac.digest(sealed, part.encode(), "sha256")
        if not hmac.compare_digest(sealed.hex(), signature):
            raise Refused("SignatureDoesNotMatch")


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("AccessDenied") from None


def _header(environ: Environ, name: str) -> str:
    plain = name.upper().replace("-", "_")
    value = environ.get(plain if plain in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{plain}", "")
    return " ".join(value.split())


def _payload(environ: Environ) -> str:
    """What was signed of the body, after a look whether it is that of the body that came."""
    told = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    if told == "UNSIGNED-PAYLOAD":
        return told
    if not re.fullmatch(r"[0-9a-f]{64}", told):
        raise Refused("XAmzContentSHA256Mismatch")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    if hashlib.sha256(body).hexdigest() != told:
        raise Refused("XAmzContentSHA256Mismatch")
    return told


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    check: SignatureCheck

    @property
    def options(self) -> str:
        """As MYI_..._OPTIONS have it."""
        return self.options_of(KEY, SECRET)

    def options_of(self, key: str, secret: str) -> str:
        told = {"endpoint": self.endpoint, "region": REGION, "access_key_id": key, "secret_access_key": secret}
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in told.items())

    @property
    def client(self) -> Any:
        """boto3's, to look at what is there."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )

    def make_bucket(self, name: str) -> None:
        """Empty, whatever was there."""
        from werkzeug.test import Client

        assert Client(self.check.app).post("/moto-api/reset").status_code == 200
        self.check.asked.clear()
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def keys(self, bucket: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=bucket)
        return sorted(each["Key"] for each in found.get("Contents", ()))

    def unfinished(self, bucket: str) -> list[str]:
        """Keys of uploads in parts that nobody has finished or ended."""
        return sorted(each["Key"] for each in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))


@contextmanager
def running_s3(*, address: str = "127.0.0.1", port: int = 0) -> Iterator[S3Server]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: object) -> None:
            pass

    check = SignatureCheck(DomainDispatcherApplication(create_backend_app))
    server = make_server(address, port, check, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield S3Server(f"http://{address}:{server.server_port}", check)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
