//! Real Airflow as tasks of ECS, on the local cloud: from the image to services that roll, drain and come back.

use crate::private;
use crate::support::project::Project;
use crate::support::say;
use crate::support::stages::Stages;
use crate::support::tasks::{Held, RESEND, finished, own_task, probe, run_probe, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const COMPONENTS: [&str; 6] = ["api-server", "dag-processor", "scaler", "scheduler", "triggerer", "worker"];

/// A scheduler looks for tasks of one that has been killed as it starts, when that one does not seem dead yet, and then
/// after five minutes by default.
const ADOPT: &str =
    "'scheduler.orphaned_tasks_check_interval' = 5\n'scheduler.scheduler_health_check_threshold' = 15\n";
/// What the DAG `report_in_a_task` starts, with a variable of its own.
const REPORT: &str =
    "\n[tasks.report]\nfolder = 'tasks/report'\n[tasks.report.environment]\nLAKE = 's3://lake'\n";
/// A broker that is a task like the others, and its monitor.
const BROKER: &str =
    "\n[broker]\nkind = 'valkey_service'\nflower = true\n[entry]\nload_balancer = 'internal'\n";
/// What Flower's own API says of workers, given the cloud's address.
const FLOWER: &str = r"
import base64, boto3, json, sys, urllib.request
session = boto3.Session(aws_access_key_id='local', aws_secret_access_key='local', region_name='us-east-1')
ecs, secrets = (session.client(name, endpoint_url=sys.argv[1]) for name in ('ecs', 'secretsmanager'))
[cluster] = ecs.list_clusters()['clusterArns']
tasks = ecs.list_tasks(cluster=cluster, serviceName='flower')['taskArns']
[task] = ecs.describe_tasks(cluster=cluster, tasks=tasks)['tasks']
address = task['containers'][0]['networkInterfaces'][0]['privateIpv4Address']
[login] = [one['ARN'] for one in secrets.list_secrets()['SecretList'] if '/platform/flower-' in one['Name']]
login = json.loads(secrets.get_secret_value(SecretId=login)['SecretString'])
login = base64.b64encode('{username}:{password}'.format(**login).encode()).decode()
request = urllib.request.Request(f'http://{address}:5555/flower/workers?json=1')
request.add_header('Authorization', f'Basic {login}')
print(urllib.request.urlopen(request).read().decode())
";
/// Workers that go when there is nothing to do, and come back.
const BOUNDS: &str = "[workers.default]\nmin = 0\nmax = 1\nshrink_after_minutes = 1\n";

#[test]
fn airflow_runs_as_tasks_of_ecs() {
    let project = Project::new();
    project.share_layers();
    project.write("dags/probe.py", &probe("one"));
    project.write("dags/own_task.py", &own_task());
    let keys = "engine = 'fargate'\nexecutors = ['celery', 'ecs']\n";
    project.edit("environments/local.toml", |text| format!("{keys}{text}{RESEND}{ADOPT}{REPORT}{BROKER}"));
    project.keep();
    say("--- on ECS: first deployment");
    first_deployment(&project);

    say("--- on ECS: a session");
    a_session_is_in_the_container(&project);
    flower_sees_the_worker(&project);

    let mut stages = Stages::new(&project, |project| drop(project.deploy()));
    stages.run("on ECS: nothing changed", unchanged);
    stages.run("on ECS: a changed DAG", a_changed_dag_restarts_no_task);
    stages.run("on ECS: Airflow out of reach", private::a_private_airflow_is_asked_through_s3);
    stages.run("on ECS: a task of its own", a_task_of_its_own_outlives_the_scheduler);
    stages.run("on ECS: a changed plugin while a task runs", a_running_task_outlasts_the_rollout);
    stages.run("on ECS: a component that does not start", what_does_not_start_is_rolled_back);
    stages.run("on ECS: a command", a_command_runs_as_a_task);
    stages.run("on ECS: an external task", an_external_task_decides_by_its_exit_code);
    stages.run("on ECS: logs in S3", logs_are_archived);
    stages.run("on ECS: to zero and back", workers_go_to_zero_and_come_back);
    stages.run("on ECS: roles", roles_allow_what_was_done);
    stages.run("on ECS: without workers", every_task_can_be_one_of_its_own);
    stages.run("on ECS: destroy", destroy);
    stages.end();
}

fn done(result: &Value) -> Vec<&str> {
    let steps = result["steps"].as_array().unwrap().iter().filter(|step| step["outcome"] == "done");
    steps.map(|step| step["name"].as_str().unwrap()).collect()
}

fn running(project: &Project) -> BTreeMap<String, u32> {
    let components = project.components();
    assert_eq!(components.keys().map(String::as_str).collect::<Vec<_>>(), COMPONENTS);
    components
}

fn first_deployment(project: &Project) {
    let result = project.deploy();
    assert_eq!(result["outcome"], "deployed");
    let all = [
        "setup",
        "validate",
        "bootstrap",
        "bundle",
        "image",
        "task images",
        "stack",
        "services",
        "pointer",
        "dags",
        "smoke",
    ];
    assert_eq!(done(&result), all);
    running(project);
    assert_eq!(run_probe(&project.airflow()), ["one", "one one"]);
    // The UI reads a task's log in the bucket, where it is soon after its end.
    until("the log in the bucket", || {
        let log = project.task_log("probe", "second");
        log.contains("s3://") && log.contains("Done. Returned value was")
    });

    let status = project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json();
    let services = status["services"].as_array().unwrap();
    assert_eq!(services.len(), 7, "{status}");
    assert!(services.iter().all(|service| service["running"] == 1 && service["draining"] == 0), "{status}");
}

/// With the settings and secrets of the component, and without a terminal.
fn a_session_is_in_the_container(project: &Project) {
    let words = ["airflow", "config", "get-value", "core", "executor"];
    let scheduler =
        project.run(&[&["exec", "--env", "local", "scheduler", "--"][..], &words].concat()).expect(0);
    assert!(scheduler.stdout.contains("CeleryExecutor"), "{}{}", scheduler.stdout, scheduler.stderr);
    let tell =
        "import os; print(os.environ['ECS_CONTAINER_METADATA_URI_V4'].rpartition('/')[2], os.isatty(0))";
    let worker = project.run(&["exec", "--env", "local", "worker", "--", "python", "-c", tell]).expect(0);
    assert!(worker.stdout.contains("worker True"), "{}{}", worker.stdout, worker.stderr);
    let refused = project.run(&["exec", "--env", "local", "worker", "--task", "none"]).expect(2);
    assert!(refused.stderr.contains("no task `none`"), "{}", refused.stderr);
}

/// The worker has told the broker, and Flower has heard it there.
fn flower_sees_the_worker(project: &Project) {
    until("a worker in Flower", || {
        let told = project.python(&["-c", FLOWER, &project.endpoint()]).expect(0).json();
        told["data"].as_array().unwrap().iter().any(|worker| worker["worker-online"] == 1)
    });
}

/// Neither build nor push, no change set and no task.
fn unchanged(project: &Project) {
    let before = running(project);
    let result = project.deploy();
    assert_eq!(result["outcome"], "unchanged");
    assert_eq!(result["uploads"], 0);
    assert!(result["aws_calls"].as_u64().unwrap() < 20, "{result}");
    assert_eq!(done(&result), ["setup"]);
    assert_eq!(running(project), before);
    say(&format!("    {} AWS calls, {} s", result["aws_calls"], result["seconds"]));
}

fn a_changed_dag_restarts_no_task(project: &Project) {
    let before = running(project);
    project.write("dags/probe.py", &probe("after"));
    let result = project.deploy();
    assert_eq!(done(&result), ["setup", "validate", "bundle", "pointer", "dags"]);
    assert_eq!(run_probe(&project.airflow()), ["after", "after after"]);
    assert_eq!(running(project), before, "no process was restarted");
}

/// By the ECS executor: with its own size, its log in the bucket, and adopted by the scheduler that comes next.
fn a_task_of_its_own_outlives_the_scheduler(project: &Project) {
    project.deploy();
    let (airflow, before) = (project.airflow(), running(project));
    let held = Held::begin_of(&airflow, "own_task");
    assert_eq!(running(project), before, "no worker was started for it");
    let scheduler = before["scheduler"];
    std::process::Command::new("kill").args(["-KILL", &scheduler.to_string()]).status().unwrap();
    until("the adoption", || project.task_logs("scheduler").contains("Adopted the following 1 tasks"));
    assert_eq!(airflow.run_state("own_task", &held.run).unwrap(), "running");
    held.let_go();
    assert_eq!(finished(&airflow, "own_task", &held.run), "success");
    assert_eq!(airflow.returned("own_task", &held.run, "first").unwrap(), "executor, try 1");
    assert_eq!(airflow.returned("own_task", &held.run, "second").unwrap(), "executor, try 1, worker-default");
    until("the log in the bucket", || project.task_log("own_task", "first").contains("s3://"));
    assert_ne!(running(project)["scheduler"], scheduler);
}

/// The old worker protects itself: the release is live before its task has ended, and the task ends well. The plugin
/// stays, so that no later stage rolls everything just to be rid of it. The deployer cannot reach Airflow.
fn a_running_task_outlasts_the_rollout(project: &Project) {
    project.deploy();
    let (airflow, before) = (project.airflow(), running(project));
    let held = Held::begin(&airflow);
    project.write("plugins/marker.py", "\"\"\"A plugin of the tests.\"\"\"\n");
    project.keep();
    let result = private::deploy(project);
    assert_eq!(result["outcome"], "deployed");
    let steps = ["setup", "validate", "image", "stack", "services", "pointer", "smoke"];
    assert_eq!(done(&result), steps);
    assert_eq!(result["draining"], 1, "{result}");
    assert_eq!(airflow.run_state("probe", &held.run).unwrap(), "running");
    held.let_go();
    assert_eq!(finished(&airflow, "probe", &held.run), "success", "the running task finished");
    assert_eq!(airflow.returned("probe", &held.run, "first").unwrap(), "one");
    until("the end of the old worker", || {
        let workers = project.processes().into_values().filter(|line| line.contains("celery worker"));
        workers.count() > 0 && project.components().values().all(|pid| !before.values().any(|old| old == pid))
    });
}

fn what_does_not_start_is_rolled_back(project: &Project) {
    project.deploy();
    let pointer = project.pointer();
    let run = "airflow/ductwork_airflow/hosts/run.py";
    let good = project.read(run);
    project.edit(run, |text| {
        text.replace("airflow(\"triggerer\")", "[\"/bin/sh\", \"-c\", \"echo this image is broken; exit 3\"]")
    });
    assert_ne!(project.read(run), good);
    let refused = project.run(&["deploy", "--env", "local", "--yes"]).expect(4);
    project.write(run, &good);
    assert!(refused.stderr.contains("triggerer"), "which service: {}", refused.stderr);
    assert!(refused.stderr.contains("this image is broken"), "its own words: {}", refused.stderr);
    assert!(refused.stderr.contains("is back"), "{}", refused.stderr);
    assert_eq!(project.pointer(), pointer);
    assert_eq!(project.deploy()["outcome"], "unchanged", "the previous release runs everywhere");
    assert_eq!(run_probe(&project.airflow()), ["one", "one one"]);
}

fn a_command_runs_as_a_task(project: &Project) {
    let shown = "import os, sys; print(sys.argv[1:], os.environ['DUCTWORK_STACK']); sys.exit(7)";
    let run = project.run(&["run", "--env", "local", "--", "python", "-c", shown, "a b", "$HOME"]).expect(7);
    assert!(run.stdout.contains("['a b', '$HOME'] ductwork-local"), "{}{}", run.stdout, run.stderr);
    let list = project.run(&["airflow", "--env", "local", "--", "dags", "list", "--output", "plain"]);
    assert!(list.expect(0).stdout.contains("probe"));
}

/// It is processes of its own layers, with its own role, and knows nothing of Airflow.
fn an_external_task_decides_by_its_exit_code(project: &Project) {
    project.deploy();
    let airflow = project.airflow();
    let ends = |code: u8| {
        let run = airflow.trigger("report_in_a_task", &json!({ "rows": 2, "exit_code": code })).unwrap();
        finished(&airflow, "report_in_a_task", &run)
    };
    assert_eq!(ends(0), "success");
    until("the log of the external task", || {
        project.task_log("report_in_a_task", "report").contains("row 2 of 2")
    });
    assert_eq!(ends(3), "failed");
    until("the reason", || project.task_log("report_in_a_task", "report").contains("'exitCode': 3"));
    // What changes in its folder is an image of its own: no component is restarted.
    let before = running(project);
    project.edit("tasks/report/main.py", |text| text.replace("a report on", "another report on"));
    let result = project.deploy();
    assert!(done(&result).starts_with(&["setup", "task images", "stack"]), "{result}");
    assert_eq!(ends(0), "success");
    until("the new log", || project.task_log("report_in_a_task", "report").contains("another report on"));
    assert_eq!(running(project), before, "no process was restarted");
}

/// What a component and a one-off task write is where it was, and in S3 where the table looks for it. In the same
/// release the workers get the bounds of the next stage.
fn logs_are_archived(project: &Project) {
    project.edit("environments/local.toml", |text| format!("{text}\n[logs]\narchive = true\n{BOUNDS}"));
    project.keep();
    assert_eq!(project.deploy()["outcome"], "deployed");
    let line = "a line of a command";
    let run = project.run(&["run", "--env", "local", "--", "python", "-c", &format!("print('{line}')")]);
    assert!(run.expect(0).stdout.contains(line), "by way of the log router and CloudWatch");
    let families = ["api-server", "dag-processor", "migrate", "scheduler", "triggerer", "worker-default"];
    until("lines of everything in S3", || {
        let archived = project.python(&["xtask/tests/whole/archived.py"]).expect(0).json();
        assert_eq!(archived["unknown"], json!([]), "the table knows every key");
        assert_eq!(archived["queries"], json!(["errors", "one-off-tasks"]));
        let is_of = |family: &str, one: &Value| {
            let definition = one["ecs_task_definition"].as_str().unwrap();
            definition.starts_with(&format!("ductwork-local-{family}:"))
        };
        let lines = archived["lines"].as_array().unwrap();
        assert!(lines.iter().all(|one| one["logged_at"].is_string()));
        families.iter().all(|family| lines.iter().any(|one| is_of(family, one)))
            && lines.iter().any(|one| one["log"] == line && is_of("migrate", one))
    });
}

/// Nobody asks for the worker but the tasks themselves, and a stack that is updated meanwhile does not bring it back.
fn workers_go_to_zero_and_come_back(project: &Project) {
    let works = || project.components().contains_key("worker");
    let took = until("the end of the idle worker", || !works());
    // Its task is gone, and the log is there all the same: from S3.
    let log = project.task_log("probe", "second");
    assert!(log.contains("s3://") && log.contains("Done. Returned value was"), "{log}");
    project.edit("templates/master.yaml", |text| {
        format!("{text}  Note:\n    Description: Read by nobody.\n    Value: something\n")
    });
    let result = project.deploy();
    assert!(done(&result).contains(&"stack"), "{result}");
    assert!(!works(), "the update of the stack left the desired count alone");
    let watch = std::time::Instant::now();
    assert_eq!(run_probe(&project.airflow()), ["one", "one one"]);
    let back = watch.elapsed().as_secs_f64();
    say(&format!(
        "    no worker after {:.0} s, executed {back:.0} s after it was asked for",
        took.as_secs_f64()
    ));
}

fn roles_allow_what_was_done(project: &Project) {
    let judged = project.python(&["-m", "localcloud.iam"]).expect(0);
    say(&format!("    {}", judged.stderr.trim()));
    project.python(&["-m", "localcloud.iam.tool", "--environment", "local", "--tasks"]).expect(0);
    let calls = project.read(".ductwork/local/calls.jsonl");
    for action in [
        "ecs:RunTask",
        "ecs:UpdateService",
        "firehose:PutRecordBatch",
        "logs:PutLogEvents",
        "ecs:UpdateTaskProtection",
        "secretsmanager:GetSecretValue",
    ] {
        assert!(calls.contains(action.split(':').next_back().unwrap()), "nobody called {action}");
    }
}

/// Worker service and queue go, and what the tool itself does works as before.
fn every_task_can_be_one_of_its_own(project: &Project) {
    project.edit("environments/local.toml", |text| {
        text.replace("['celery', 'ecs']", "['ecs']").replace(BOUNDS, "").replace(BROKER, "")
    });
    let result = project.deploy();
    assert_eq!(result["outcome"], "deployed");
    assert!(done(&result).contains(&"smoke"), "{result}");
    assert_eq!(run_probe(&project.airflow()), ["one", "one one"]);
    let names = || project.components().into_keys().filter(|name| name != "scaler").collect::<Vec<_>>();
    until("the end of the worker", || !names().contains(&"worker".to_owned()));
    assert_eq!(names(), ["api-server", "dag-processor", "scheduler", "triggerer"]);
    let status = project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!(status["services"].as_array().unwrap().len(), 4, "{status}");
    assert_eq!(project.deploy()["outcome"], "unchanged");
}

fn destroy(project: &Project) {
    project.run(&["destroy", "--env", "local", "--yes"]).expect(0);
    assert_eq!(project.components(), BTreeMap::new(), "no component is left");
    assert_eq!(project.pointer(), json!(null));
    project.run(&["local", "down"]).expect(0);
    assert_eq!(project.processes(), BTreeMap::new());
}
