"""Runs as jobs of Kubernetes: what the launcher of deploy/kubernetes/dagster.yaml sends, that a pod's command does the
run with nothing but its environment, and that a pod which waits is not given up. No cluster runs here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import kubernetes_validate
import psycopg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.partitions import sync_partitions
from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.postgres.connections import Warehouse, compose_url, parse_url
from myi_pipeline.settings import Settings
from tests.architecture.test_containers import KUBERNETES, VERSIONS, complaints_of_restricted_profile
from tests.dagster.conftest import Setup
from tests.dagster.kubernetes_api import Cluster, running_cluster
from tests.s3_server import S3Server


@dataclass
class KubernetesSetup(Setup):
    cluster: Cluster

    def launch(self, job_name: str = "import_uploads", **tags: str) -> dg.DagsterRun:
        """As the daemon does, once the run's turn has come."""
        job = self.definitions.resolve_job_def(job_name)
        repository = RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=ModuleCodePointer(module="myi_pipeline.definitions", fn_name="defs"),
            container_image=None,
            entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
            container_context=None,
        )
        origin = JobPythonOrigin(job_name=job_name, repository_origin=repository)
        run = self.instance.create_run_for_job(job, tags={**job.run_tags, **tags}, job_code_origin=origin)
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        return run

    def status_of(self, run: dg.DagsterRun) -> str:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status.value

    def let_hours_pass(self) -> None:
        with psycopg.connect(compose_url(parse_url(self.warehouse.dagster_url())), autocommit=True) as connection:
            connection.execute("update event_logs set timestamp = timestamp - interval '3 hours'")
            connection.execute("update runs set update_timestamp = update_timestamp - interval '3 hours'")


@pytest.fixture
def kubernetes(
    dagster_home: Settings, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KubernetesSetup]:
    """The instance of deploy/kubernetes, but that the launcher finds its cluster by a file instead of a pod's token."""
    with running_cluster(KUBERNETES, tmp_path / "kubeconfig") as cluster:
        instance_file = tmp_path / "dagster.yaml"
        wanted = yaml.safe_load((KUBERNETES / "dagster.yaml").read_text(encoding="utf-8"))
        wanted["run_launcher"]["config"] |= {
            "load_incluster_config": False,
            "kubeconfig_file": str(tmp_path / "kubeconfig"),
        }
        instance_file.write_text(yaml.safe_dump(wanted), encoding="utf-8")
        settings = dagster_home.model_copy(update={"dagster_yaml": instance_file})
        for name, value in {**settings.environment(), **prepare_dagster(settings, warehouse)}.items():
            monkeypatch.setenv(name, value)
        with dg.DagsterInstance.get() as instance:
            yield KubernetesSetup(settings, warehouse, instance, build_definitions(settings), cluster)


@pytest.mark.slow
def test_a_run_is_a_job_whose_pod_is_restricted_and_does_it_with_nothing_but_its_environment(
    kubernetes: KubernetesSetup, tmp_path: Path, s3: S3Server
) -> None:
    s3.make_bucket("logs")
    kubernetes.add_users("ana")
    kubernetes.put("ana/one.zip", rows=20)
    sync_partitions(kubernetes.instance, kubernetes.warehouse)
    run = kubernetes.launch(**{"dagster/partition": "ana"})

    (job,) = kubernetes.cluster.created
    kubernetes_validate.validate(job, VERSIONS[-1], strict=True)
    template = job["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    assert complaints_of_restricted_profile(pod, container) == []
    assert pod["automountServiceAccountToken"] is False
    assert (pod["serviceAccountName"], pod["enableServiceLinks"]) == ("myi", False)
    # What network-policies.yaml knows it by, and what its queue asks for.
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "run_worker"
    assert template["metadata"]["labels"]["myi-queue"] == "loads"
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "512Mi"}
    # Dagster tries again by itself, with a run of its own.
    assert job["spec"]["backoffLimit"] == 0
    assert container["envFrom"] == [
        {"configMapRef": {"name": "myi-settings"}},
        {"secretRef": {"name": "myi"}},
    ]
    # Neither in the manifest, which many may read, nor in what Dagster keeps.
    password = parse_url(kubernetes.warehouse.dagster_url())["password"]
    assert password not in json.dumps(job)
    assert password not in str([entry.dagster_event for entry in kubernetes.instance.all_logs(run.run_id)])

    home = tmp_path / "pod"
    secret = kubernetes.settings.model_copy(update={"home": home, "dagster_yaml": None}).environment()
    storage = compose_url(parse_url(kubernetes.warehouse.dagster_url()), scheme="postgresql+psycopg2")
    program, *arguments = container["args"]
    assert program == "dagster"
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        env={
            "PATH": os.environ["PATH"],
            **secret,
            "MYI_UPLOADS": str(kubernetes.settings.uploads_folder),
            "MYI_COMPUTE_LOGS": "s3://logs/of/myi",
            "MYI_COMPUTE_LOGS_OPTIONS": s3.options,
            "DAGSTER_POSTGRES_URL": storage,
            **{each["name"]: each["value"] for each in container["env"]},
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert kubernetes.status_of(run) == "SUCCESS", done.stderr[-3000:]
    assert kubernetes.sql("select count(*) from raw.listening_events") == [(20,)]
    assert kubernetes.sql("select given_up_at from ops.run_heartbeats where run_id = %s", run.run_id) == [(None,)]
    assert kubernetes.cluster.refused == []
    # What it printed is in the bucket, where Dagster's pages find it.
    assert [key for key in s3.keys("logs") if run.run_id in key and key.endswith(".err")]


def test_a_pod_may_wait_for_its_node_as_long_as_it_must(kubernetes: KubernetesSetup) -> None:
    run = kubernetes.launch()
    kubernetes.cluster.set_status(active=1)
    kubernetes.let_hours_pass()
    for _ in range(2):
        assert kubernetes.sensor("lost_runs").skip_message == "every active run has its process"
    assert kubernetes.status_of(run) == "STARTING"
    assert len(kubernetes.cluster.created) == 1
    assert kubernetes.cluster.refused == []


def test_a_run_whose_job_is_gone_before_it_began_is_launched_again(kubernetes: KubernetesSetup) -> None:
    run = kubernetes.launch()
    kubernetes.cluster.jobs.clear()
    # The daemon may be about to create it.
    assert kubernetes.sensor("lost_runs").skip_message == "every active run has its process"
    kubernetes.let_hours_pass()
    assert "launched again" in kubernetes.sensor("lost_runs").skip_message
    assert kubernetes.status_of(run) == "STARTING"
    first, second = kubernetes.cluster.created
    assert first["metadata"]["name"] == second["metadata"]["name"]
    assert first["spec"]["template"]["spec"]["containers"] == second["spec"]["template"]["spec"]["containers"]


def test_whoever_comes_second_with_a_job_leaves_it_to_the_first(kubernetes: KubernetesSetup) -> None:
    run = kubernetes.launch()
    kubernetes.instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    assert len(kubernetes.cluster.created) == 1
    assert kubernetes.status_of(run) == "STARTING"


def test_one_run_that_cannot_be_launched_again_keeps_no_other_from_it(kubernetes: KubernetesSetup) -> None:
    for _ in range(2):
        kubernetes.launch()
    kubernetes.let_hours_pass()
    first = min(kubernetes.cluster.jobs, key=list(kubernetes.cluster.jobs).index)
    kubernetes.cluster.jobs.clear()
    kubernetes.cluster.unwanted.add(first)
    said = kubernetes.sensor("lost_runs").skip_message
    assert "could not be judged" in said
    assert "launched again" in said
    assert len(kubernetes.cluster.jobs) == 1


def test_a_run_whose_pod_ended_before_it_began_is_failed_and_tried_again(kubernetes: KubernetesSetup) -> None:
    run = kubernetes.launch()
    kubernetes.let_hours_pass()
    kubernetes.cluster.set_status(failed=1)
    assert "its job has ended" in kubernetes.sensor("lost_runs").skip_message
    assert kubernetes.status_of(run) == "FAILURE"
    found = kubernetes.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.tags["dagster/will_retry"] == "true"


def test_whoever_cannot_ask_the_cluster_leaves_runs_as_they_are(kubernetes: KubernetesSetup) -> None:
    run = kubernetes.launch()
    kubernetes.cluster.rules.clear()
    kubernetes.let_hours_pass()
    assert kubernetes.sensor("lost_runs").skip_message == "every active run has its process"
    assert kubernetes.status_of(run) == "STARTING"
    assert ("get", "jobs/status") in kubernetes.cluster.refused


def test_ending_a_run_deletes_its_job(kubernetes: KubernetesSetup) -> None:
    run = kubernetes.launch()
    assert kubernetes.instance.run_launcher.terminate(run.run_id)
    assert kubernetes.cluster.jobs == {}
    assert kubernetes.cluster.refused == []
    assert kubernetes.status_of(run) == "CANCELING"
