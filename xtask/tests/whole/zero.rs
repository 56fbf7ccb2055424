//! Workers from zero and back to it, with real Airflow: nobody asks for a host but the tasks themselves.

use crate::support::project::Project;
use crate::support::say;
use crate::support::tasks::{RESEND, probe, run_probe, until};

#[test]
fn hosts_come_with_the_first_task_and_go_after_the_last() {
    let project = Project::new();
    project.write("dags/probe.py", &probe("one"));
    // As in `dev.toml`: one host for the schedulers and the API server.
    let set = "\n[hosts]\napi_server.on_scheduler = true\npackages = ['graphviz']\n[workers.default]\nmin = 0\nmax = 1\nshrink_after_minutes = 1\n";
    project.edit("environments/local.toml", |text| format!("{text}{set}{RESEND}"));
    project.write("airflow/host/startup.sh", "echo \"started on $DUCTWORK_COMPONENTS\"\n");
    let works = || project.components().contains_key("worker");

    // The first deployment finds no worker. Its own proof, a task that runs, brings one up.
    let result = project.deploy();
    assert_eq!(result["outcome"], "deployed");
    assert!(works());
    assert_eq!(project.components().len(), 7, "everything runs, on two hosts: {:?}", project.components());
    hosts_are_as_the_project_says(&project);
    let took = until("the end of the idle host", || !works());
    // Its host is gone, and the log is there all the same: from S3.
    let log = project.task_log("ductwork_smoke", "report");
    assert!(log.contains("s3://") && log.contains("Done. Returned value was"), "{log}");
    say(&format!("    no host after {:.0} s without a task", took.as_secs_f64()));

    let watch = std::time::Instant::now();
    assert_eq!(run_probe(&project.airflow()), ["one", "one one"]);
    say(&format!("    executed {:.0} s after it was asked for", watch.elapsed().as_secs_f64()));

    // Scaling and draining are judged too: the end-to-end run has neither.
    let judged = project.python(&["-m", "localcloud.iam"]).expect(0);
    say(&format!("    {}", judged.stderr.trim()));
    let calls = project.read(".ductwork/local/calls.jsonl");
    for action in
        ["SetDesiredCapacity", "CreateDeployment", "SetInstanceProtection", "CompleteLifecycleAction"]
    {
        assert!(calls.contains(action), "nobody called {action}");
    }
    project.run(&["destroy", "--env", "local", "--yes"]).expect(0);
    project.run(&["local", "down"]).expect(0);
}

/// What the start-up script and the packages said, and Airflow's own command.
fn hosts_are_as_the_project_says(project: &Project) {
    let logs = project.deployment_logs();
    let all = "started on api-server scheduler dag-processor triggerer scaler";
    for words in [all, "started on worker keeper", "so these are not installed: graphviz"] {
        assert!(logs.iter().any(|log| log.contains(words)), "{words}: {logs:#?}");
    }
    let list =
        project.run(&["airflow", "--env", "local", "--", "dags", "list", "--output", "plain"]).expect(0);
    assert!(list.stdout.contains("probe"), "{}{}", list.stdout, list.stderr);
    project.run(&["airflow", "--env", "local", "--", "dags", "no-such-command"]).expect(2);
}
