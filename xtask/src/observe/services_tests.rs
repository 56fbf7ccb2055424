//! What services are seen to run, and with how many questions.

use super::*;
use crate::doors::fake_ecs::FakeEcs;
use serde_json::json;
use std::time::Duration;

fn outputs() -> BTreeMap<String, String> {
    let pairs = [
        ("ClusterName", "c"),
        ("ApiServerService", "arn:aws:ecs:r:1:service/c/api"),
        ("ApiServerTaskDefinition", "arn:aws:ecs:r:1:task-definition/api:2"),
        ("WorkerService", "worker"),
        ("WorkerTaskDefinition", "worker:2"),
        ("WorkerSets", r#"{"default": {"prefix": "Worker"}}"#),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

async fn seen(ecs: &FakeEcs) -> Vec<ServiceState> {
    let parameters = [("Image".to_owned(), "r/i@sha256:2".to_owned())].into();
    read(&ecs.aws(), &outputs(), &parameters).await.unwrap()
}

#[tokio::test]
async fn services_that_run_the_stack_need_one_question() {
    let ecs = FakeEcs::default()
        .service("arn:aws:ecs:r:1:service/c/api", "arn:aws:ecs:r:1:task-definition/api:2", 2)
        .says("arn:aws:ecs:r:1:service/c/api", "serviceName", "api".into())
        .service("worker", "worker:2", 1)
        .says("worker", "runningCount", 4.into());
    let states = seen(&ecs).await;
    let told = |one: &ServiceState| (one.title.clone(), one.current, one.running, one.wanted, one.draining);
    let expected = [("api-server", true, 2, 2, 0), ("worker default", true, 1, 1, 3)];
    let expected = expected
        .map(|(title, current, running, wanted, left)| (title.to_owned(), current, running, wanted, left));
    assert_eq!(states.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(states[0].image.as_deref(), Some("r/i@sha256:2"));
    assert_eq!(states[0].task_definition, "api:2");
    assert_eq!(ecs.asked("DescribeServices").len(), 1);
    assert!(ecs.asked("DescribeTaskDefinition").is_empty());
}

/// Which is no worker of the set's own: whatever it runs, it ends with its work.
#[tokio::test]
async fn a_canary_counts_as_draining() {
    let ecs = FakeEcs::default()
        .service("arn:aws:ecs:r:1:service/c/api", "arn:aws:ecs:r:1:task-definition/api:2", 2)
        .says("arn:aws:ecs:r:1:service/c/api", "serviceName", "api".into())
        .service("worker", "worker:2", 2)
        .service("canary-default", "worker:2", 1);
    let states = seen(&ecs).await;
    let told = states.iter().map(|one| (one.running, one.wanted, one.draining));
    assert_eq!(told.collect::<Vec<_>>(), [(2, 2, 0), (2, 2, 1)]);
    assert_eq!(ecs.asked("DescribeServices").len(), 1);
}

#[tokio::test]
async fn a_service_that_was_moved_or_deleted_or_has_failed_is_seen() {
    let failed = json!([{ "status": "PRIMARY", "runningCount": 0, "rolloutState": "FAILED" }]);
    let ecs = FakeEcs::default()
        .defines("worker:1", "r/i@sha256:1", "FARGATE")
        .service("worker", "worker:1", 1)
        .says("worker", "deployments", failed);
    let states = seen(&ecs).await;
    assert_eq!((states[0].title.as_str(), states[0].task_definition.as_str()), ("api-server", ""));
    assert!(!states[0].current);
    assert_eq!(states[1].image.as_deref(), Some("r/i@sha256:1"));
    assert!(!states[1].current && states[1].failed);
}

/// Each waits for an answer that comes when all have been asked for.
#[tokio::test]
async fn task_definitions_are_asked_for_at_the_same_time() {
    let ecs = FakeEcs::default()
        .defines("api:1", "r/i@sha256:1", "FARGATE")
        .defines("worker:1", "r/i@sha256:2", "FARGATE")
        .service("arn:aws:ecs:r:1:service/c/api", "api:1", 1)
        .says("arn:aws:ecs:r:1:service/c/api", "serviceName", "api".into())
        .service("worker", "worker:1", 1);
    // Of each service, that which runs and that of the stack.
    let aws = ecs.gathering("DescribeTaskDefinition", 4);
    let read = async { read(&aws, &outputs(), &BTreeMap::new()).await };
    let states =
        tokio::time::timeout(Duration::from_secs(60), read).await.expect("all are asked for").unwrap();
    let images: Vec<_> = states.iter().map(|one| one.image.as_deref().unwrap()).collect();
    assert_eq!(images, ["r/i@sha256:1", "r/i@sha256:2"]);
}

/// No release is judged by them: what the plan reads is without them.
#[tokio::test]
async fn the_broker_and_flower_stand_beside_with_images_of_their_own() {
    let ecs = FakeEcs::default()
        .defines("broker:1", "public.ecr.aws/valkey/valkey:8.1.10", "FARGATE")
        .defines("flower:3", "r/i@sha256:1", "FARGATE")
        .service("broker", "broker:1", 1)
        .service("flower", "flower:3", 1);
    let more = [
        ("BrokerService", "broker"),
        ("BrokerTaskDefinition", "broker:1"),
        ("FlowerService", "flower"),
        ("FlowerTaskDefinition", "flower:4"),
    ];
    let mut outputs = outputs();
    outputs.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let states = beside(&ecs.aws(), &outputs).await.unwrap();
    let told = |one: &ServiceState| (one.title.clone(), one.image.clone().unwrap(), one.current, one.running);
    let expected =
        [("broker", "public.ecr.aws/valkey/valkey:8.1.10", true, 1), ("flower", "r/i@sha256:1", false, 1)];
    let expected = expected
        .map(|(title, image, current, running)| (title.to_owned(), image.to_owned(), current, running));
    assert_eq!(states.iter().map(told).collect::<Vec<_>>(), expected);
    let read = read(&ecs.aws(), &outputs, &BTreeMap::new()).await.unwrap();
    assert!(read.iter().all(|one| !["broker", "flower"].contains(&one.title.as_str())), "{read:?}");
}

#[tokio::test]
async fn on_other_engines_nothing_is_asked() {
    let ecs = FakeEcs::default();
    assert_eq!(read(&ecs.aws(), &BTreeMap::new(), &BTreeMap::new()).await.unwrap(), []);
    assert!(ecs.asked("DescribeServices").is_empty());
}
