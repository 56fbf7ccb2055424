//! Real Airflow as containers of Docker, which the ECS of the local cloud runs from the very layers that were pushed.

use crate::image::{server, system_python};
use crate::support::project::Project;
use crate::support::say;
use crate::support::tasks::{probe, run_probe, until};
use std::process::Command;

#[test]
fn airflow_runs_as_containers() {
    let (server, base) = match server() {
        Ok(found) => found,
        Err(why) => return say(&format!("SKIPPED: Airflow as containers: {why}")),
    };
    let project = Project::new();
    project.share_layers();
    project.write("dags/probe.py", &probe("one"));
    project.edit("environments/local.toml", |text| {
        format!(
            "engine = 'fargate'\n{text}\n[image]\nbase = '{base}'\npython = '3.11'\n\
             interpreter = '/usr/bin/python3.11'\n"
        )
    });
    say("--- in containers: first deployment");
    project.run(&["local", "up", "--containers"]).expect(0);
    let deploy = ["deploy", "--env", "local", "--yes", "--format", "json"];
    let result = project.run_with(&deploy, system_python()).expect(0).json();
    assert_eq!(result["outcome"], "deployed", "{result}");
    say(&format!("    {} s", result["seconds"]));
    drop(server);
    let names = containers(&project);
    for component in ["api-server", "scheduler", "scaler", "dag-processor", "triggerer", "worker"] {
        assert!(names.iter().any(|name| name.ends_with(&format!("-{component}"))), "{component}: {names:?}");
    }
    say("--- in containers: a DAG");
    assert_eq!(run_probe(&project.airflow()), ["one", "one one"]);

    say("--- in containers: a command, a session");
    let shown = "import os, sys; print(os.getuid(), sys.prefix); sys.exit(7)";
    let run = project.run(&["run", "--env", "local", "--", "python", "-c", shown]).expect(7);
    assert!(run.stdout.contains("50000 /opt/ductwork/venv"), "{}{}", run.stdout, run.stderr);
    let version = project.run(&["exec", "--env", "local", "scheduler", "--", "airflow", "version"]).expect(0);
    assert!(version.stdout.contains("\n3."), "{}{}", version.stdout, version.stderr);

    say("--- in containers: destroy");
    project.run(&["destroy", "--env", "local", "--yes"]).expect(0);
    until("the end of every container", || containers(&project).is_empty());
    project.run(&["local", "down"]).expect(0);
    let volumes = docker(&["volume", "ls", "--quiet"]);
    let task = names.iter().find_map(|name| name.strip_suffix("-api-server")).unwrap();
    assert!(!volumes.iter().any(|volume| volume.starts_with(task)), "{volumes:?}");
}

/// Those of this project's tasks, whatever they do.
fn containers(project: &Project) -> Vec<String> {
    let format = "{{.Names}} {{.Label \"ductwork.folder\"}}";
    let all = docker(&["ps", "--all", "--filter", "label=ductwork.folder", "--format", format]);
    let own = |line: &String| line.contains(project.path().to_str().unwrap());
    all.into_iter().filter(own).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn docker(words: &[&str]) -> Vec<String> {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
