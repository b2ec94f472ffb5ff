"""Receivers on loopback: a program that takes webhooks and can fail, hang, redirect or be gone, and a mail server."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from tests.conftest import free_port


@dataclass
class Receiver:
    """`way` is what it does next: take, fail, hang, redirect, gone, busy or flood."""

    port: int
    way: str = "take"
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=secret-of-the-path"

    def verified(self, secret: str, number: int = -1) -> Any:
        """The document of a request, if its signature is good. Raises WebhookVerificationError."""
        return Webhook(secret).verify(self.bodies[number], self.headers[number])


_STATUS = {"take": 204, "fail": 500, "redirect": 307, "gone": 410, "busy": 429, "flood": 500}


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver(free_port())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            receiver.paths.append(self.path)
            receiver.bodies.append(body)
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            way = receiver.way
            if way == "hang":
                receiver.go_on.wait(30)
                return
            self.send_response(_STATUS[way])
            if way == "redirect":
                self.send_header("location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            if way == "busy":
                self.send_header("retry-after", "7200")
            self.end_headers()
            if way == "flood":
                try:
                    while not receiver.go_on.is_set():
                        self.wfile.write(b"x" * 65_536)
                except OSError:
                    pass

        def log_message(self, *_: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # Twenty messages come at once.
        request_queue_size = 64

    server = Server(("127.0.0.1", receiver.port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.go_on.set()
        server.shutdown()
        server.server_close()


@dataclass
class Mailbox:
    """What a mail server took."""

    port: int
    is_open: bool = True
    letters: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=myi@example.org&to=ana@example.org"

    @property
    def subjects(self) -> list[str]:
        return [str(each["subject"]) for each in self.letters]


@contextmanager
def taking_mail() -> Iterator[Mailbox]:
    mailbox = Mailbox(free_port())

    class Handler:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            if not mailbox.is_open:
                return "451 try again later"
            letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(letter, EmailMessage)
            mailbox.letters.append(letter)
            return "250 taken"

    controller = Controller(Handler(), hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@contextmanager
def talking_for_ever() -> Iterator[str]:
    """The address of a mail server whose greeting has no end."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk(client: socket.socket) -> None:
            with suppress(OSError), client:
                while not stop.wait(0.1):
                    client.sendall(b"220-still here\r\n")

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"mailto://127.0.0.1:{listener.getsockname()[1]}?from=myi@example.org&to=ana@example.org"
        finally:
            stop.set()


@contextmanager
def refusing_tls(folder: Path, names: list[str | None]) -> Iterator[int]:
    """A server whose certificate nobody signed; `names` is what it was asked for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.org")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.org")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    chain = folder / "chain.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.sni_callback = lambda _socket, asked, _context: names.append(asked)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with suppress(OSError), client, context.wrap_socket(client, server_side=True):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
