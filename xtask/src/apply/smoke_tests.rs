//! The smoke run against a server that answers as Airflow does, and hosts that come as on AWS; the clock is paused.

use super::*;
use crate::doors::fake::Server;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::operation::describe_auto_scaling_groups::DescribeAutoScalingGroupsOutput as Groups;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LifecycleState};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Airflow whose smoke run ends as soon as it is `done`.
fn airflow(done: &Arc<AtomicBool>) -> Server {
    let done = done.clone();
    Server::new(move |asked| {
        let state = if done.load(SeqCst) { "success" } else { "queued" };
        if asked.line.contains("/xcomEntries/") {
            return (200, json!({ "value": { "revision": "r" } }));
        }
        (200, json!({ "state": state, "dag_run_id": "manual__1" }))
    })
}

/// A group whose one wanted host is in the state of `at` by the minutes that have passed.
fn group(at: fn(u64) -> Option<&'static str>) -> Aws {
    let watch = Stopwatch::start();
    let describe = mock!(Client::describe_auto_scaling_groups).then_compute_output(move |request| {
        let name = request.auto_scaling_group_names()[0].clone();
        let group = AutoScalingGroup::builder().auto_scaling_group_name(name).max_size(2).desired_capacity(1);
        let host = at(watch.elapsed().as_secs() / 60).map(|state| {
            Instance::builder().instance_id("i-1").lifecycle_state(LifecycleState::from(state)).build()
        });
        let group = group.set_instances(host.map(|host| vec![host])).build();
        Groups::builder().auto_scaling_groups(group).build()
    });
    let mut aws = Aws::nowhere();
    aws.autoscaling = mock_client!(aws_sdk_autoscaling, RuleMode::MatchAny, [&describe]);
    aws
}

async fn smoked(server: &Server, aws: Option<&Aws>) -> (Result<Value>, u64) {
    let watch = Stopwatch::start();
    let airflow = Airflow::new(&server.url);
    let done = run(&airflow, "release", aws.map(|aws| (aws, "workers")), &Sink::null()).await;
    (done, watch.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_host_on_its_way_is_waited_for_until_its_worker_runs_the_task() {
    let aws = group(|minutes| match minutes {
        0..=2 => None,
        3..=9 => Some("Pending"),
        10..=16 => Some("Pending:Wait"),
        _ => Some("InService"),
    });
    let done = Arc::new(AtomicBool::default());
    let server = airflow(&done);
    let later = tokio::spawn(async move {
        crate::doors::time::sleep(Duration::from_secs(20 * 60)).await;
        done.store(true, SeqCst);
    });
    let (report, took) = smoked(&server, Some(&aws)).await;
    assert_eq!(report.unwrap()["revision"], "r");
    assert!(took >= 20 * 60, "{took} s");
    later.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_takes_nothing_is_not_waited_for_for_ever() {
    let server = airflow(&Arc::default());
    for aws in [None, Some(group(|_| Some("InService")))] {
        let (report, took) = smoked(&server, aws.as_ref()).await;
        let fail = report.unwrap_err();
        assert!(fail.hints()[0].contains("reads the queue"), "{fail}");
        assert!((300..400).contains(&took), "{took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_comes_is_told_as_that() {
    let (report, took) = smoked(&airflow(&Arc::default()), Some(&group(|_| None))).await;
    let fail = report.unwrap_err();
    assert!(fail.causes().iter().any(|cause| cause.contains("1 host requested, with no change")), "{fail}");
    assert!(fail.hints()[0].contains("Auto Scaling group"), "{fail}");
    assert!((1200..1300).contains(&took), "{took} s");
}
