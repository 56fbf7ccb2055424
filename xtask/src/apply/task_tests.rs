//! Tasks that end by themselves: started once, followed, and explained.

use super::*;
use crate::doors::fake_ecs::{FakeEcs, ended, task};
use crate::report::error;

const MIGRATE: &str = "arn:aws:ecs:r:1:task-definition/migrate:3";

pub(crate) fn place() -> Place {
    let outputs = [
        ("ClusterName", "c"),
        ("CapacityProvider", "p"),
        ("TaskSubnetIds", "subnet-1,subnet-2"),
        ("TaskSecurityGroupId", "sg-1"),
        ("AssignPublicIp", "ENABLED"),
    ];
    Place::of(&outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap()
}

fn cluster(kind: &str) -> FakeEcs {
    FakeEcs::default().defines(MIGRATE, "r/i@sha256:1", kind)
}

fn way(code: i32) -> [Value; 3] {
    ["PROVISIONING", "RUNNING"]
        .map(|status| task("t-1", MIGRATE, status))
        .into_iter()
        .chain([ended("t-1", MIGRATE, code, "Essential container in task exited")])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

/// Starts it and follows it to its end: the end, its states, its lines.
async fn whole(ecs: &FakeEcs) -> (Result<End>, Vec<String>, Vec<String>) {
    let (place, aws) = (place(), ecs.aws());
    let (mut states, mut lines) = (Vec::new(), Vec::new());
    let running = once(&place, &aws, MIGRATE, "ductwork/migrate/1", &Changes::default()).await.unwrap();
    let end = running.end(|state| states.push(state.to_owned()), |line| lines.push(line.to_owned())).await;
    (end, states, lines)
}

#[tokio::test(start_paused = true)]
async fn a_task_is_started_in_its_place_and_followed_to_its_end() {
    let ecs = cluster("FARGATE").starts(way(0)).logs("t-1", &["one", "two", "three"]);
    let (end, states, lines) = whole(&ecs).await;
    assert_eq!(end.unwrap().code, Some(0));
    assert_eq!(states, ["PROVISIONING", "RUNNING", "STOPPED"]);
    assert_eq!(lines, ["one", "two", "three"], "each line once, the late ones too");
    let mut input = ecs.asked("RunTask").remove(0);
    assert!(input["clientToken"].take().is_string());
    insta::assert_snapshot!(serde_json::to_string_pretty(&input).unwrap(), @r#"
    {
      "taskDefinition": "arn:aws:ecs:r:1:task-definition/migrate:3",
      "count": 1,
      "startedBy": "ductwork/migrate/1",
      "clientToken": null,
      "propagateTags": "TASK_DEFINITION",
      "networkConfiguration": {
        "awsvpcConfiguration": {
          "subnets": [
            "subnet-1",
            "subnet-2"
          ],
          "securityGroups": [
            "sg-1"
          ],
          "assignPublicIp": "ENABLED"
        }
      },
      "launchType": "FARGATE",
      "cluster": "c"
    }
    "#);
}

/// On EC2 the strategy of the cluster decides where.
#[tokio::test(start_paused = true)]
async fn what_a_caller_changes_is_an_override() {
    let run = async |kind: &str, changes: Changes| {
        let ecs = cluster(kind).starts(way(0));
        let (place, aws) = (place(), ecs.aws());
        let started = start(&place, &aws, MIGRATE, "me", &changes).await.map(drop);
        started.map(|()| ecs.asked("RunTask").remove(0))
    };
    let command = Some(vec!["airflow".to_owned(), "a b; $HOME".to_owned()]);
    let changes = Changes { command, cpu: Some(2048), memory: Some(4096), spot: true };
    let input = run("FARGATE", changes.clone()).await.unwrap();
    let overridden = json!({
        "cpu": "2048", "memory": "4096",
        "containerOverrides": [{ "name": "airflow", "command": ["airflow", "a b; $HOME"] }],
    });
    assert_eq!(input["overrides"], overridden);
    assert_eq!(input["capacityProviderStrategy"][0]["capacityProvider"], "FARGATE_SPOT");
    assert!(input.get("launchType").is_none(), "ECS takes one or the other");
    let plain = run("EC2", Changes::default()).await.unwrap();
    for key in ["launchType", "capacityProviderStrategy", "overrides"] {
        assert!(plain.get(key).is_none(), "{key}");
    }
    let managed = run("MANAGED_INSTANCES", Changes::default()).await.unwrap();
    assert_eq!(managed["capacityProviderStrategy"], json!([{ "capacityProvider": "p", "weight": 1 }]));
    assert!(managed.get("launchType").is_none());
    assert_eq!(run("EC2", changes).await.unwrap_err().kind(), crate::fail::Kind::Usage);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_deployment_finds_its_task_again() {
    let ours = |id: &str, definition: &str| {
        let mut task = task(id, definition, "RUNNING");
        task["startedBy"] = "ductwork/migrate/1".into();
        task
    };
    let mut end = ours("t-1", MIGRATE);
    end["lastStatus"] = "STOPPED".into();
    end["containers"][0]["exitCode"] = 0.into();
    let ecs = cluster("FARGATE").task([ours("t-1", MIGRATE), ours("t-1", MIGRATE), end]);
    assert_eq!(whole(&ecs).await.0.unwrap().code, Some(0));
    assert_eq!(ecs.calls(), [""; 0]);
    // One of another revision is another migration.
    let ecs = cluster("FARGATE").task([ours("t-0", "older")]).starts(way(0));
    whole(&ecs).await.0.unwrap();
    assert_eq!(ecs.calls(), [format!("run {MIGRATE}")]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_starts_no_second_task_and_throttling_fails_none() {
    let ecs = cluster("FARGATE").starts(way(0)).refuses("RunTask", 3).loses("RunTask", 2);
    let ecs = ecs.refuses("DescribeTasks", 3 * MISSES);
    assert_eq!(whole(&ecs).await.0.unwrap().code, Some(0));
    assert_eq!(ecs.calls(), [format!("run {MIGRATE}")]);
    assert_eq!(ecs.asked("RunTask").len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_placed_says_why() {
    let why = json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:MEMORY", "arn": "instance/1" }] });
    let ecs = cluster("EC2").starts([why]);
    let (place, aws) = (place(), ecs.aws());
    let fail = once(&place, &aws, MIGRATE, "me", &Changes::default()).await.map(drop).unwrap_err();
    assert_eq!(fail.causes(), ["RESOURCE:MEMORY: instance/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_its_reasons_and_its_last_lines() {
    let lines: Vec<String> = (0..30).map(|number| format!("line {number}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let ecs = cluster("FARGATE").starts(way(3)).logs("t-1", &lines);
    let (place, aws) = (place(), ecs.aws());
    let running = once(&place, &aws, MIGRATE, "me", &Changes::default()).await.unwrap();
    let end = running.end(|_| (), |_| ()).await.unwrap();
    let told = error::text(&failed(&running, &end, "it failed").await);
    assert!(told.contains("container airflow of task t-1: exit code 3"), "{told}");
    assert!(told.contains("line 29") && told.contains("line 10") && !told.contains("line 9\n"), "{told}");
    // One whose image cannot be pulled has neither code nor log.
    let mut never = task("t-2", MIGRATE, "STOPPED");
    never["stoppedReason"] = "CannotPullContainerError: not found".into();
    let ecs = cluster("FARGATE").starts([task("t-2", MIGRATE, "PENDING"), never]);
    let aws = ecs.aws();
    let running = once(&place, &aws, MIGRATE, "me", &Changes::default()).await.unwrap();
    let end = running.end(|_| (), |_| ()).await.unwrap();
    assert_eq!(end.code, None);
    let fail = failed(&running, &end, "it failed").await;
    assert_eq!(fail.causes(), ["task t-2: CannotPullContainerError: not found"]);
}
