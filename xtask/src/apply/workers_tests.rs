//! The end of all workers, at an Auto Scaling whose keeper protects a host again.

use super::super::fake::Log;
use super::*;
use crate::doors::fake_ecs::{FakeEcs, of, task};
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::error::ErrorMetadata;
use aws_sdk_autoscaling::operation::delete_lifecycle_hook::DeleteLifecycleHookOutput;
use aws_sdk_autoscaling::operation::describe_auto_scaling_groups::DescribeAutoScalingGroupsOutput;
use aws_sdk_autoscaling::operation::resume_processes::{ResumeProcessesError, ResumeProcessesOutput};
use aws_sdk_autoscaling::operation::set_instance_protection::SetInstanceProtectionOutput;
use aws_sdk_autoscaling::operation::update_auto_scaling_group::{
    UpdateAutoScalingGroupError, UpdateAutoScalingGroupOutput,
};
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LifecycleState};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use serde_json::json;

/// Two hosts, of which the first leaves when its protection is taken away for the second time.
fn protected(log: &Log) -> Aws {
    let (resumed, sizes, hook, freed, seen) =
        (log.clone(), log.clone(), log.clone(), log.clone(), log.clone());
    let resume = mock!(Client::resume_processes).then_compute_output(move |request| {
        resumed.add(format!("resume {}", request.auto_scaling_group_name().unwrap()));
        ResumeProcessesOutput::builder().build()
    });
    let update = mock!(Client::update_auto_scaling_group).then_compute_output(move |request| {
        sizes.add(format!("at most {}", request.max_size().unwrap()));
        UpdateAutoScalingGroupOutput::builder().build()
    });
    let delete = mock!(Client::delete_lifecycle_hook).then_compute_output(move |request| {
        hook.add(format!("no hook {}", request.lifecycle_hook_name().unwrap()));
        DeleteLifecycleHookOutput::builder().build()
    });
    let free = mock!(Client::set_instance_protection).then_compute_output(move |request| {
        assert_eq!(request.protected_from_scale_in(), Some(false));
        freed.add(format!("free {}", request.instance_ids().join(" ")));
        SetInstanceProtectionOutput::builder().build()
    });
    let describe = mock!(Client::describe_auto_scaling_groups).then_compute_output(move |request| {
        let rounds = seen.count("free");
        let host = |id: &str, serves: bool| {
            let state = if serves { LifecycleState::InService } else { LifecycleState::TerminatingWait };
            Instance::builder().instance_id(id).lifecycle_state(state).build()
        };
        let group = AutoScalingGroup::builder()
            .auto_scaling_group_name(&request.auto_scaling_group_names()[0])
            .max_size(0);
        let group = group.instances(host("i-1", rounds < 2)).instances(host("i-2", rounds < 1)).build();
        DescribeAutoScalingGroupsOutput::builder().auto_scaling_groups(group).build()
    });
    aws([&resume, &update, &delete, &free, &describe])
}

fn aws<const N: usize>(rules: [&aws_smithy_mocks::Rule; N]) -> Aws {
    let mut aws = Aws::nowhere();
    aws.autoscaling = mock_client!(aws_sdk_autoscaling, RuleMode::MatchAny, rules);
    aws
}

/// A worker set with hosts of its own, and one on the scheduler's.
fn outputs() -> BTreeMap<String, String> {
    let sets = json!({ "default": { "prefix": "Worker" }, "small": { "prefix": "Small" } }).to_string();
    let none = CONTRACT.outputs.none.clone();
    BTreeMap::from([
        ("WorkerSets".to_owned(), sets),
        ("SchedulerAutoScalingGroup".to_owned(), "schedulers".to_owned()),
        ("WorkerAutoScalingGroup".to_owned(), "workers".to_owned()),
        ("SmallAutoScalingGroup".to_owned(), none),
    ])
}

/// Of engine `ecs-ec2`, whose capacity provider is deleted before the group that it protects hosts of.
#[tokio::test(start_paused = true)]
async fn hosts_of_a_cluster_lose_their_protection_too() {
    let log = Log::default();
    let outputs = BTreeMap::from([(names::outputs::CLUSTER_GROUP.to_owned(), "cluster".to_owned())]);
    dismiss(&protected(&log), &outputs, &Sink::null()).await.unwrap();
    assert_eq!(log.lines(), "at most 0\nno hook drain\nfree i-1 i-2\nfree i-1");
}

#[tokio::test(start_paused = true)]
async fn workers_lose_their_protection_until_all_are_on_their_way_out() {
    let log = Log::default();
    dismiss(&protected(&log), &outputs(), &Sink::null()).await.unwrap();
    assert_eq!(
        log.lines(),
        "resume schedulers\nresume workers\nat most 0\nno hook drain\nfree i-1 i-2\nfree i-1"
    );
}

#[tokio::test]
async fn a_group_that_is_gone_has_no_workers() {
    let unknown = || {
        ErrorMetadata::builder().code("ValidationError").message("AutoScalingGroup name not found").build()
    };
    let gone = mock!(Client::update_auto_scaling_group)
        .then_error(move || UpdateAutoScalingGroupError::generic(unknown()));
    let resume = mock!(Client::resume_processes).then_error(move || ResumeProcessesError::generic(unknown()));
    dismiss(&aws([&resume, &gone]), &outputs(), &Sink::null()).await.unwrap();
}

#[tokio::test]
async fn workers_of_ecs_are_wanted_no_more_and_stopped_whatever_protects_them() {
    let service = |prefix: &str, name: &str| {
        [(format!("{prefix}Service"), name.to_owned()), (format!("{prefix}TaskDefinition"), "t:1".to_owned())]
    };
    let sets = json!({ "default": { "prefix": "Worker" }, "gone": { "prefix": "Gone" } }).to_string();
    let fixed = [("ClusterName".to_owned(), "c".to_owned()), ("WorkerSets".to_owned(), sets)];
    let named = [service("Scheduler", "scheduler"), service("Worker", "workers"), service("Gone", "gone")];
    let outputs: BTreeMap<String, String> = fixed.into_iter().chain(named.into_iter().flatten()).collect();
    let ecs = FakeEcs::default().service("scheduler", "t:1", 1).service("workers", "t:1", 2);
    let ecs = ecs.service("canary-default", "t:1", 1);
    let ecs = ecs.task([of("workers", task("1", "t:1", "RUNNING"))]).protects("2");
    let ecs = ecs.task([of("workers", task("2", "t:1", "RUNNING"))]);
    let ecs = ecs.task([of("canary-default", task("3", "t:1", "RUNNING"))]).protects("3");
    dismiss(&ecs.aws(), &outputs, &Sink::null()).await.unwrap();
    let stopped = |id: &str| format!("stop arn:aws:ecs:r:1:task/c/{id}");
    let own = ["workers x0".to_owned(), stopped("1"), stopped("2")];
    assert_eq!(ecs.calls(), [&own[..], &["canary-default x0".to_owned(), stopped("3")]].concat());
}

/// A task that somebody else runs in the cluster is for its deletion to tell.
#[tokio::test]
async fn external_tasks_end_with_the_workers_that_have_started_them() {
    let outputs: BTreeMap<String, String> = [
        ("ClusterName", "c"),
        ("WorkerSets", r#"{"default": {"prefix": "Worker"}}"#),
        ("WorkerService", "workers"),
        ("WorkerTaskDefinition", "t:1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let alone = |id: &str, family: &str| {
        let mut made = task(id, &format!("arn:aws:ecs:r:1:task-definition/{family}:1"), "RUNNING");
        made["group"] = format!("family:{family}").into();
        [made]
    };
    let ecs = FakeEcs::default().service("workers", "t:1", 0);
    let ecs = ecs.task(alone("1", "c-task-report")).task(alone("2", "other"));
    dismiss(&ecs.aws(), &outputs, &Sink::null()).await.unwrap();
    assert_eq!(ecs.calls(), ["workers x0", "stop arn:aws:ecs:r:1:task/c/1"]);
}

/// Of an environment that leaves them and may come back: how many there may be is left alone.
#[tokio::test]
async fn hosts_that_are_left_lose_their_protection_and_nothing_else() {
    let log = Log::default();
    let_go(&protected(&log), "cluster").await.unwrap();
    assert_eq!(log.lines(), "free i-1 i-2");
}

/// Auto Scaling takes fifty in one request.
#[tokio::test]
async fn a_large_group_loses_its_protection_in_parts() {
    let log = Log::default();
    let freed = log.clone();
    let free = mock!(Client::set_instance_protection).then_compute_output(move |request| {
        freed.add(format!("free {}", request.instance_ids().len()));
        SetInstanceProtectionOutput::builder().build()
    });
    let describe = mock!(Client::describe_auto_scaling_groups).then_compute_output(move |request| {
        let host = |number: usize| {
            let state = LifecycleState::InService;
            Instance::builder().instance_id(format!("i-{number}")).lifecycle_state(state).build()
        };
        let group =
            AutoScalingGroup::builder().auto_scaling_group_name(&request.auto_scaling_group_names()[0]);
        let group = group.set_instances(Some((0..120).map(host).collect())).build();
        DescribeAutoScalingGroupsOutput::builder().auto_scaling_groups(group).build()
    });
    let_go(&aws([&free, &describe]), "workers").await.unwrap();
    assert_eq!(log.lines(), "free 50\nfree 50\nfree 20");
}
