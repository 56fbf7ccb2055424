"""The validator as the release tool calls it: every kind of problem with file, line and reason, and none invented."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import AIRFLOW, ROOT

from ductwork_airflow.release import airflow2

GOOD = """
from airflow.sdk import dag, task

@dag(dag_id="NAME", schedule="@daily", tags=["b", "a"])
def NAME():
    @task
    def one(): ...
    @task
    def two(): ...
    one() >> two()

NAME()
"""


def judge(dags: Path, *options: str, env: dict[str, str] | None = None) -> dict:
    """Runs it; the document."""
    done = subprocess.run(
        [sys.executable, "-m", "ductwork_airflow.release.validate", "--dags", str(dags), *options],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(AIRFLOW)} | (env or {}),
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write(folder: Path, files: dict[str, str]) -> Path:
    """Makes the tree."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


DAG = "from airflow.sdk import DAG, task\nfrom airflow.providers.standard.operators.empty import EmptyOperator as E\n"
BROKEN = {
    # file: (source, kind, line, words of the message, words of the hint)
    "raises.py": (DAG + "\nvalue = 1 / 0\n", "import_error", 4, "ZeroDivisionError", "correct"),
    "syntax.py": (DAG + "\ndef (:\n", "import_error", 4, "SyntaxError", "syntax"),
    "imports.py": (DAG + "import no_such_package.part\n", "import_error", 3,
                   "the module `no_such_package` is not installed", "at a guess the line `no-such-package`"),
    "provider.py": (DAG + "from airflow.providers.google.cloud.hooks.gcs import GCSHook\n", "import_error", 3,
                    "`airflow.providers.google` is not installed", "the line `apache-airflow-providers-google`"),
    "provider_of_a_group.py": (DAG + "import airflow.providers.apache.kafka.hooks.base\n", "import_error", 3,
                               "`airflow.providers.apache.kafka`", "`apache-airflow-providers-apache-kafka`"),
    "no_part.py": (DAG + "import json.nope\n", "import_error", 3, "json.nope", "`json` is there"),
    "subdag.py": (DAG + "from airflow.operators.subdag import (\n    SubDagOperator,\n)\n", "import_error", 3,
                  "airflow.operators.subdag", "from airflow.sdk import TaskGroup"),
    "old_python.py": (DAG + "from airflow.operators.python_operator import PythonOperator\n", "import_error", 3,
                      "python_operator", "from airflow.providers.standard.operators.python import PythonOperator"),
    "old_name.py": (DAG + "from airflow.providers.http.operators.http import SimpleHttpOperator\n", "import_error", 3,
                    "SimpleHttpOperator", "use `HttpOperator` instead"),
    "days_ago.py": (DAG + "from airflow.utils.dates import days_ago\n", "import_error", 3, "days_ago", "pendulum"),
    "interval.py": (DAG + "DAG('interval', schedule_interval='@daily')\n", "import_error", 3,
                    "`DAG` has no argument `schedule_interval`", "write `schedule` instead"),
    "context.py": (DAG + "with DAG('context'): E(task_id='a', provide_context=True)\n", "import_error", 3,
                   "`EmptyOperator` has no argument `provide_context`", "remove `provide_context`"),
    "trigger.py": (DAG + "from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator as T\n"
                   "with DAG('trigger'): T(task_id='a', trigger_dag_id='x', execution_date='y')\n", "import_error", 4,
                   "`TriggerDagRunOperator` has no argument `execution_date`", "write `logical_date` instead"),
    "helper.py": (DAG + "import libx\nlibx.fail()\n", "import_error", 4, "libx/__init__.py:2", "correct"),
    "chained.py": (DAG + "try:\n    {}['a']\nexcept KeyError as e:\n    raise RuntimeError('outer words') from e\n",
                   "import_error", 6, "outer words", "correct"),
    "cycle.py": (DAG + "with DAG('cyc') as d:\n    a = E(task_id='a'); b = E(task_id='b'); a >> b >> a\n",
                 "import_error", 3, "ycle", "cycle"),
    "twice_task.py": (DAG + "with DAG('tt') as d:\n    E(task_id='a')\n    E(task_id='a')\n",
                      "import_error", 5, "uplicate", "task_id"),
    "schedule.py": (DAG + "with DAG('sch', schedule='not a cron'): E(task_id='a')\n", "import_error", 3, "", ""),
    "serialise.py": (DAG + "with DAG('ser', params={'x': object()}): E(task_id='a')\n", "import_error", 3, "", ""),
    "exits.py": (DAG + "import os\nos._exit(3)\n", "import_error", None, "ends the process", "exit"),
    "quits.py": (DAG + "\nraise SystemExit(3)\n", "import_error", 4, "SystemExit", ""),
    "variable.py": (DAG + "from airflow.sdk import Variable\nVariable.get('nothing')\n", "import_error", 4,
                    "reads the variable `nothing`", "export AIRFLOW_VAR_NOTHING="),
    "connection.py": (DAG + "from airflow.sdk import BaseHook\nBaseHook.get_connection('my_db')\n", "import_error", 4,
                      "reads the connection `my_db`", "export AIRFLOW_CONN_MY_DB="),
    "timetable.py": (DAG + "from libx import Mine\nwith DAG('timetable', schedule=Mine()): E(task_id='a')\n",
                     "import_error", 4, "timetable `libx.Mine` of DAG `timetable`", "timetables = [Mine]"),
    "weights.py": (DAG + "from libx import Heavy\nwith DAG('weights'): E(task_id='a', weight_rule=Heavy())\n",
                   "import_error", 4, "weight strategy `libx.Heavy`", "priority_weight_strategies = [Heavy]"),
}  # fmt: skip
ENDLESS = {
    "sleeps.py": (DAG + "import time\ntime.sleep(60)\n", "timeout", 4, "12 s", "into a task"),
    "hangs.py": (DAG + "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\nwhile True: pass\n",
                 "timeout", None, "12 s", "into a task"),
}  # fmt: skip


FAILS = "def fail():\n    raise ValueError('deep words')\n"
CLASSES = """
from airflow.task.priority_strategy import PriorityWeightStrategy
from airflow.timetables.interval import CronDataIntervalTimetable

class Mine(CronDataIntervalTimetable):
    def __init__(self): super().__init__("0 0 * * *", "UTC")
    def serialize(self): return {}
    @classmethod
    def deserialize(cls, data): return cls()

class Heavy(PriorityWeightStrategy):
    def get_weight(self, ti): return 1000
"""


def test_dags_are_parsed_with_the_variables_of_the_environment(tmp_path):
    reads = GOOD.replace("from airflow", "import os\nassert os.environ['LAKE'] == 'a b'\nfrom airflow")
    write(tmp_path, {"a.py": reads.replace("NAME", "a")})
    assert judge(tmp_path)["problems"][0]["kind"] == "import_error"
    given = json.dumps({"LAKE": "a b", "AIRFLOW_HOME": "/elsewhere"})
    assert judge(tmp_path, "--variables", given)["problems"] == []


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> dict:
    """One look at all broken files, with two good ones among them."""
    folder = tmp_path_factory.mktemp("broken")
    sources = {name: source for name, (source, *_) in BROKEN.items()}
    good = {"aaa.py": GOOD.replace("NAME", "aaa"), "zzz.py": GOOD.replace("NAME", "zzz")}
    write(folder, sources | good | {"libx/__init__.py": FAILS + CLASSES})
    (folder / ".airflowignore").write_text("libx/\n")
    return judge(folder, "--timeout-seconds", "120")


@pytest.fixture(scope="module")
def endless(tmp_path_factory) -> dict:
    """A look at the files that never end; apart, since a busy machine may need seconds for any file."""
    folder = tmp_path_factory.mktemp("endless")
    write(folder, {name: source for name, (source, *_) in ENDLESS.items()})
    return judge(folder, "--timeout-seconds", "12")


@pytest.mark.parametrize("name", BROKEN)
def test_each_kind_of_problem_has_file_line_and_reason(broken, name):
    expect_problem(broken, name, BROKEN[name])


@pytest.mark.parametrize("name", ENDLESS)
def test_a_file_that_never_ends_is_stopped(endless, name):
    expect_problem(endless, name, ENDLESS[name])


def expect_problem(report: dict, name: str, expected: tuple) -> None:
    _, kind, line, words, hint = expected
    found = [problem for problem in report["problems"] if problem["file"] == name]
    assert len(found) == 1, found
    assert found[0]["kind"] == kind
    assert found[0]["line"] == line, found
    assert words in found[0]["message"]
    assert hint in found[0]["hint"]
    assert "\n" not in found[0]["message"]


def test_good_files_among_broken_ones_are_still_judged(broken):
    assert {"aaa", "zzz"} <= {dag["dag_id"] for dag in broken["dags"]}
    assert {entry["file"] for entry in broken["files"]} >= set(BROKEN)
    assert {problem["file"] for problem in broken["problems"]} == set(BROKEN)


def test_a_good_tree(tmp_path):
    write(tmp_path, {"one.py": GOOD.replace("NAME", "one"), "sub/two.py": GOOD.replace("NAME", "two")})
    report = judge(tmp_path)
    assert report["problems"] == []
    assert report["airflow"] == "3.3.2"
    assert [(dag["dag_id"], dag["file"]) for dag in report["dags"]] == [
        ("one", "one.py"),
        ("two", "sub/two.py"),
    ]
    assert report["dags"][0]["tasks"] == ["one", "two"]
    assert report["dags"][0]["tags"] == ["a", "b"]
    assert report["dags"][0]["schedule"] == "@daily"
    assert len(report["dags"][0]["content"]) == 64
    assert not list(tmp_path.rglob("__pycache__")), "it leaves nothing in the user's tree"


def test_duplicate_ids_are_found_over_files_and_within_one(tmp_path):
    same = GOOD.replace("NAME", "same")
    write(tmp_path, {"a.py": same, "b.py": "\n\n" + same})
    found = judge(tmp_path)["problems"]
    assert [(p["kind"], p["file"], p["line"]) for p in found] == [("duplicate_dag_id", "b.py", 6)]
    assert "a.py:4" in found[0]["message"]


def test_duplicate_ids_of_one_file_have_a_line_each(tmp_path):
    write(
        tmp_path,
        {"a.py": DAG + "with DAG('same'): E(task_id='a')\nwith DAG('same') as other: E(task_id='b')\n"},
    )
    found = judge(tmp_path)["problems"]
    assert [(p["line"], p["message"]) for p in found] == [(4, "`same` is already defined in a.py:3")]
    loop = (
        "dags = []\nfor name in 'ab':\n    with DAG('same') as dag: E(task_id=name)\n    dags.append(dag)\n"
    )
    write(tmp_path, {"a.py": DAG + loop + "one, two = dags\n"})
    found = judge(tmp_path)["problems"]
    assert [(p["line"], p["message"]) for p in found] == [
        (5, "`same` is defined more than once by this line")
    ]


def test_what_a_plugin_registers_is_known(tmp_path):
    plugin = "\nfrom airflow.plugins_manager import AirflowPlugin\nclass Mines(AirflowPlugin):\n    name = 'mines'\n"
    lists = "    timetables = [Mine]\n    priority_weight_strategies = [Heavy]\n"
    user = (
        "from mines import Heavy, Mine\nwith DAG('a', schedule=Mine()): E(task_id='a', weight_rule=Heavy())\n"
    )
    write(tmp_path, {"plugins/mines.py": CLASSES + plugin + lists, "dags/a.py": DAG + user})
    assert judge(tmp_path / "dags")["problems"] == []
    (tmp_path / "plugins/mines.py").write_text(CLASSES + plugin)
    found = judge(tmp_path / "dags")["problems"]
    assert ["mines.Mine" in problem["message"] for problem in found] == [True]


def test_a_variable_and_a_connection_can_be_given(tmp_path):
    reads = "from airflow.sdk import BaseHook, Variable\nassert Variable.get('given') == 'x'\n"
    reads += "assert BaseHook.get_connection('my_db').host == 'h'\n"
    write(tmp_path, {"a.py": reads + GOOD.replace("NAME", "a")})
    env = {"AIRFLOW_VAR_GIVEN": "x", "AIRFLOW_CONN_MY_DB": "http://u:p@h/s"}
    assert judge(tmp_path, env=env)["problems"] == []


@pytest.mark.parametrize("name", airflow2.NAMES)
def test_what_airflow_3_has_instead_can_be_imported(name):
    statement = (airflow2.cure(name) or "").rpartition(": ")[2]
    _, module, _, new = statement.split()
    assert hasattr(importlib.import_module(module), new)


def test_airflowignore_no_dags_and_slow_files(tmp_path):
    write(tmp_path, {"broken.py": "import airflow.dag\n1/0  # DAG\n", ".airflowignore": "broken.py\n"})
    found = judge(tmp_path)["problems"]
    assert [problem["kind"] for problem in found] == ["no_dags"]
    write(tmp_path, {"slow.py": "import time; time.sleep(0.5)\n" + GOOD.replace("NAME", "slow")})
    found = judge(tmp_path, "--slow-seconds", "0.3")["problems"]
    assert [(problem["kind"], problem["file"]) for problem in found] == [("slow_file", "slow.py")]


def test_credentials_and_stray_settings_do_not_reach_a_dag(tmp_path):
    source = (
        "import os\nassert not [n for n in os.environ if 'SECRET' in n or 'AWS_ACC' in n or 'STRAY' in n]\n"
    )
    write(tmp_path, {"a.py": source + "print('{ not json')\n" + GOOD.replace("NAME", "a")})
    env = {"AWS_SECRET_ACCESS_KEY": "s", "AWS_ACCESS_KEY_ID": "k", "AIRFLOW__CORE__STRAY": "x",
           "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE": "nonsense"}  # fmt: skip
    assert judge(tmp_path, env=env)["problems"] == []


def test_plugins_beside_the_dags_are_there_and_the_working_directory_is_not(tmp_path):
    write(tmp_path, {"plugins/mine.py": "X = 1\n", "dags/a.py": "import mine\n" + GOOD.replace("NAME", "a"),
                     "dags/b.py": "import dags.a\n" + GOOD.replace("NAME", "b")})  # fmt: skip
    found = judge(tmp_path / "dags")["problems"]
    assert [(problem["file"], problem["line"]) for problem in found] == [("b.py", 1)]


def test_it_says_when_it_cannot_judge(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ductwork_airflow.release.validate", "--dags", str(tmp_path / "none")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(AIRFLOW)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is not a directory" in done.stderr


def test_what_will_not_work_for_ever_is_listed_by_line(tmp_path):
    helper = 'import warnings\n\ndef old():\n    warnings.warn("`old` goes away", DeprecationWarning, stacklevel=2)\n'
    source = (
        DAG + "from helper import old\nold()\nold()\nimport warnings\nwarnings.warn('nothing of the kind')\n"
    )
    imported = "from airflow.decorators import task_group\n" + DAG
    dags = write(tmp_path / "dags", {
        "helper.py": helper,
        "a.py": source + GOOD.replace("NAME", "a"),
        "b.py": imported + GOOD.replace("NAME", "b"),
    })  # fmt: skip
    report = judge(dags)
    assert report["problems"] == []
    ours = [one for one in report["warnings"] if one["file"] == "a.py"]
    assert [(one["line"], one["category"], one["message"]) for one in ours] == [
        (4, "DeprecationWarning", "`old` goes away"), (5, "DeprecationWarning", "`old` goes away"),
    ]  # fmt: skip
    (airflows,) = [one for one in report["warnings"] if one["file"] == "b.py"]
    assert airflows["line"] == 1 and "airflow.sdk" in airflows["message"], airflows


def test_the_example_project_is_valid():
    report = judge(ROOT / "dags")
    assert report["problems"] == []
    assert {dag["dag_id"] for dag in report["dags"]} >= {
        "revenue_report",
        "wait_without_a_worker",
        "flaky_source",
    }


def test_the_smoke_dag_is_valid():
    report = judge(AIRFLOW / "ductwork_airflow/smoke")
    assert [dag["dag_id"] for dag in report["dags"]] == ["ductwork_smoke"]
    assert report["problems"] == []


def test_a_task_may_ask_for_an_executor_that_the_environment_has(tmp_path):
    made = "@task(executor='ecs')\n    def one(): ...\n    one()"
    text = f"from airflow.sdk import dag, task\n@dag\ndef a():\n    {made}\na()\n"
    (tmp_path / "a.py").write_text(text)
    found = judge(tmp_path)["problems"]
    assert "`ecs`" in found[0]["message"].replace("'", "`"), found
    assert judge(tmp_path, "--executors", "celery,ecs")["problems"] == []
