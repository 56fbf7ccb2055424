"""The release tool triggers this DAG after a rollout and reads what its task returns.

Its success proves that the scheduler, the queue, a worker, the API server and the log store work together, and its
answer on which revision: "the service is up" proves none of that.
"""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(
    dag_id="ductwork_smoke",
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    tags=["ductwork"],
    default_args={"owner": "ductwork", "retries": 0},
    doc_md=__doc__,
)
def smoke() -> None:
    """One task, on the default queue."""

    @task
    def report() -> dict[str, str]:
        """Where and with what it ran; the XCom `return_value`."""
        import os
        import platform
        import socket

        import airflow

        return {
            "host": socket.gethostname(),
            "revision": os.environ.get("DUCTWORK_REVISION", "unknown"),
            "python": platform.python_version(),
            "airflow": airflow.__version__,
        }

    report()


smoke()
