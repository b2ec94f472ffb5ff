"""The Containerfile, the compose file and the manifests for Kubernetes: as their own schemas and linters want them,
with settings and commands that exist, and with no more rights than they need. Nothing is run and nothing is fetched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from dagster._config import validate_config
from dagster_k8s import K8sRunLauncher

from myi_pipeline.cli.app import app
from myi_pipeline.defs.daemon import SIGN_OF_LIFE
from myi_pipeline.settings import load_settings, unknown_variables
from tests.architecture.repository import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
# Kubernetes supports its last three or four minor versions; managed clusters some more.
VERSIONS = ("1.29", kubernetes_validate.latest_version())
# Who asks Kubernetes for something.
LAUNCHERS = {"daemon", "code", "webserver"}
SECRETS = {
    "MYI_DATABASE_URL": "postgresql://myi_owner:x@db/myi",
    **{f"MYI_DATABASE_URL_{role}": f"postgresql://myi_{role.lower()}:x@db/myi" for role in ("INGEST", "DBT", "API")},
    "MYI_DAGSTER_DATABASE_URL": "postgresql://myi_dagster:x@db/myi_dagster",
}


@cache
def _parsed(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def read(path: Path) -> list[dict[str, Any]]:
    """The documents of a file, the caller's to change."""
    return deepcopy(_parsed(path))


def applied() -> list[dict[str, Any]]:
    """What `kubectl apply -k` makes, but for the ConfigMap that it makes of dagster.yaml."""
    (kustomization,) = read(KUBERNETES / "kustomization.yaml")
    return [each for name in kustomization["resources"] for each in read(KUBERNETES / name)]


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pod templates by their part."""
    for each in documents:
        if each["kind"] in ("Deployment", "Job"):
            template = each["spec"]["template"]
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def complaints_of_restricted_profile(pod: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
    """What https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted asks for, and is not there;
    and a file system that nobody writes to, which it does not ask for."""
    of_pod, of_container = pod.get("securityContext", {}), container.get("securityContext", {})
    asked = {
        "runs as somebody": of_pod.get("runAsNonRoot") is True and of_pod.get("runAsUser", 0) > 0,
        "has a seccomp profile": of_pod.get("seccompProfile") == {"type": "RuntimeDefault"},
        "gets no more rights": of_container.get("allowPrivilegeEscalation") is False,
        "has no capability": of_container.get("capabilities") == {"drop": ["ALL"]},
        "writes to its volumes alone": of_container.get("readOnlyRootFilesystem") is True,
        "is not privileged": not of_container.get("privileged"),
        "is not of the host": not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
        "has volumes of its own": all(
            set(volume) - {"name"} <= {"emptyDir", "configMap"} for volume in pod.get("volumes", [])
        ),
    }
    return [what for what, is_so in asked.items() if not is_so]


def commands() -> set[str]:
    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    """What a container of ours finds: settings.yaml, the Secret, its own variables."""
    (settings,) = read(KUBERNETES / "settings.yaml")
    return {**settings["data"], **SECRETS, **{each["name"]: each["value"] for each in container.get("env", [])}}


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("hadolint")
    return subprocess.run([program, str(file)], capture_output=True, text=True, timeout=60, check=False)


def test_the_containerfile_is_clean_to_its_linter() -> None:
    assert hadolint(ROOT / "Containerfile").stdout == ""


def test_the_linter_complains_of_a_careless_containerfile(tmp_path: Path) -> None:
    careless = tmp_path / "Containerfile"
    careless.write_text("FROM debian\nRUN apt-get install gcc\nUSER root\n", encoding="utf-8")
    assert {"DL3002", "DL3006", "DL3008"} <= set(re.findall("DL[0-9]{4}", hadolint(careless).stdout))


def test_the_image_takes_what_it_needs_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    final = text[text.rindex("\nFROM ") :]
    assert "USER 10001:10001" in final
    assert re.findall(r"(?m)^COPY .*", final) == ["COPY --from=build /opt/myi /opt/myi"]
    # Nothing of a registry stays: what pip is told comes by secrets.
    assert not re.search(r"(?i)index-url|trusted-host|https?://(?!127[.]0[.]0[.]1:)", text)
    context = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {name for line in re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", text) for name in line.split()}
    assert "*" in context
    assert {line[1:] for line in context if line.startswith("!")} == copied


def test_pip_is_taken_out_of_the_base_wherever_it_is(tmp_path: Path) -> None:
    """Of python:slim, which has it in /usr/local, and of Debian's python3-venv, which has a wheel of it."""
    gone = (
        "usr/local/bin/pip3.13", "usr/local/bin/pip", "usr/local/lib/python3.13/site-packages/pip/__init__.py",
        "usr/local/lib/python3.13/site-packages/pip-25.3.dist-info/METADATA", "usr/share/python-wheels/pip-25.1.whl",
        "usr/local/lib/python3.13/ensurepip/_bundled/pip-25.3-py3-none-any.whl",
        "usr/lib/python3.13/ensurepip/__init__.py",
    )  # fmt: skip
    stays = ("usr/bin/pipe", "usr/lib/python3.13/pipes.py", "usr/local/bin/python3.13")
    for name in (*gone, *stays):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"find / (-xdev -depth .* -exec rm -rf \{\} \+)", text)
    subprocess.run(["sh", "-c", f"find . {command}"], cwd=tmp_path, check=True, timeout=60)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(stays)


def test_extras_that_are_asked_for_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    asked = [*re.findall(r"(?m)^ARG EXTRAS=(.*)$", text), compose["x-myi"]["build"]["args"]["EXTRAS"]]
    assert {extra for each in asked for extra in each.split(",")} <= set(extras)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    (found,) = read(DEPLOY / "compose.yaml")
    return found


def compose_complaints(document: Mapping[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
    return [error.message for error in validator.iter_errors(document)]


def test_the_compose_file_is_one_by_its_specification(compose: dict[str, Any]) -> None:
    assert compose_complaints(compose) == []
    assert compose_complaints({**compose, "services": {"api": {"imagge": "x"}}}) != []


CARELESS = """
version: "3"
services:
  web:
    image: nginx
    container_name: careless
    ports: ["80:80"]
  database:
    image: postgres:latest
    build: .
    container_name: careless
    ports: ["80:5432"]
"""


@pytest.fixture(scope="module")
def dclint() -> Callable[[Path], set[str]]:
    """Asks the linter, in the version of .ci/run, for the rules that a compose file breaks. It fetches nothing."""
    (version,) = re.findall(r" dclint@([0-9.]+) ", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    place = str(ROOT / "build" / "dclint" / "node_modules" / ".bin")
    program = shutil.which("dclint", path=os.pathsep.join([place, os.environ["PATH"]]))

    def run(*arguments: str) -> str:
        assert program is not None
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
        ).stdout

    if program is None or (found := run("--version").strip()) != version:
        pytest.skip(
            f"needs dclint {version} (found: {'none' if program is None else found}); .ci/run installs it with npm"
        )

    def broken_rules(file: Path) -> set[str]:
        told = run("--config", str(DEPLOY / ".dclintrc.yaml"), "--formatter", "json", str(file))
        return {message["rule"] for each in json.loads(told) for message in each["messages"]}

    return broken_rules


def test_the_compose_file_is_clean_to_its_linter(dclint: Callable[[Path], set[str]]) -> None:
    assert dclint(DEPLOY / "compose.yaml") == set()


def test_the_linter_complains_of_a_careless_compose_file(dclint: Callable[[Path], set[str]], tmp_path: Path) -> None:
    careless = tmp_path / "compose.yaml"
    careless.write_text(CARELESS, encoding="utf-8")
    assert dclint(careless) >= {
        "no-build-and-image", "no-duplicate-container-names", "no-duplicate-exported-ports",
        "no-unbound-port-interfaces", "no-version-field", "service-image-require-explicit-tag",
    }  # fmt: skip


def test_each_container_of_the_compose_file_has_no_more_rights_than_it_needs(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service), name
        assert {"cpus", "memory", "pids"} == set(service["deploy"]["resources"]["limits"]), name
        assert service["networks"], name
    published = {port for service in compose["services"].values() for port in service.get("ports", [])}
    assert published == {"127.0.0.1:8898:8898", "127.0.0.1:3000:3000"}
    assert compose["networks"]["inside"]["internal"] is True
    for name in ("postgres", "broker", "code"):
        assert compose["services"][name]["networks"] == ["inside"], name


def test_secrets_of_the_compose_file_are_files(compose: dict[str, Any]) -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?i)password: [^{\s]|://[^\s/@]+:[^\s/@]+@", text)
    used = {secret for service in compose["services"].values() for secret in service.get("secrets", [])}
    assert used == set(compose["secrets"])
    for service in compose["services"].values():
        for value in service.get("environment", {}).values():
            if value.startswith("/run/secrets/"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_what_the_compose_file_sets_and_starts_exists(compose: dict[str, Any], tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "make-secrets", tmp_path)
    subprocess.run([tmp_path / "make-secrets"], check=True, capture_output=True, timeout=60)
    ours = {name: each for name, each in compose["services"].items() if name not in ("postgres", "broker")}
    assert set(ours) == {"migrate", "code", "daemon", "webserver", "api", "worker"}
    for name, service in ours.items():
        assert service["command"][0] == "myi"
        assert service["command"][1] in commands(), name
        values = {variable: given(value) for variable, value in service["environment"].items()}
        values = {variable: value.replace("/run/secrets", f"{tmp_path}/secrets") for variable, value in values.items()}
        assert unknown_variables(values) == [], name
        # Where a file does not hold what its variable wants, or two settings do not go together, this says so.
        settings = load_settings(values)
        assert settings.database_url is not None
        assert "@postgres:5432/myi" in settings.database_url.get_secret_value()


def given(value: str) -> str:
    """A value of a compose file where nobody sets the variables that it takes from outside."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def test_secrets_are_made_once_and_nobody_else_can_read_them(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    shutil.copy(DEPLOY / "make-secrets", made)

    def run() -> dict[str, str]:
        subprocess.run([made / "make-secrets"], check=True, capture_output=True, timeout=60, cwd=tmp_path)
        return {path.name: path.read_text(encoding="utf-8") for path in (made / "secrets").iterdir()}

    first = run()
    assert run() == first
    assert os.stat(made / "secrets").st_mode & 0o077 == 0
    assert len(first["postgres_password"]) == 64
    assert first["postgres_password"] in first["database_url"]
    (password,) = re.findall(r"(?m)^requirepass (\w{64})$", first["redis.conf"])
    assert f":{password}@broker:6379/" in first["broker_url"]
    shutil.rmtree(made / "secrets")
    assert run()["postgres_password"] != first["postgres_password"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_one_by_the_schemas_of_kubernetes(version: str) -> None:
    documents = [*applied(), *read(KUBERNETES / "ingress.yaml")]
    assert {each["kind"] for each in documents} >= {
        "Namespace", "ConfigMap", "ServiceAccount", "Role", "RoleBinding", "Job", "Deployment", "Service",
        "PodDisruptionBudget", "NetworkPolicy", "Ingress",
    }  # fmt: skip
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_manifest_with_a_word_that_kubernetes_does_not_know_is_refused() -> None:
    (deployment,) = (each for each in applied() if each["kind"] == "Deployment" and "api" in each["metadata"]["name"])
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


def test_every_file_of_the_folder_is_applied_or_is_an_example() -> None:
    (kustomization,) = read(KUBERNETES / "kustomization.yaml")
    made = {file for each in kustomization["configMapGenerator"] for file in each["files"]}
    others = {"kustomization.yaml", "ingress.yaml", "dagster-values.yaml"}
    assert {path.name for path in KUBERNETES.glob("*.yaml")} == {*kustomization["resources"], *made, *others}


def test_pods_are_restricted_and_only_those_who_ask_kubernetes_have_a_token_for_it() -> None:
    found = dict(pods(applied()))
    assert set(found) == {"migrate", "api", "code", "daemon", "webserver"}
    for part, template in found.items():
        pod = template["spec"]
        (container,) = pod["containers"]
        assert complaints_of_restricted_profile(pod, container) == [], part
        assert pod["automountServiceAccountToken"] is (part in LAUNCHERS), part
        assert pod["serviceAccountName"] == ("myi-launcher" if part in LAUNCHERS else "myi"), part
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, part
        assert "memory" in container["resources"]["limits"], part
        assert {"/var/lib/myi", "/tmp"} <= {each["mountPath"] for each in container["volumeMounts"]}, part
    (namespace,) = (each for each in applied() if each["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("pod", {"runAsNonRoot": False}),
        ("container", {"allowPrivilegeEscalation": True}),
        ("container", {"capabilities": {}}),
        ("container", {"readOnlyRootFilesystem": False}),
    ],
)
def test_a_pod_with_more_rights_is_noticed(where: str, value: dict[str, Any]) -> None:
    pod = dict(pods(applied()))["api"]["spec"]
    (container,) = pod["containers"]
    (pod if where == "pod" else container)["securityContext"].update(value)
    assert len(complaints_of_restricted_profile(pod, container)) == 1


def test_only_jobs_and_their_pods_can_be_touched_with_that_token() -> None:
    (role,) = (each for each in applied() if each["kind"] == "Role")
    rights = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert {resource for resource, verb in rights if verb not in ("get", "list")} == {"jobs", "pods"}
    assert ("jobs", "create") in rights
    assert not any(verb in ("*", "update", "patch", "create") for resource, verb in rights if resource != "jobs")


def test_what_the_manifests_set_and_start_exists() -> None:
    for part, template in pods(applied()):
        (container,) = template["spec"]["containers"]
        assert container["command"] == ["myi", part]
        assert part in commands()
        values = environment_of(container)
        assert unknown_variables(values) == [], part
        assert {each["configMapRef"]["name"] for each in container["envFrom"] if "configMapRef" in each} == {
            "myi-settings"
        }
        load_settings(values)


def test_kubernetes_puts_no_variable_of_its_own_among_our_settings() -> None:
    """For a service `myi-api` it would set MYI_API_PORT=tcp://10.0.0.1:80."""
    names = {each["metadata"]["name"] for each in applied() if each["kind"] == "Service"}
    assert names == {"site", "code", "dagster-pages"}
    assert all(template["spec"]["enableServiceLinks"] is False for _, template in pods(applied()))
    launcher = yaml.safe_load((KUBERNETES / "dagster.yaml").read_text(encoding="utf-8"))["run_launcher"]["config"]
    assert launcher["run_k8s_config"]["pod_spec_config"]["enable_service_links"] is False


def test_a_database_that_is_away_takes_the_site_from_its_service_and_starts_nothing_again() -> None:
    (container,) = dict(pods(applied()))["api"]["spec"]["containers"]
    # web/api/routes/health.py: the first asks nobody, the second the database.
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert environment_of(container)["MYI_METRICS_PORT"] == "9108"
    (budget,) = (each for each in applied() if each["kind"] == "PodDisruptionBudget")
    (deployment,) = (each for each in applied() if each["kind"] == "Deployment" and "api" in each["metadata"]["name"])
    assert deployment["spec"]["replicas"] > budget["spec"]["minAvailable"] == 1
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


def test_a_daemon_whose_loop_has_not_turned_for_half_an_hour_is_started_again(tmp_path: Path) -> None:
    """It had no probe: one that hung was told by an alert alone."""
    (container,) = dict(pods(applied()))["daemon"]["spec"]["containers"]
    for name in ("startupProbe", "livenessProbe"):
        program, option, script = container[name]["exec"]["command"]
        assert (program, option) == ("sh", "-c")
        # MYI_HOME of the image.
        assert f" /var/lib/myi/dagster/{SIGN_OF_LIFE} " in script
        script = script.replace("/var/lib/myi/dagster", str(tmp_path))

        def is_well(script: str = script) -> bool:
            return subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=False).returncode == 0

        file = tmp_path / SIGN_OF_LIFE
        assert not is_well()
        for minutes, wanted in ((0, True), (28, True), (32, False)):
            then = time.time() - minutes * 60
            file.touch()
            os.utime(file, (then, then))
            assert is_well() is wanted, minutes
        file.unlink()


def test_services_and_the_ingress_lead_to_ports_that_containers_have() -> None:
    templates = [template for _, template in pods(applied())]
    services = {each["metadata"]["name"]: each for each in applied() if each["kind"] == "Service"}
    for name, service in services.items():
        wanted = service["spec"]["selector"].items()
        (meant,) = (each for each in templates if wanted <= each["metadata"]["labels"].items())
        (container,) = meant["spec"]["containers"]
        ports = {each["name"] for each in container["ports"]}
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports, name
    (ingress,) = read(KUBERNETES / "ingress.yaml")
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == "site"
    assert backend["port"]["name"] in {each["name"] for each in services["site"]["spec"]["ports"]}


def instance(name: str) -> dict[str, Any]:
    (found,) = read(KUBERNETES / name)
    return found


def test_dagsters_instance_is_mys_own_but_for_where_runs_and_their_logs_are() -> None:
    (shipped,) = read(ROOT / "myi_pipeline" / "dagster.yaml")
    differs = {"run_launcher", "compute_logs"}
    there = instance("dagster.yaml")
    assert there["concurrency"]["runs"].pop("max_concurrent_runs") > shipped["concurrency"]["runs"].pop(
        "max_concurrent_runs"
    )
    # It cannot be written where Dagster's home of a run's pod is.
    assert there["compute_logs"] == shipped["compute_logs"] | {"config": {"home": {"env": "MYI_HOME"}}}
    left = {name: value for name, value in there.items() if name not in differs}
    assert left == {name: value for name, value in shipped.items() if name not in differs}
    assert validate_config(K8sRunLauncher.config_type(), there["run_launcher"]["config"]).success


def test_values_for_dagsters_chart_say_the_same_as_the_manifests() -> None:
    values, whole = instance("dagster-values.yaml"), instance("dagster.yaml")
    # The chart itself writes these.
    written = {"storage", "run_launcher", "compute_logs", "telemetry"}
    assert values["additionalInstanceConfig"] == {name: value for name, value in whole.items() if name not in written}
    custom = values["runLauncher"]["config"]["customRunLauncher"]
    assert values["runLauncher"]["type"] == "CustomRunLauncher"
    assert {name: custom[name] for name in ("module", "class")} == {
        name: whole["run_launcher"][name] for name in ("module", "class")
    }
    logs = values["computeLogManager"]
    assert logs["type"] == "CustomComputeLogManager"
    assert logs["config"]["customComputeLogManager"] == whole["compute_logs"]
    # Where the chart's own objects and its password are.
    own = {
        "instance_config_map": "dagster-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "dagster_home": values["global"]["dagsterHome"],
    }
    assert custom["config"] == whole["run_launcher"]["config"] | own
    assert validate_config(K8sRunLauncher.config_type(), custom["config"]).success


def test_the_chart_starts_no_unguarded_pages_and_no_server_of_its_own() -> None:
    values = instance("dagster-values.yaml")
    assert values["dagsterWebserver"]["replicaCount"] == 0
    # Its daemon takes no command, and looks for lost runs every five minutes alone.
    assert values["dagsterDaemon"] == {"enabled": False}
    assert not any(values[name]["enabled"] for name in ("postgresql", "rabbitmq", "redis", "flower", "ingress"))
    # SQLAlchemy 2.1 reads postgresql:// as psycopg 3, by which Dagster's storage cannot notify.
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_the_pod_of_the_chart_is_as_restricted_as_ours_and_settings_exist() -> None:
    values = instance("dagster-values.yaml")
    (code,) = values["dagster-user-deployments"]["deployments"]
    services = {each["metadata"]["name"]: each for each in applied() if each["kind"] == "Service"}
    assert code["name"] in services
    assert code["port"] == services[code["name"]]["spec"]["ports"][0]["port"]
    container = {
        "name": "code",
        "image": "{repository}:{tag}".format(**code["image"]),
        "securityContext": code["securityContext"],
        "resources": code["resources"],
        "volumeMounts": code["volumeMounts"],
    }
    pod = {"securityContext": code["podSecurityContext"], "volumes": code["volumes"], "containers": [container]}
    assert complaints_of_restricted_profile(pod, container) == []
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "code"}, "spec": pod}
    kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
    assert unknown_variables(code["env"]) == []
    assert code["labels"] == {"app.kubernetes.io/component": "code"}
    assert [each["name"] for each in code["envSecrets"]] == ["myi"]
