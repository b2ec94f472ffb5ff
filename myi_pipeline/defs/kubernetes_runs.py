"""Runs as jobs of a Kubernetes cluster: the launcher that deploy/kubernetes/dagster.yaml names.

Needs `pip install 'myi-pipeline[k8s]'`, and is imported by nothing but a dagster.yaml that names it.
"""

import structlog
from dagster import DagsterRun
from dagster._core.launcher import LaunchRunContext
from dagster_k8s import K8sRunLauncher
from dagster_k8s.client import DagsterK8sUnrecoverableAPIError
from dagster_k8s.job import get_job_name_from_run_id

log = structlog.get_logger(__name__)

_ENDED = "The job of this run ended before any process began it: its pod could not start, or was taken from its node."

_IS_THERE = 409


class KubernetesRunLauncher(K8sRunLauncher):
    """Dagster's own; a run's pod may wait for its image and for a node as long as it must.

    The sensor `lost_runs` asks it about runs that no process has begun, instead of giving them up.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        try:
            super().launch_run(context)
        except DagsterK8sUnrecoverableAPIError as error:
            # The daemon's or the sensor's, whichever came first; failing the run would leave its pod.
            if getattr(error.k8s_api_exception, "status", None) != _IS_THERE:
                raise
            log.info("kubernetes_has_the_job", run_id=context.dagster_run.run_id)

    def launch_again(self, run: DagsterRun) -> str | None:
        """Launch a run whose job is gone, fail one whose job has ended; a line for the log if either was done."""
        named = f"{run.job_name} {run.run_id[:8]}"
        job_name = get_job_name_from_run_id(run.run_id)  # type: ignore[no-untyped-call]
        try:
            status = self._api_client.get_job_status(job_name=job_name, namespace=self.job_namespace)
        except Exception as error:
            # As Dagster's own check does: what cannot be known is no reason to end a run, nor to look at no other.
            log.warning("kubernetes_does_not_say", run_id=run.run_id, error=type(error).__name__)
            return None
        if status is None:
            self.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
            return f"{named} had no job any more and is launched again"
        if status.active or not (status.failed or status.succeeded):
            return None
        self._instance.report_run_failed(run, _ENDED)
        return f"{named} was begun by no process, and its job has ended: it is failed"
