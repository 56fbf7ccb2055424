//! Rollouts to worker sets, at an Auto Scaling that keeps the states of hosts and a CodeDeploy that knows which of them
//! are in service.

use super::super::super::fake::Log;
use super::*;
use crate::doors::fake::Bucket;
use crate::model::digest::Digest;
use aws_sdk_autoscaling as asg;
use aws_sdk_autoscaling::error::ErrorMetadata;
use aws_sdk_autoscaling::operation::describe_auto_scaling_groups::DescribeAutoScalingGroupsOutput;
use aws_sdk_autoscaling::operation::enter_standby::{EnterStandbyError, EnterStandbyOutput};
use aws_sdk_autoscaling::operation::terminate_instance_in_auto_scaling_group::TerminateInstanceInAutoScalingGroupOutput;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LifecycleState};
use aws_sdk_codedeploy as cd;
use aws_sdk_codedeploy::operation::create_deployment::CreateDeploymentOutput;
use aws_sdk_codedeploy::operation::get_deployment::GetDeploymentOutput;
use aws_sdk_codedeploy::operation::get_deployment_group::GetDeploymentGroupOutput;
use aws_sdk_codedeploy::operation::list_deployment_targets::ListDeploymentTargetsOutput;
use aws_sdk_codedeploy::types::{
    DeploymentGroupInfo, DeploymentInfo, DeploymentOverview, DeploymentStatus, ErrorCode, ErrorInformation,
    LastDeploymentInfo, RevisionLocation, S3Location,
};
use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const MARK: &str = "host revision new";
const NOTICE: &str = "environments/dev/canaries/default.json";

/// What both services know.
#[derive(Clone)]
struct World {
    log: Log,
    hosts: Arc<Mutex<Vec<(String, LifecycleState, bool)>>>,
    fewest: i32,
    /// Deployments by their ids, in the order of their start; the last one is the group's.
    deployments: Arc<Mutex<BTreeMap<String, DeploymentInfo>>>,
    /// The new revision is broken.
    breaks: bool,
    /// The answer to the first request for standby is lost, and the second one is refused.
    loses: bool,
    bucket: Bucket,
    canary: Option<Duration>,
}

fn info(id: &str, mark: &str, status: DeploymentStatus) -> DeploymentInfo {
    let place = S3Location::builder().bucket("b").key(format!("hosts/{mark}.zip")).build();
    DeploymentInfo::builder()
        .deployment_id(id)
        .status(status)
        .revision(RevisionLocation::builder().s3_location(place).build())
        .description(mark)
        .deployment_overview(DeploymentOverview::builder().succeeded(1).build())
        .build()
}

impl World {
    /// Hosts by their state and whether they run tasks.
    fn new(hosts: &[(LifecycleState, bool)], fewest: i32) -> Self {
        let named = hosts.iter().enumerate();
        let hosts = named.map(|(at, (state, busy))| (format!("i-{at}"), state.clone(), *busy)).collect();
        let before = info("d-0", "before", DeploymentStatus::Succeeded);
        Self {
            log: Log::default(),
            hosts: Arc::new(Mutex::new(hosts)),
            fewest,
            deployments: Arc::new(Mutex::new(BTreeMap::from([("d-0".to_owned(), before)]))),
            breaks: false,
            loses: false,
            bucket: Bucket::default(),
            canary: None,
        }
    }

    fn count(&self, wanted: &LifecycleState) -> usize {
        self.hosts.lock().unwrap().iter().filter(|(_, state, _)| state == wanted).count()
    }

    /// Hosts that take tasks: those in service, and those on standby.
    fn capacity(&self) -> usize {
        self.count(&LifecycleState::InService) + self.count(&LifecycleState::Standby)
    }

    fn set(&self, ids: &[String], to: &LifecycleState) {
        for (id, state, _) in self.hosts.lock().unwrap().iter_mut() {
            if ids.contains(id) {
                *state = to.clone();
            }
        }
    }

    fn autoscaling(&self) -> asg::Client {
        let (described, stood, ended) = (self.clone(), self.clone(), self.clone());
        let wanted = i32::try_from(self.count(&LifecycleState::InService).max(1)).unwrap();
        // Each look finds a launched host one state further, and an idle one that ends gone.
        let describe = mock!(asg::Client::describe_auto_scaling_groups).then_compute_output(move |_| {
            let mut hosts = described.hosts.lock().unwrap();
            let group = AutoScalingGroup::builder().auto_scaling_group_name("asg").max_size(9);
            let group = group.min_size(described.fewest).desired_capacity(wanted);
            let host = |(id, state, busy): &(String, LifecycleState, bool)| {
                let host = Instance::builder().instance_id(id).lifecycle_state(state.clone());
                host.protected_from_scale_in(*busy).build()
            };
            let group = group.set_instances(Some(hosts.iter().map(host).collect())).build();
            hosts.retain(|(_, state, busy)| *busy || *state != LifecycleState::TerminatingWait);
            for (_, state, _) in hosts.iter_mut() {
                if *state == LifecycleState::Pending {
                    *state = LifecycleState::InService;
                }
            }
            DescribeAutoScalingGroupsOutput::builder().auto_scaling_groups(group).build()
        });
        let stand_by = mock!(asg::Client::enter_standby).then_compute_response(move |request| {
            assert_eq!(request.should_decrement_desired_capacity(), Some(false));
            stood.log.add(format!("standby {}", request.instance_ids().join(" ")));
            stood.set(request.instance_ids(), &LifecycleState::Standby);
            let mut hosts = stood.hosts.lock().unwrap();
            for id in request.instance_ids() {
                hosts.push((format!("{id}+"), LifecycleState::Pending, false));
            }
            if stood.loses {
                let meta = ErrorMetadata::builder().code("ValidationError").message("is not in InService");
                return MockResponse::Error(EnterStandbyError::generic(meta.build()));
            }
            MockResponse::Output(EnterStandbyOutput::builder().build())
        });
        let terminate = mock!(asg::Client::terminate_instance_in_auto_scaling_group).then_compute_output(
            move |request| {
                assert_eq!(request.should_decrement_desired_capacity(), Some(false));
                let id = request.instance_id().unwrap().to_owned();
                ended.log.add(format!("end {id}"));
                ended.set(&[id], &LifecycleState::TerminatingWait);
                let fewest = usize::try_from(ended.fewest).unwrap();
                assert!(ended.capacity() >= fewest, "fewer than `min` take tasks");
                TerminateInstanceInAutoScalingGroupOutput::builder().build()
            },
        );
        mock_client!(aws_sdk_autoscaling, RuleMode::MatchAny, [&describe, &stand_by, &terminate])
    }

    fn codedeploy(&self) -> cd::Client {
        let (grouped, got, created) = (self.clone(), self.clone(), self.clone());
        let group = mock!(cd::Client::get_deployment_group).then_compute_output(move |_| {
            let known = grouped.deployments.lock().unwrap();
            let last = |good: bool| {
                let fits = |info: &&DeploymentInfo| !good || info.status == Some(DeploymentStatus::Succeeded);
                let found = known.values().rev().find(fits)?;
                Some(LastDeploymentInfo::builder().deployment_id(found.deployment_id()?).build())
            };
            let info = DeploymentGroupInfo::builder().set_last_attempted_deployment(last(false));
            let info = info.set_last_successful_deployment(last(true)).build();
            GetDeploymentGroupOutput::builder().deployment_group_info(info).build()
        });
        let get = mock!(cd::Client::get_deployment).then_compute_output(move |request| {
            let known = got.deployments.lock().unwrap();
            let info = known.get(request.deployment_id().unwrap()).cloned();
            GetDeploymentOutput::builder().set_deployment_info(info).build()
        });
        let create = mock!(cd::Client::create_deployment).then_compute_output(move |request| {
            let serving = created.count(&LifecycleState::InService);
            let standby = created.count(&LifecycleState::Standby);
            created.log.add(format!("deploy to {serving}, {standby} on standby"));
            let notice = created.bucket.get(NOTICE);
            if notice["revision"] == request.revision().unwrap().s3_location().unwrap().key().unwrap() {
                created
                    .log
                    .add(format!("they elect within {} min", notice["wait_seconds"].as_u64().unwrap() / 60));
            }
            let mut known = created.deployments.lock().unwrap();
            let id = format!("d-{}", known.len());
            let mark = request.description().unwrap();
            let mut info = info(&id, mark, DeploymentStatus::Succeeded);
            if serving == 0 || (created.breaks && mark == MARK) {
                let code = if serving == 0 { ErrorCode::NoInstances } else { ErrorCode::HealthConstraints };
                info.status = Some(DeploymentStatus::Failed);
                info.error_information = Some(ErrorInformation::builder().code(code).build());
            }
            known.insert(id.clone(), info);
            CreateDeploymentOutput::builder().deployment_id(id).build()
        });
        let targets = mock!(cd::Client::list_deployment_targets)
            .then_output(|| ListDeploymentTargetsOutput::builder().build());
        mock_client!(aws_sdk_codedeploy, RuleMode::MatchAny, [&group, &get, &create, &targets])
    }

    fn aws(&self) -> Aws {
        let mut aws = Aws::nowhere();
        (aws.autoscaling, aws.codedeploy) = (self.autoscaling(), self.codedeploy());
        aws
    }

    async fn rolls(&self, mark: &str, minutes: u64) -> (Result<usize>, String) {
        let key = format!("hosts/{mark}.zip");
        let order = Order { application: "app", group: "workers", bucket: "b", key: &key, mark };
        let store = self.bucket.store();
        let canary = Canary { store: &store, runtime: Digest::of(b"new"), limit: self.canary };
        let budget = Duration::from_secs(60 * minutes);
        let config = "CodeDeployDefault.OneAtATime";
        let hosts = Hosts { set: "default", group: "asg", config, budget, canary };
        let before = self.log.lines().len();
        let result = roll(&self.aws(), &order, &hosts, &Sink::null()).await;
        (result, self.log.lines().get(before..).unwrap_or_default().trim().to_owned())
    }
}

const SERVES: LifecycleState = LifecycleState::InService;

#[tokio::test(start_paused = true)]
async fn a_set_with_more_hosts_than_its_minimum_is_changed_in_place() {
    let world = World::new(&[(SERVES, true), (SERVES, false)], 1);
    let (draining, said) = world.rolls(MARK, 30).await;
    assert_eq!((draining.unwrap(), said.as_str()), (0, "deploy to 2, 0 on standby"));
}

#[tokio::test(start_paused = true)]
async fn one_at_its_minimum_gets_others_before_the_first_stops_taking_tasks() {
    let world = World::new(&[(SERVES, true), (SERVES, false)], 2);
    let (draining, said) = world.rolls(MARK, 30).await;
    assert_eq!(draining.unwrap(), 1, "the idle one is gone, the busy one is told");
    // The first deployment finds nobody, so that new hosts wait for the second.
    assert_eq!(
        said,
        "standby i-0 i-1\ndeploy to 0, 2 on standby\ndeploy to 2, 2 on standby\nend i-0\nend i-1"
    );
}

#[tokio::test(start_paused = true)]
async fn hosts_that_are_on_standby_although_the_answer_was_lost_are_replaced() {
    let world = World { loses: true, ..World::new(&[(SERVES, true)], 1) };
    let (draining, said) = world.rolls(MARK, 30).await;
    assert_eq!(draining.unwrap(), 1, "{said}");
    assert!(said.starts_with("standby i-0\n") && said.ends_with("end i-0"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_hook_workers_drain_after_the_release() {
    let world = World::new(&[(SERVES, true), (SERVES, false)], 0);
    let (draining, said) = world.rolls(MARK, 56).await;
    assert_eq!(draining.unwrap(), 1);
    assert!(said.starts_with("standby i-0 i-1\n"), "{said}");
    // The next release while the first one's host still drains: that goes on, and is told.
    let (draining, said) = world.rolls("host revision newer", 56).await;
    assert_eq!(draining.unwrap(), 1);
    assert!(said.starts_with("standby i-0+ i-1+\n") && !said.contains("end i-0\n"), "{said}");
    assert_eq!(world.count(&LifecycleState::TerminatingWait), 1);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_fails_leaves_the_hosts_of_before_at_work_until_it_is_taken_back() {
    let world = World { breaks: true, ..World::new(&[(SERVES, true)], 1) };
    let (result, said) = world.rolls(MARK, 60).await;
    assert!(result.is_err());
    assert!(!said.contains("end"), "{said}");
    assert_eq!(world.count(&LifecycleState::Standby), 1);
    // On the way back nothing more is launched.
    let (draining, said) = world.rolls("before", 60).await;
    assert_eq!(draining.unwrap(), 1);
    assert_eq!(said, "deploy to 1, 1 on standby\nend i-0");
}

#[tokio::test(start_paused = true)]
async fn what_an_interrupted_rollout_left_ends_once_others_serve() {
    let world = World::new(&[(LifecycleState::Standby, false), (SERVES, true)], 1);
    let store = world.bucket.store();
    let canary = Canary { store: &store, runtime: Digest::of(b"new"), limit: None };
    let hosts = Hosts { set: "default", group: "asg", config: "", budget: Duration::ZERO, canary };
    assert_eq!(settle(&world.aws(), &hosts, &Sink::null()).await.unwrap(), 0);
    assert_eq!(world.log.lines().trim(), "end i-0");
    let (draining, said) = world.rolls(MARK, 56).await;
    assert_eq!(draining.unwrap(), 1);
    assert!(said.starts_with("standby i-1\n"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_set_without_hosts_waits_for_none() {
    let world = World::new(&[], 0);
    let (draining, said) = world.rolls(MARK, 1440).await;
    assert_eq!((draining.unwrap(), said.as_str()), (0, "deploy to 0, 0 on standby"));
}

#[tokio::test(start_paused = true)]
async fn several_hosts_elect_a_canary_and_one_has_nobody_to_wait_for_it() {
    let canary = Some(Duration::from_secs(600));
    let world = World { canary, ..World::new(&[(SERVES, true), (SERVES, false)], 1) };
    let (draining, said) = world.rolls(MARK, 30).await;
    assert_eq!(
        (draining.unwrap(), said.as_str()),
        (0, "deploy to 2, 0 on standby\nthey elect within 28 min")
    );
    for hosts in [vec![(SERVES, true)], vec![]] {
        let world = World { canary, ..World::new(&hosts, 0) };
        let (result, said) = world.rolls(MARK, 30).await;
        assert!(result.is_ok() && !said.contains("elect"), "{said}");
    }
}

/// Those on standby take tasks meanwhile.
#[tokio::test(start_paused = true)]
async fn hosts_that_were_launched_elect_a_canary_among_them() {
    let canary = Some(Duration::from_secs(50 * 60));
    let world = World { canary, ..World::new(&[(SERVES, true), (SERVES, true)], 0) };
    let (draining, said) = world.rolls(MARK, 30).await;
    assert_eq!(draining.unwrap(), 2);
    assert_eq!(
        said,
        "standby i-0 i-1\ndeploy to 0, 2 on standby\ndeploy to 2, 2 on standby\nthey elect within 58 min\nend i-0\nend i-1"
    );
}
