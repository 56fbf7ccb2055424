"""The example project works: its helpers, its plugin, and each DAG runs to success with real Airflow on SQLite."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import AIRFLOW, ROOT

RUN_ALL = """
import json, sys
from airflow import plugins_manager
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.utils import db

db.upgradedb()
DagBundlesManager().sync_bundles_to_db()
root = sys.argv[1]
bag = BundleDagBag(dag_folder=root, bundle_path=root, bundle_name="dags-folder")
sync_bag_to_db(bag, "dags-folder", None)
states = {}
for dag_id, dag in bag.dags.items():
    run = dag.test()
    states[dag_id] = {"state": str(run.state), "tries": {ti.task_id: ti.try_number for ti in run.get_task_instances()}}
print("ANSWER" + json.dumps({"states": states, "errors": bag.import_errors,
      "plugin_errors": plugins_manager.get_import_errors(),
      "macro": bag.dags["revenue_report"].get_task("report") is not None}))
"""


@pytest.mark.slow
def test_every_example_runs_to_success(tmp_path):
    (tmp_path / "airflow.cfg").touch()
    bundle = [{"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
               "kwargs": {"path": str(ROOT / "dags")}}]  # fmt: skip
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(AIRFLOW),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundle),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, str(ROOT / "dags")],
        env=env,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answers, done.stdout[-3000:] + done.stderr[-3000:]
    answer = json.loads(answers[0].removeprefix("ANSWER"))
    assert answer["errors"] == {}
    assert answer["plugin_errors"] == {}
    assert {dag_id: run["state"] for dag_id, run in answer["states"].items()} == {
        "revenue_report": "success",
        "wait_without_a_worker": "success",
        "flaky_source": "success",
    }
    assert answer["states"]["flaky_source"]["tries"]["fetch"] == 2, "it is there to show a retry"


def test_the_helpers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "dags"))
    from shop import orders

    made = orders.orders_of("2026-01-31")
    assert made == orders.orders_of("2026-01-31")
    valid, wrong = orders.split_valid(made)
    assert len(valid) + len(wrong) == 200
    revenue = orders.revenue_by_country(valid)
    assert list(revenue) == sorted(orders.COUNTRIES)
    assert "sum" in orders.as_text("2026-01-31", revenue)


def test_the_plugins_macro():
    import importlib.util

    spec = importlib.util.spec_from_file_location("money", ROOT / "plugins/money.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.euros(123456) == "1,234.56 €"
    assert module.MoneyPlugin.macros == [module.euros]
