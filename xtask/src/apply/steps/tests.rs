//! The pointer: recorded first, moved by compare-and-swap; and DAGs that nothing is known of.

use super::super::context::Archive;
use super::super::fake::{context, parts, pointer_to, release};
use super::*;
use crate::doors::fake::{Bucket, Server};
use crate::fail::{Fail, Kind};
use crate::model::digest::Digest;
use crate::model::event::Ending;
use crate::model::names;
use crate::model::release::{Parts, Pointer, Release};
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::operation::describe_auto_scaling_groups::DescribeAutoScalingGroupsOutput as Groups;
use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_smithy_mocks::{mock, mock_client};
use serde_json::json;

const POINTER: &str = "environments/dev/current.json";

async fn carried_out(bucket: &Bucket, step: &Step, state: &mut State) -> Result<Ended, Fail> {
    run(&context(bucket.aws()), step, state, &Sink::null()).await
}

async fn move_to(bucket: &Bucket, state: &mut State, name: &str) -> Result<Ended, Fail> {
    let step = pointer_to(&release(name, "h", "t"));
    let ended = carried_out(bucket, &step, state).await?;
    state.running.advance(&step);
    Ok(ended)
}

#[tokio::test]
async fn the_release_is_recorded_before_the_pointer_names_it() {
    let bucket = Bucket::default();
    let mut state = State::default();
    let ended = move_to(&bucket, &mut state, "one").await.unwrap();
    let id = release("one", "h", "t").id().to_owned();
    assert_eq!((ended.ending, ended.summary), (Ending::Done, format!("release {id}")));
    let record = format!("environments/dev/releases/{id}.json");
    assert_eq!(bucket.lines(), [format!("if absent put {record}"), format!("if absent put {POINTER}")]);
    assert_eq!(bucket.get(&record)["id"], id.as_str());
    assert_eq!((&bucket.get(POINTER)["release"], &bucket.get(POINTER)["serial"]), (&id.into(), &1.into()));

    // On with the tag of the write before, and back to a release that is recorded already.
    move_to(&bucket, &mut state, "two").await.unwrap();
    move_to(&bucket, &mut state, "one").await.unwrap();
    assert_eq!(bucket.get(POINTER)["serial"], 3);
}

#[tokio::test]
async fn a_record_names_only_templates_that_are_in_the_bucket() {
    let bucket = Bucket::default();
    let file = tempfile::NamedTempFile::new().unwrap();
    let digest = Digest::of(b"");
    let target = Release::new(Parts { templates: Some(digest), ..parts("one", "h", "t") });
    let mut context = context(bucket.aws());
    context.artifacts.template_set = Some(Archive { digest, path: file.path().to_owned() });
    let mut state = State::default();
    run(&context, &pointer_to(&target), &mut state, &Sink::null()).await.unwrap();
    let set = format!("if absent put {}", names::template_set_key(&digest));
    assert_eq!((bucket.lines()[0].as_str(), state.uploads), (set.as_str(), 1));
}

#[tokio::test]
async fn a_pointer_that_names_it_stays() {
    let bucket = Bucket::default();
    let mut state = State::default();
    move_to(&bucket, &mut state, "one").await.unwrap();
    let (writes, before) = (bucket.lines().len(), state.running.clone());
    assert_eq!(move_to(&bucket, &mut state, "one").await.unwrap().ending, Ending::Skipped);
    assert_eq!((bucket.lines().len(), state.running), (writes, before));
}

#[tokio::test]
async fn a_pointer_that_somebody_moved_is_left_alone() {
    let bucket = Bucket::default();
    let mut state = State::default();
    move_to(&bucket, &mut state, "one").await.unwrap();
    let before = state.running.clone();
    let theirs = Pointer { serial: 2, ..Pointer::next(None, &release("theirs", "h", "t")) };
    bucket.set(POINTER, &theirs);
    let fail = move_to(&bucket, &mut state, "two").await.unwrap_err();
    assert_eq!((fail.kind(), fail.kind().code()), (Kind::Locked, 6));
    assert_eq!(bucket.get(POINTER)["release"], theirs.release);
    assert_eq!(state.running, before, "nothing was touched");
}

#[tokio::test]
async fn dags_that_nothing_is_known_of_are_not_called_verified() {
    let bucket = Bucket::default();
    let step = Step::Dags(release("one", "h", "t").bundle);
    let fail = carried_out(&bucket, &step, &mut State::default()).await.unwrap_err();
    assert!(fail.to_string().contains(".dags.json` is missing or damaged"), "{fail}");
}

#[tokio::test]
async fn smoke_is_left_out_only_if_it_was_proven_before() {
    let target = release("one", "h", "t");
    let step = Step::Smoke { runtime: target.runtime, release: target.id().to_owned() };
    let bucket = Bucket::default();
    // Not proven: it wants to look at Airflow, which has no address here.
    assert!(carried_out(&bucket, &step, &mut State::default()).await.is_err());
    let mut proven = State::default();
    proven.running.proven = true;
    assert_eq!(carried_out(&bucket, &step, &mut proven).await.unwrap().ending, Ending::Skipped);
    proven.running.unsettle_runtime();
    assert!(carried_out(&bucket, &step, &mut proven).await.is_err());
}

#[tokio::test]
async fn sleeping_workers_are_not_waited_for() {
    let server = Server::new(|_| {
        let healthy = json!({ "status": "healthy" });
        let names = ["metadatabase", "scheduler", "dag_processor", "triggerer"];
        (200, names.into_iter().map(|name| (name.to_owned(), healthy.clone())).collect())
    });
    let group = AutoScalingGroup::builder().auto_scaling_group_name("workers").max_size(0).build();
    let groups = mock!(Client::describe_auto_scaling_groups)
        .then_output(move || Groups::builder().auto_scaling_groups(group.clone()).build());
    let mut context = context(Bucket::default().aws());
    context.aws.autoscaling = mock_client!(aws_sdk_autoscaling, [&groups]);
    let sets = json!({ "default": { "prefix": "Worker" } }).to_string();
    let outputs =
        [("AirflowUrl", server.url.as_str()), ("WorkerSets", &sets), ("WorkerAutoScalingGroup", "workers")];
    let outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut state = State { outputs, ..State::default() };
    let target = release("one", "h", "t");
    let step = Step::Smoke { runtime: target.runtime, release: target.id().to_owned() };
    let ended = run(&context, &step, &mut state, &Sink::null()).await.unwrap();
    assert!(ended.summary.contains("the workers sleep"), "{}", ended.summary);
    let asked: Vec<String> = server.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(asked, ["GET /", "GET /api/v2/monitor/health"], "whether it is there, and no smoke run");
}
