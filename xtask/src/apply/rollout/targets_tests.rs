//! Rollouts over thousands of hosts, at a CodeDeploy with the limits of AWS.

use super::super::super::fake::{Calls, Log};
use super::super::codedeploy::{Order, roll};
use super::*;
use crate::doors::time::Stopwatch;
use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::error::ErrorMetadata;
use aws_sdk_codedeploy::operation::batch_get_deployment_targets::BatchGetDeploymentTargetsOutput;
use aws_sdk_codedeploy::operation::create_deployment::CreateDeploymentOutput;
use aws_sdk_codedeploy::operation::get_deployment::{GetDeploymentError, GetDeploymentOutput};
use aws_sdk_codedeploy::operation::get_deployment_group::GetDeploymentGroupOutput;
use aws_sdk_codedeploy::operation::list_deployment_targets::ListDeploymentTargetsOutput;
use aws_sdk_codedeploy::types::{DeploymentOverview, DeploymentStatus, DeploymentTarget};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A deployment to so many hosts, half of which have it after so many looks, and all after twice as many; or of which
/// all fail. Every third look is refused.
struct Hosts {
    all: usize,
    looks: usize,
    fail: bool,
}

impl Hosts {
    fn aws(self, calls: &Calls) -> Aws {
        let Self { all, looks, fail } = self;
        let [gets, lists, batches] = std::array::from_fn(|_| calls.clone());
        let (seen, refused) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let start = seen.clone();
        let create = mock!(Client::create_deployment).then_compute_output(move |_| {
            start.store(0, Ordering::Relaxed);
            CreateDeploymentOutput::builder().deployment_id("d-1").build()
        });
        let group =
            mock!(Client::get_deployment_group).then_output(|| GetDeploymentGroupOutput::builder().build());
        let get = mock!(Client::get_deployment).then_compute_response(move |_| {
            gets.add("GetDeployment");
            if refused.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
                let throttled = ErrorMetadata::builder().code("ThrottlingException").message("Rate exceeded");
                return MockResponse::Error(GetDeploymentError::generic(throttled.build()));
            }
            let done = all * (seen.fetch_add(1, Ordering::Relaxed) / looks).min(2) / 2;
            let (done, left) = (i64::try_from(done).unwrap(), i64::try_from(all - done).unwrap());
            let (status, overview) = match (left, fail) {
                (0, true) => (DeploymentStatus::Failed, DeploymentOverview::builder().failed(done)),
                (0, false) => (DeploymentStatus::Succeeded, DeploymentOverview::builder().succeeded(done)),
                _ => (
                    DeploymentStatus::InProgress,
                    DeploymentOverview::builder().succeeded(done).in_progress(left),
                ),
            };
            let info = DeploymentInfo::builder().deployment_id("d-1").status(status);
            let info = info.deployment_overview(overview.build()).build();
            MockResponse::Output(GetDeploymentOutput::builder().deployment_info(info).build())
        });
        let list = mock!(Client::list_deployment_targets).then_compute_output(move |request| {
            lists.add("ListDeploymentTargets");
            assert!(request.target_filters().is_some_and(|filters| filters.len() == 1));
            let at: usize = request.next_token().map_or(0, |token| token.parse().unwrap());
            let ids = (at..all.min(at + 100)).map(|number| format!("i-{number}")).collect();
            let next = (at + 100 < all).then(|| (at + 100).to_string());
            ListDeploymentTargetsOutput::builder().set_target_ids(Some(ids)).set_next_token(next).build()
        });
        let batch = mock!(Client::batch_get_deployment_targets).then_compute_output(move |request| {
            batches.add("BatchGetDeploymentTargets");
            assert!(request.target_ids().len() <= 25, "InstanceIdRequiredException");
            let status = if fail { LifecycleEventStatus::Failed } else { LifecycleEventStatus::InProgress };
            let target = |id: &String| {
                let event =
                    LifecycleEvent::builder().lifecycle_event_name("ApplicationStop").status(status.clone());
                let instance = InstanceTarget::builder().target_id(id).lifecycle_events(event.build());
                DeploymentTarget::builder().instance_target(instance.build()).build()
            };
            let targets = request.target_ids().iter().map(target).collect();
            BatchGetDeploymentTargetsOutput::builder().set_deployment_targets(Some(targets)).build()
        });
        let mut aws = Aws::nowhere();
        let rules = [&create, &group, &get, &list, &batch];
        aws.codedeploy = mock_client!(aws_sdk_codedeploy, RuleMode::MatchAny, rules, |config| config
            .retry_config(aws_config::retry::RetryConfig::disabled()));
        aws
    }
}

fn order(group: &str) -> Order<'_> {
    Order { application: "app", group, bucket: "b", key: "hosts/new.zip", mark: "m" }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figures of `bench/README.md`")]
async fn two_hundred_groups_of_hosts_are_watched_with_a_call_a_second() {
    let (calls, log, watch) = (Calls::new(), Log::default(), Stopwatch::start());
    let aws = Hosts { all: 25, looks: 2, fail: false }.aws(&calls);
    for number in 0..200 {
        roll(&aws, &order(&format!("workers-{number}")), None, &log.sink()).await.unwrap();
    }
    calls.assert_paced();
    assert!(calls.count("GetDeployment") > 200 * 4, "each third look was refused, and failed nothing");
    assert!(log.lines().contains("progress: workers-199: InProgress · 12 of 25 done · ApplicationStop"));
    assert_eq!(log.count("note: cannot read deployment"), log.count("note"), "which was told");
    println!("200 groups of 25 hosts: {} s of the clock of the test", watch.elapsed().as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_look_at_five_thousand_hosts_is_three_calls() {
    let calls = Calls::new();
    let log = Log::default();
    let aws = Hosts { all: 5_000, looks: 5, fail: false }.aws(&calls);
    roll(&aws, &order("workers"), None, &log.sink()).await.unwrap();
    calls.assert_paced();
    let looks = calls.count("GetDeployment");
    assert!(
        calls.count("ListDeploymentTargets") <= looks && calls.count("BatchGetDeploymentTargets") <= looks
    );
    assert!(
        log.lines().contains("workers: InProgress · 2500 of 5000 done · ApplicationStop"),
        "{}",
        log.lines()
    );
}

#[tokio::test(start_paused = true)]
async fn five_thousand_hosts_that_fail_alike_are_one_screen() {
    let calls = Calls::new();
    let aws = Hosts { all: 5_000, looks: 1, fail: true }.aws(&calls);
    let fail = roll(&aws, &order("workers"), None, &crate::model::event::Sink::null()).await.unwrap_err();
    assert_eq!(fail.causes().len(), 7, "{fail}");
    assert!(fail.causes()[1].starts_with("instance i-0: ApplicationStop"), "{fail}");
    assert_eq!(fail.causes()[6], "and 4995 more instances");
    assert_eq!(calls.count("BatchGetDeploymentTargets"), calls.count("ListDeploymentTargets"));
}
