//! `airflow`: becomes the host's own command on this machine, and tells the way to it on AWS.

use crate::cloud::{Cloud, KEYS, project};
use crate::project::Project;
use std::io::Write as _;
use std::process::Stdio;

const HOST: &str = "i-0a1b2c3d4e5f67890";

/// Knows a stack with one group of hosts, the schedulers', in which one is in service.
fn cloud() -> Cloud {
    Cloud::answering(|request| {
        let action = request.split_once("Action=").map_or("", |(_, rest)| rest.split('&').next().unwrap());
        let body = match action {
            "GetCallerIdentity" => "<Account>111122223333</Account>".to_owned(),
            "DescribeStacks" => "<Stacks><member><StackName>s</StackName>\
                <CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
                <Outputs><member><OutputKey>SchedulerAutoScalingGroup</OutputKey>\
                <OutputValue>schedulers</OutputValue></member></Outputs></member></Stacks>"
                .to_owned(),
            "DescribeAutoScalingGroups" => {
                assert!(request.contains("=schedulers"), "{request}");
                let host = |id: &str, state: &str| {
                    format!(
                        "<member><InstanceId>{id}</InstanceId><LifecycleState>{state}</LifecycleState></member>"
                    )
                };
                let hosts = [host("i-00000000000000000", "Pending"), host(HOST, "InService")].concat();
                format!(
                    "<AutoScalingGroups><member><AutoScalingGroupName>schedulers</AutoScalingGroupName>\
                     <Instances>{hosts}</Instances></member></AutoScalingGroups>"
                )
            }
            _ => String::new(), // whether the cloud is well
        };
        format!("<{action}Response><{action}Result>{body}</{action}Result></{action}Response>")
    })
}

#[test]
fn on_aws_it_tells_what_to_type() {
    let cloud = cloud();
    let project = project(cloud.port);
    let args = ["airflow", "--env", "other", "--", "dags", "trigger", "probe", "--conf", "{\"a\": 1}"];
    insta::assert_snapshot!(project.refused_with(&args, &KEYS), @r#"
    error: the database of `other` can only be reached from its hosts

    hint: open a session:
          aws ssm start-session --target i-0a1b2c3d4e5f67890 --region eu-central-1
    hint: type there: sudo ductwork-airflow dags trigger probe --conf '{"a": 1}'
    "#);
}

/// A local cloud with a host, whose wrapper is `script`.
fn local(script: &str) -> (Cloud, Project) {
    let (cloud, project) = (cloud(), Project::new());
    let state = format!("{{\"endpoint\": \"http://127.0.0.1:{}\", \"pid\": 1}}", cloud.port);
    project.write(".ductwork/local/cloud.json", &state);
    let wrapper = format!(".ductwork/local/instances/{HOST}/opt/ductwork/revision/bin/airflow");
    project.write(&wrapper, script);
    project.program("bash", "exec /bin/bash \"$@\"");
    (cloud, project)
}

const SCRIPT: &str = "echo \"$$|$*|$DUCTWORK_HOST_ROOT|$AWS_ENDPOINT_URL|$TERM|$AIRFLOW__CORE__EXECUTOR|$AWS_PROFILE|$PWD\"\n\
                      read -r line; echo \"read: $line\"; echo trouble >&2; exit 7\n";

#[test]
fn on_this_machine_the_process_becomes_the_command() {
    let (cloud, project) = local(SCRIPT);
    let mut command = project.command(&["airflow", "--env", "local", "--", "dags", "list", "--help", "a b"]);
    command.envs([("TERM", "xterm"), ("AWS_PROFILE", "mine"), ("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")]);
    command.current_dir(project.path("dags")).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    child.stdin.take().unwrap().write_all(b"asked\n").unwrap();
    let run = project.seen(&child.wait_with_output().unwrap()).expect(7);
    let root = format!("[PROJECT]/.ductwork/local/instances/{HOST}");
    let endpoint = format!("http://127.0.0.1:{}", cloud.port);
    let told = format!("{pid}|dags list --help a b|{root}|{endpoint}|xterm|||[PROJECT]/dags\nread: asked\n");
    assert_eq!(run.stdout, told, "signals of the terminal reach the command, since it is this very process");
    assert_eq!(run.stderr, "trouble\n");
}

#[test]
fn any_command_runs_as_one_of_the_host_and_its_exit_code_is_ours() {
    let (_cloud, project) = local("echo \"$1|$2|$3|$4\"; exit 7\n");
    let run = project.run(&["run", "--env", "local", "--", "python", "-c", "a b"]).expect(7);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("--run|python|-c|a b\n", ""));
    for option in [&["--detach"][..], &["--timeout", "5s"], &["--set", "cpu=1024"]] {
        let refused = project.refused(&[&["run"], option, &["--", "true"]].concat());
        assert!(refused.contains("hint: leave "), "{refused}");
    }
    insta::assert_snapshot!(project.refused(&["run", "--set", "disk=1", "--timeout", "1h", "--", "true"]), @r"
    error: the command line is wrong

      --set: `disk=1` changes nothing of a task
        cure: use `cpu=UNITS` (1024 are one CPU), `memory=MIB` or `spot`
    ");
    assert!(project.refused(&["run", "--timeout", "soon", "--", "true"]).contains("write `90s` or `1h 30m`"));
    let shell = project.run(&["exec", "--env", "local", "scheduler"]).expect(7);
    assert_eq!(shell.stdout, "--run|sh||\n", "hosts of this machine are processes, so a session is one, too");
    insta::assert_snapshot!(project.refused(&["exec", "worker"]), @r"
    error: on EC2 a session is a shell on a host of the schedulers

    hint: open it: cargo xtask exec --env local scheduler
    hint: run one command: cargo xtask run --env local -- airflow info
    ");
}

#[test]
fn a_cloud_that_runs_already_goes_on_as_it_was_started() {
    let (_cloud, project) = local(SCRIPT);
    insta::assert_snapshot!(project.refused(&["local", "up", "--containers"]), @"
    error: the local cloud runs already, with tasks as processes

    hint: stop it first: cargo xtask local down
    ");
    project.run(&["local", "up"]).expect(0);
}

#[test]
fn a_host_without_a_release_of_this_version() {
    let (_cloud, project) = local(SCRIPT);
    project.remove(&format!(".ductwork/local/instances/{HOST}/opt"));
    insta::assert_snapshot!(project.refused(&["airflow", "--", "dags", "list"]), @"
    error: no release with this command runs in `local`

    hint: deploy it: cargo xtask deploy --env local
    ");
}

#[test]
fn arguments_come_after_two_dashes() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused(&["airflow", "dags", "list"]), @"
    error: unexpected argument 'dags' found

    Usage: cargo xtask airflow [OPTIONS] -- <ARGS>...

    For more information, try '--help'.
    ");
}
