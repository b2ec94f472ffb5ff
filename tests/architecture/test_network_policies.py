"""The network policies of deploy/kubernetes as a table: who may connect to whom, by which port."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

from tests.architecture.test_containers import applied

POSTGRES, POOLER, HTTPS, MAIL_TLS, MAIL_STARTTLS = 5432, 6432, 443, 465, 587
# Whatever is outside of the cluster.
WORLDS = {"world": "0.0.0.0/0", "world by IPv6": "::/0"}


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    matches = selector.get("matchLabels", {}).items() <= labels.items()
    return matches and all(
        each["operator"] == "In" and labels.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions", [])
    )


def _names(peer: Mapping[str, Any], *, namespace: str, labels: Mapping[str, str]) -> bool:
    if "ipBlock" in peer:
        return namespace in WORLDS and peer["ipBlock"]["cidr"] == WORLDS[namespace]
    if "namespaceSelector" in peer:
        inside = _selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
    else:
        inside = namespace == "myi"
    return inside and _selects(peer.get("podSelector", {}), labels)


@cache
def policies() -> list[dict[str, Any]]:
    return [each["spec"] for each in applied() if each["kind"] == "NetworkPolicy"]


def allows(direction: str, part: str, port: int, *, namespace: str = "myi", other: str = "") -> bool:
    """Whether the policies let a part connect to another (Egress) or be connected to by it (Ingress)."""
    mine, theirs = {"app.kubernetes.io/component": part}, {"app.kubernetes.io/component": other}
    if other == "dns":
        theirs = {"k8s-app": "kube-dns"}
    rules, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    chosen = [each for each in policies() if _selects(each["podSelector"], mine) and direction in each["policyTypes"]]
    assert chosen, "without any policy everything is allowed"
    return any(
        port in [each["port"] for each in rule["ports"]]
        and any(_names(peer, namespace=namespace, labels=theirs) for peer in rule[peers])
        for policy in chosen
        for rule in policy.get(rules, [])
    )


def test_network_policies_allow_what_is_needed_and_nothing_else() -> None:
    parts = ["migrate", "api", "code", "daemon", "webserver", "run_worker"]
    everybody = [*parts, "somebody else's"]
    for part in everybody:
        assert allows("Egress", part, 53, namespace="kube-system", other="dns"), part
        for world in WORLDS:
            for port in (POSTGRES, POOLER, HTTPS):
                assert allows("Egress", part, port, namespace=world) is (part in parts), (part, port, world)
            # Notices by mail: no other part sends any.
            for port in (MAIL_TLS, MAIL_STARTTLS):
                assert allows("Egress", part, port, namespace=world) is (part == "daemon"), (part, port, world)
            for port in (25, 80):
                assert not allows("Egress", part, port, namespace=world), (part, port, world)
        for other in everybody:
            is_needed = other == "code" and part in ("daemon", "webserver")
            assert allows("Egress", part, 4266, other=other) is is_needed, (part, other)
            assert allows("Ingress", other, 4266, other=part) is is_needed, (part, other)
            assert not allows("Ingress", other, 3000, other=part)
            assert not allows("Ingress", other, 8898, other=part)
    assert allows("Ingress", "api", 8898, namespace="ingress-nginx", other="x")
    assert not allows("Ingress", "api", 9108, namespace="ingress-nginx", other="x")
    assert allows("Ingress", "api", 9108, namespace="monitoring", other="x")
    assert not allows("Ingress", "webserver", 3000, namespace="ingress-nginx", other="x")


def test_nobody_reaches_what_clouds_tell_a_machine_about_itself() -> None:
    """Of AWS, Google and Azure; the address of a link, and one by IPv6."""
    blocks = [
        peer["ipBlock"]
        for policy in policies()
        for rule in policy.get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert len(blocks) == 2 * len(WORLDS)
    for address in map(ip_address, ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe")):
        for block in blocks:
            if address.version == ip_network(block["cidr"]).version:
                assert any(address in ip_network(each) for each in block["except"]), (address, block)
