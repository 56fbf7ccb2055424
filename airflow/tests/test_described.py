"""What the list of DAGs says of one: its owners, params and paused state, and what it names of an environment."""

from __future__ import annotations

from test_validate import judge, write

DAG = """
from airflow.providers.amazon.aws.operators.s3 import S3ListOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, BaseHook, Connection, Param, Variable, task

with DAG("all", params={"day": Param(1, type="integer"), "size": 2, "must": Param(type="string")},
         is_paused_upon_creation=True):
    S3ListOperator(task_id="list", bucket="{{ var.value.lake }}", aws_conn_id="warehouse", owner="ann")
    S3ListOperator(task_id="usual", bucket="b", owner="bob", pool="heavy")
    BashOperator(task_id="bash", owner="ann", bash_command="echo {{ conn.ftp.host }} var.value.nothing", env={
        "A": "{{ var.json.table.column }} {{ var.value.get('get') }} {{ var.value.get('default', 'x') }}"})
    BashOperator.partial(task_id="mapped", owner="ann", pool="wide").expand(bash_command=["{{ var.value.each }}"])

    @task(owner="ann")
    def code(name):
        Variable.get("plain")
        Variable.get("with", default="x")
        Variable.get(name)
        {}.get("nothing")
        BaseHook.get_connection("hook")
        Connection.get("sdk")
        BaseHook(aws_conn_id="keyword")
    code("x")
"""


def test_a_dag_is_described(tmp_path):
    write(tmp_path, {"a.py": DAG})
    report = judge(tmp_path)
    assert report["problems"] == []
    (found,) = report["dags"]
    assert found["owners"] == ["ann", "bob"]
    assert list(found["params"]) == ["day", "must", "size"]
    assert found["paused"] is True
    assert found["connections"] == ["ftp", "hook", "keyword", "sdk", "warehouse"]
    assert found["variables"] == ["each", "get", "lake", "plain", "table"]
    assert found["pools"] == ["heavy", "wide"]
    before = found["params"]
    write(tmp_path, {"a.py": DAG.replace("Param(1,", "Param(3,")})
    after = judge(tmp_path)["dags"][0]["params"]
    assert {name for name in after if after[name] != before[name]} == {"day"}
