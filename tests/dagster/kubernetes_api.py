"""The part of Kubernetes' API that launching runs needs, over HTTP: it keeps jobs, starts nothing, and allows what the
Role of deploy/kubernetes/accounts.yaml allows. No cluster runs here; what it is sent is what one would be sent."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[a-z.]+))/v1/namespaces/(?P<namespace>[a-z-]+)/(?P<kind>[a-z]+)"
    r"(?:/(?P<name>[a-z0-9-]+))?(?:/(?P<below>[a-z]+))?(?:\?.*)?\Z"
)
_VERBS = {"POST": "create", "DELETE": "delete"}


class Cluster:
    """One namespace's jobs, by name, and whatever was refused."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self.rules = rules
        self.url = ""
        self.jobs: dict[str, dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self.refused: list[tuple[str, str]] = []
        # Jobs that an admission controller would not have.
        self.unwanted: set[str] = set()

    def set_status(self, **status: int) -> None:
        """Of the only job."""
        (job,) = self.jobs.values()
        job["status"] = status

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        found = _PATH.match(path)
        if found is None or found["namespace"] != "myi":
            return 404, {"kind": "Status", "code": 404}
        kind, name = found["kind"], found["name"]
        verb = _VERBS.get(method, "get" if name else "list")
        resource = f"{kind}/{found['below']}" if found["below"] else kind
        if not any(
            (found["group"] or "") in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
            for rule in self.rules
        ):
            self.refused.append((verb, resource))
            return 403, {"kind": "Status", "code": 403, "reason": "Forbidden"}
        if kind != "jobs":
            return 200, {"kind": "List", "items": []}
        if verb == "create":
            if body["metadata"]["name"] in self.jobs:
                return 409, {"kind": "Status", "code": 409, "reason": "AlreadyExists"}
            if body["metadata"]["name"] in self.unwanted:
                return 422, {"kind": "Status", "code": 422, "reason": "Invalid"}
            self.created.append(body)
            self.jobs[body["metadata"]["name"]] = {**body, "status": {}}
            return 201, body
        if verb == "list":
            return 200, {"kind": "JobList", "items": list(self.jobs.values())}
        if name not in self.jobs:
            return 404, {"kind": "Status", "code": 404}
        return 200, self.jobs.pop(name) if verb == "delete" else self.jobs[name]


@contextmanager
def running_cluster(manifests: Path, kubeconfig: Path) -> Iterator[Cluster]:
    """With a kubeconfig that leads to it."""
    documents = yaml.safe_load_all((manifests / "accounts.yaml").read_text(encoding="utf-8"))
    cluster = Cluster(next(each["rules"] for each in documents if each["kind"] == "Role"))

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            status, answer = cluster.answer(self.command, self.path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = respond  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        cluster.url = f"http://127.0.0.1:{server.server_port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": cluster.url}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "myi"}}],
            "current-context": "here",
        }
        kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
