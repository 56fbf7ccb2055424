"""Start, stop, restart and `kill -9`: what survives, what is ended, what is refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.base import procs
from localcloud.base.paths import state_at
from localcloud.fleet import supervisors
from localcloud.tests.conftest import ROOT, STUCK, RunningCloud, Stacks, until
from localcloud.tests.fleetkit import OUTPUTS, Site, appspec, resources, telling
from localcloud.tests.test_cfn import DB_OUTPUTS, SECRET, database, query
from localcloud.tests.test_codedeploy import script

SLEEPER = """[program:sleeper]
command = /bin/sleep 3600
autorestart = true
startsecs = 0
"""
MADE = '"StackStatus": "CREATE_COMPLETE"'
UNIT = {
    "appspec.yml": appspec({"ApplicationStart": [{"location": "hooks/start", "timeout": 300}]}),
    "hooks/start": "#!/bin/sh\nset -e\ncat > \"$DUCTWORK_HOST_ROOT/etc/supervisor.d/sleeper.conf\" <<'U'\n"
    + SLEEPER
    + 'U\n"$DUCTWORK_SUPERVISORCTL" -c "$DUCTWORK_SUPERVISOR_CONF" update\n',
}  # fmt: skip


def everything(fresh: RunningCloud) -> tuple[Site, dict[str, str]]:
    """A stack with a database, a queue and an instance that runs a program."""
    stacks = Stacks(fresh)
    parts = {**resources(1), "Db": SECRET, "Database": database("Db"), "Queue": {"Type": "AWS::SQS::Queue"}}
    out = stacks.made("all", parts, {**OUTPUTS, **DB_OUTPUTS, "Queue": {"Ref": "Queue"}})
    site = Site(fresh, "all", out["Group"], out["Application"], out["Deploy"], out["Bucket"])
    assert site.run(UNIT)["status"] == "Succeeded"
    until(lambda: sleepers(fresh), what="the program runs")
    fresh.saved(codedeploy="lastSuccessfulDeployment", cloudformation=MADE, localfleet="InService")
    fresh.saved(autoscaling="InService")
    return site, out


def sleepers(cloud: RunningCloud) -> list[procs.Identity]:
    return procs.tagged(
        lambda env: (
            env.get("SUPERVISOR_PROCESS_NAME") == "sleeper"
            and env.get("DUCTWORK_HOST_ROOT", "").startswith(str(cloud.state))
            and "SUPERVISOR_ENABLED" in env
        )
    )


def password(cloud: RunningCloud, out: dict[str, str]) -> str:
    value = cloud.client("secretsmanager").get_secret_value(SecretId=out["Secret"])["SecretString"]
    return json.loads(value)["password"]


def test_everything_survives_kill_and_restart_and_stop_leaves_nothing(fresh: RunningCloud) -> None:
    site, out = everything(fresh)
    secret, endpoint = password(fresh, out), fresh.endpoint
    sqs = fresh.client("sqs")
    sqs.send_message(QueueUrl=out["Queue"], MessageBody="kept")
    s3 = fresh.client("s3")
    s3.put_object(Bucket=out["Bucket"], Key="k", Body=b"kept", IfNoneMatch="*")
    supervisor = supervisors.running(state_at(fresh.state), site.instances()[0])
    fresh.saved(sqs="kept")
    fresh.kill()
    fresh.start()

    assert fresh.endpoint == endpoint
    assert Stacks(fresh).status("all") == "CREATE_COMPLETE"
    assert Stacks(fresh).outputs("all") == out
    assert password(fresh, out) == secret
    assert fresh.client("s3").get_object(Bucket=out["Bucket"], Key="k")["Body"].read() == b"kept"
    assert fresh.client("sqs").receive_message(QueueUrl=out["Queue"])["Messages"][0]["Body"] == "kept"
    assert query(out["Host"], out["Port"], "airflow", secret, "airflow").stdout.strip() == "1"
    assert supervisors.running(state_at(fresh.state), site.instances()[0]) == supervisor, (
        "adopted, not restarted"
    )
    assert site.run(telling("after"))["status"] == "Succeeded"

    fresh.stop()
    assert fresh.processes() == []
    assert not (fresh.state / "cloud.json").exists()
    fresh.stop()  # again: nothing to do

    fresh.start()  # what a reboot of the machine looks like
    assert fresh.endpoint == endpoint
    assert query(out["Host"], out["Port"], "airflow", secret, "airflow").stdout.strip() == "1"
    until(lambda: sleepers(fresh), what="the instance booted with its program")
    assert (site.root() / "opt/app/after").exists()


def test_a_killed_supervisord_is_booted_and_its_orphans_are_ended(fresh: RunningCloud) -> None:
    site, _ = everything(fresh)
    before = sleepers(fresh)
    supervisor = supervisors.running(state_at(fresh.state), site.instances()[0])
    assert supervisor is not None
    fresh.kill()
    os.kill(supervisor.pid, signal.SIGKILL)
    fresh.start()
    after = until(lambda: sleepers(fresh), what="the program again")
    assert len(after) == 1 and not set(before) & set(after)


def test_a_recycled_pid_is_neither_trusted_nor_killed(fresh: RunningCloud) -> None:
    site, out = everything(fresh)
    instance = site.instances()[0]
    fresh.stop()
    bystander = subprocess.Popen(["sleep", "3600"])
    try:
        for file in (supervisors.pid_file(state_at(fresh.state), instance), fresh.state / "pids/cloud.json",
                     next(fresh.state.glob("postgres/*")) / "pid.json"):  # fmt: skip
            file.write_text(json.dumps({"pid": bystander.pid, "start": "another time"}))
        postmaster = next(fresh.state.glob("postgres/*/data")) / "postmaster.pid"
        postmaster.write_text(f"{bystander.pid}\n{postmaster.parent}\n1\n{out['Port']}\n\n\n\nready\n")
        fresh.start()
        assert query(out["Host"], out["Port"], "airflow", password(fresh, out), "airflow").returncode == 0
        until(lambda: sleepers(fresh), what="the program")
        fresh.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_alarms_and_lines_of_logs_are_there_after_a_kill(fresh: RunningCloud) -> None:
    watch, logs = fresh.client("cloudwatch"), fresh.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": 1, "message": "kept"}])
    watch.put_metric_alarm(
        AlarmName="kept", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Statistic="Sum",
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    fresh.saved(cloudwatch="kept", cloudwatch_logs="kept")
    fresh.kill()
    fresh.start()
    alarms = fresh.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert [alarm["AlarmName"] for alarm in alarms] == ["kept"]
    events = fresh.client("logs").get_log_events(logGroupName="g", logStreamName="s")["events"]
    assert [event["message"] for event in events] == ["kept"]


def test_stop_ends_the_process_that_waits_to_check_dags(fresh: RunningCloud) -> None:
    path = state_at(fresh.state).validator
    listens = (
        "import socket, sys, time\n"
        "door = socket.socket(socket.AF_UNIX)\n"
        "door.bind(sys.argv[1])\n"
        "door.listen()\n"
        "print(flush=True)\n"
        "time.sleep(3600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", listens, str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline()
        fresh.stop()
        assert process.poll() == -signal.SIGTERM and not path.exists()
    finally:
        process.kill()
        process.wait()


def test_a_deployment_cut_short_fails_and_the_next_one_works(fresh: RunningCloud) -> None:
    stacks = Stacks(fresh)
    out = stacks.made("all", resources(1), OUTPUTS)
    site = Site(fresh, "all", out["Group"], out["Application"], out["Deploy"], out["Bucket"])
    slow = site.begin(script("echo $$ > $DUCTWORK_HOST_ROOT/pid; sleep 3600", timeout=3600))
    pid = int(until(lambda: (site.root() / "pid").exists() and (site.root() / "pid").read_text().strip()))
    fresh.saved(codedeploy=slow, localfleet="InService", autoscaling="InService")
    hook = procs.identify(pid)
    fresh.kill()
    assert hook is not None and hook.alive()
    fresh.start()
    info = site.info(slow)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "AGENT_ISSUE")
    assert not hook.alive()
    assert site.run(telling("next"))["status"] == "Succeeded"


def test_stop_during_a_deployment_ends_its_script(fresh: RunningCloud) -> None:
    out = Stacks(fresh).made("all", resources(1), OUTPUTS)
    site = Site(fresh, "all", out["Group"], out["Application"], out["Deploy"], out["Bucket"])
    site.begin(script("echo $$ > $DUCTWORK_HOST_ROOT/pid; trap '' TERM; sleep 3600 & wait", timeout=3600))
    until(lambda: (site.root() / "pid").exists())
    fresh.stop(drain=1)
    assert fresh.processes() == []


def test_a_stack_operation_cut_short_has_a_way_on(fresh: RunningCloud) -> None:
    stacks = Stacks(fresh)
    stacks.made("upd", {"Queue": {"Type": "AWS::SQS::Queue"}})
    parts = {"Db": SECRET, "Database": database("Db")}
    stacks.create("new", parts, DB_OUTPUTS)
    stacks.api.update_stack(
        StackName="upd",
        TemplateBody=json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}, **parts}}),
    )
    until(lambda: list(fresh.state.glob("postgres/*/data")), what="initdb began")
    fresh.saved(cloudformation='"StackStatus": "UPDATE_', secretsmanager="upd-Db")
    fresh.kill()
    fresh.start()
    stacks = Stacks(fresh)
    assert stacks.status("new") in ("ROLLBACK_COMPLETE", "CREATE_COMPLETE")
    assert stacks.status("upd") in ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE")
    assert stacks.delete("new") == "DELETE_COMPLETE"
    stacks.updated(
        "upd", {"Queue": {"Type": "AWS::SQS::Queue"}, "Db": SECRET, "Database": database("Db")}, DB_OUTPUTS
    )
    assert stacks.delete("upd") == "DELETE_COMPLETE"
    assert list(fresh.state.glob("postgres/*")) == []


def test_what_a_cut_short_operation_names_but_no_service_holds_is_made_again(fresh: RunningCloud) -> None:
    stacks = Stacks(fresh)
    stacks.made("upd", {"Queue": {"Type": "AWS::SQS::Queue"}})
    parts = {"Queue": {"Type": "AWS::SQS::Queue"}, "Db": SECRET, "Database": database("Db")}
    stacks.api.update_stack(StackName="upd", TemplateBody=json.dumps({"Resources": parts}))
    until(lambda: list(fresh.state.glob("postgres/*/data")), what="initdb began")
    fresh.saved(cloudformation='"StackStatus": "UPDATE_IN', secretsmanager="upd-Db")
    fresh.kill()
    (fresh.state / "services" / "secretsmanager.json").unlink()  # read before the secret was made
    fresh.start()
    stacks = Stacks(fresh)
    assert stacks.status("upd") == "UPDATE_ROLLBACK_COMPLETE"
    stacks.updated("upd", parts, DB_OUTPUTS)
    assert stacks.delete("upd") == "DELETE_COMPLETE"


def test_stop_during_a_stack_operation_cuts_it_short_and_deletes_nothing(fresh: RunningCloud) -> None:
    stacks = Stacks(fresh)
    out = stacks.made("all", resources(1), OUTPUTS)
    site = Site(fresh, "all", out["Group"], out["Application"], out["Deploy"], out["Bucket"])
    assert site.run(telling("one"))["status"] == "Succeeded"
    parts = resources(2)
    parts["Group"]["Properties"]["MaxSize"] = "9"
    keep = site.root()
    # The second instance hangs in its launch deployment, so the update of the group waits.
    hang = {
        **telling("hang", seconds=3600),
        "hooks/tell": '#!/bin/sh\n[ -e "$DUCTWORK_HOST_ROOT/tale" ] || sleep 3600\n',
    }
    assert site.run(hang)["status"] == "Succeeded"
    stacks.api.update_stack(StackName="all", TemplateBody=json.dumps({"Resources": parts}))
    until(lambda: len(list((fresh.state / "instances").iterdir())) == 2, what="the second launch")
    fresh.stop(drain=1)  # it does not wait for the hook
    assert fresh.processes() == []
    fresh.start()
    assert Stacks(fresh).status("all") == "UPDATE_ROLLBACK_COMPLETE"
    assert keep.exists()


def test_a_fleet_whose_record_was_lost_is_made_whole(fresh: RunningCloud) -> None:
    out = Stacks(fresh).made("all", resources(2), OUTPUTS)
    site = Site(fresh, "all", out["Group"], out["Application"], out["Deploy"], out["Bucket"])
    before = site.instances()
    fresh.saved(cloudformation=MADE, localfleet="InService")
    for instance in before:
        fresh.saved(autoscaling=instance)
    fresh.kill()
    (fresh.state / "services" / "localfleet.json").unlink()
    fresh.start()
    until(lambda: len(set(site.instances()) - set(before)) == 2, what="two new instances")
    assert not set(before) & set(site.instances())
    assert {path.name for path in (fresh.state / "instances").iterdir()} == set(site.instances())


def run(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "localcloud", *args], cwd=ROOT, capture_output=True, text=True, timeout=STUCK
    )


def test_refusals(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run("serve", "--state", str(tmp_path / "a"), "--port", str(port))
        assert (refused.returncode, f"port {port} of 127.0.0.1 is taken" in refused.stderr) == (2, True)
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "port").write_text(str(port))
        assert run("serve", "--state", str(tmp_path / "b")).returncode == 2

    broken = tmp_path / "c"
    (broken / "services").mkdir(parents=True)
    (broken / "services" / "sqs.json").write_text('{"half')
    refused = run("serve", "--state", str(broken))
    assert (refused.returncode, "services/sqs.json" in refused.stderr) == (2, True)
    assert "localcloud wipe" in refused.stderr
    (broken / "services" / "sqs.json").unlink()
    (broken / "port").write_text("none")
    assert run("serve", "--state", str(broken)).returncode == 2

    refused = run("serve", "--state", str(tmp_path / "100%"))
    assert (refused.returncode, "'%' in its path" in refused.stderr) == (2, True)
    assert not (tmp_path / "100%").exists()

    (tmp_path / "file").write_text("")
    refused = run("serve", "--state", str(tmp_path / "file"))
    assert (refused.returncode, refused.stderr.startswith("error: ")) == (2, True)
    refused = run("wipe", "--state", str(ROOT / "localcloud"))
    assert (refused.returncode, "does not look like" in refused.stderr) == (2, True)
    assert run("stop", "--state", str(tmp_path / "none")).returncode == 0
    assert run("serve").returncode == 2


def test_a_damaged_folder_is_wiped_and_a_strange_one_is_not(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    for folder in ("services", "instances", "postgres"):
        (damaged / folder).mkdir(parents=True)
    assert run("wipe", "--state", str(damaged)).returncode == 0
    assert not damaged.exists()
    (tmp_path / "strange" / "instances").mkdir(parents=True)
    assert run("wipe", "--state", str(tmp_path / "strange")).returncode == 2
    assert (tmp_path / "strange" / "instances").exists()


def test_one_cloud_per_folder_and_wipe(fresh: RunningCloud) -> None:
    refused = run("serve", "--state", str(fresh.state))
    assert (refused.returncode, "already runs" in refused.stderr) == (2, True)
    assert run("wipe", "--state", str(fresh.state)).returncode == 0
    assert not fresh.state.exists()
    assert fresh.process is not None and fresh.process.wait(STUCK) == 0


def test_a_ministack_that_lacks_a_name_is_refused(tmp_path: Path) -> None:
    code = (
        "import ministack.services.autoscaling as a; del a._reconcile_instances\n"
        "from localcloud.cli import main; import sys; sys.exit(main(['serve', '--state', sys.argv[1]]))"
    )
    refused = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s")], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=STUCK,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "lacks `ministack.services.autoscaling._reconcile_instances`" in refused.stderr


def test_a_deep_state_folder_with_spaces_has_short_sockets(tmp_path: Path) -> None:
    running = RunningCloud(tmp_path / ("deep " * 16 + "(2)") / ("er" * 20)).start()
    try:
        _, out = everything(running)  # its program is started from etc/supervisor.d
        assert query(out["Host"], out["Port"], "airflow", password(running, out), "airflow").returncode == 0
    finally:
        running.stop()
    assert running.processes() == []


@pytest.mark.parametrize("region", ["us-east-1", "ap-southeast-2"])
def test_any_region(cloud: RunningCloud, name: str, region: str) -> None:
    api = cloud.client("codedeploy", region)
    api.create_application(applicationName=name)
    assert api.list_applications()["applications"] == [name]
