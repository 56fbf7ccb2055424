//! Elections at a CodeDeploy whose hosts do in their hooks what `ductwork_airflow/hosts/canary.py` does, all at once.

use super::super::super::fake::Log;
use super::super::codedeploy::{self, Order};
use super::*;
use crate::doors::fake::Bucket;
use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::operation::batch_get_deployment_targets::BatchGetDeploymentTargetsOutput;
use aws_sdk_codedeploy::operation::create_deployment::CreateDeploymentOutput;
use aws_sdk_codedeploy::operation::get_deployment::GetDeploymentOutput;
use aws_sdk_codedeploy::operation::get_deployment_group::GetDeploymentGroupOutput;
use aws_sdk_codedeploy::operation::list_deployment_targets::ListDeploymentTargetsOutput;
use aws_sdk_codedeploy::types::{
    DeploymentGroupInfo, DeploymentInfo, DeploymentOverview, DeploymentStatus, DeploymentTarget, Diagnostics,
    InstanceTarget, LifecycleEvent, LifecycleEventStatus,
};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const KEY: &str = "hosts/new.zip";
const NOTICE: &str = "environments/dev/canaries/default.json";
const LIMIT: Duration = Duration::from_secs(600);

#[derive(Clone)]
struct Fleet {
    bucket: Bucket,
    log: Log,
    /// The state of each host, by its number.
    hosts: Arc<Mutex<Vec<TargetStatus>>>,
    /// How the tasks of the canary end, if any come.
    tasks: Option<&'static str>,
    /// Their revision takes part.
    knows: bool,
    breaks: bool,
}

impl Fleet {
    fn new(hosts: usize) -> Self {
        Self {
            bucket: Bucket::default(),
            log: Log::default(),
            hosts: Arc::new(Mutex::new(vec![TargetStatus::InProgress; hosts])),
            tasks: None,
            knows: true,
            breaks: false,
        }
    }

    /// What each host does between two looks of the tool.
    fn step(&self) {
        let mut hosts = self.hosts.lock().unwrap();
        let open = |state: &TargetStatus| *state == TargetStatus::InProgress;
        let others: Vec<usize> = (0..hosts.len()).filter(|at| open(&hosts[*at])).collect();
        for at in others {
            hosts[at] = self.hook(at);
        }
        if hosts.first() == Some(&TargetStatus::Succeeded) {
            self.receipt();
        }
    }

    fn hook(&self, at: usize) -> TargetStatus {
        let notice = self.bucket.get(NOTICE);
        if self.knows && notice["revision"] == KEY {
            let key = format!("receipts/dev/claims/{}.json", notice["token"].as_str().unwrap());
            if self.bucket.get(&key).is_null() {
                self.bucket.set(&key, &json!({ "host": format!("i-{at}") }));
            }
            let waits = self.bucket.get(&key)["host"] != format!("i-{at}");
            match notice["verdict"].as_str() {
                None if waits => return TargetStatus::InProgress,
                Some("no") => return TargetStatus::Failed,
                _ => {}
            }
        }
        self.log.add(format!("i-{at} changes"));
        if self.breaks { TargetStatus::Failed } else { TargetStatus::Succeeded }
    }

    fn receipt(&self) {
        let mut receipt = json!({ "component": "worker", "id": "i-0", "started": "t",
            "revision": Digest::of(b"new").to_string() });
        if let Some(state) = self.tasks {
            receipt["task"] = json!({ "dag_id": "etl", "run_id": "r", "task_id": "load", "try_number": 1,
                "state": state, "ended": "e" });
        }
        self.bucket.set("receipts/dev/i-0/worker.json", &receipt);
    }

    fn info(&self) -> DeploymentInfo {
        let hosts = self.hosts.lock().unwrap();
        let count =
            |wanted: &TargetStatus| i64::try_from(hosts.iter().filter(|one| *one == wanted).count()).unwrap();
        let (open, failed) = (count(&TargetStatus::InProgress), count(&TargetStatus::Failed));
        let status = match (open, failed) {
            (0, 0) => DeploymentStatus::Succeeded,
            (0, _) => DeploymentStatus::Failed,
            _ => DeploymentStatus::InProgress,
        };
        let overview = DeploymentOverview::builder().in_progress(open).failed(failed);
        let overview = overview.succeeded(count(&TargetStatus::Succeeded)).build();
        DeploymentInfo::builder().deployment_id("d-1").status(status).deployment_overview(overview).build()
    }

    fn target(&self, id: &str) -> DeploymentTarget {
        let at: usize = id.trim_start_matches("i-").parse().unwrap();
        let state = self.hosts.lock().unwrap()[at].clone();
        let why = Diagnostics::builder().message("ScriptFailed").log_tail(format!("{id} says why")).build();
        let event = LifecycleEvent::builder().lifecycle_event_name("AfterInstall").diagnostics(why);
        let event = event.status(LifecycleEventStatus::from(state.as_str())).build();
        let instance = InstanceTarget::builder().target_id(id).status(state).lifecycle_events(event).build();
        DeploymentTarget::builder().instance_target(instance).build()
    }

    fn aws(&self) -> Aws {
        let (got, listed, read) = (self.clone(), self.clone(), self.clone());
        let group = mock!(Client::get_deployment_group).then_output(|| {
            let group = DeploymentGroupInfo::builder().build();
            GetDeploymentGroupOutput::builder().deployment_group_info(group).build()
        });
        let create = mock!(Client::create_deployment)
            .then_output(|| CreateDeploymentOutput::builder().deployment_id("d-1").build());
        let get = mock!(Client::get_deployment).then_compute_output(move |_| {
            got.step();
            GetDeploymentOutput::builder().deployment_info(got.info()).build()
        });
        let list = mock!(Client::list_deployment_targets).then_compute_output(move |request| {
            let wanted = request.target_filters().unwrap().values().next().unwrap()[0].clone();
            let hosts = listed.hosts.lock().unwrap();
            // The canary is the last one that CodeDeploy names.
            let ids = (0..hosts.len()).rev().filter(|at| hosts[*at].as_str() == wanted);
            let ids = ids.map(|at| format!("i-{at}")).collect();
            ListDeploymentTargetsOutput::builder().set_target_ids(Some(ids)).build()
        });
        let batch = mock!(Client::batch_get_deployment_targets).then_compute_output(move |request| {
            let targets = request.target_ids().iter().map(|id| read.target(id)).collect();
            BatchGetDeploymentTargetsOutput::builder().set_deployment_targets(Some(targets)).build()
        });
        let rules = [&group, &create, &get, &list, &batch];
        let mut aws = Aws::nowhere();
        aws.codedeploy = mock_client!(aws_sdk_codedeploy, RuleMode::MatchAny, rules);
        aws
    }

    async fn rolls(&self, limit: Option<Duration>) -> Result<()> {
        let store = self.bucket.store();
        let order = Order { application: "app", group: "workers", bucket: "b", key: KEY, mark: "new" };
        let of = Canary { store: &store, runtime: Digest::of(b"new"), limit };
        let mut election = Election::new(of, "default", KEY, LIMIT * 2);
        codedeploy::roll(&self.aws(), &order, Some(&mut election), &self.log.sink()).await
    }

    fn verdict(&self) -> Value {
        self.bucket.get(NOTICE)["verdict"].clone()
    }

    fn said(&self) -> String {
        self.log.lines()
    }
}

#[tokio::test(start_paused = true)]
async fn the_others_follow_once_the_canary_has_run_a_task() {
    let fleet = Fleet { tasks: Some("success"), ..Fleet::new(3) };
    fleet.rolls(Some(LIMIT)).await.unwrap();
    let said = fleet.said();
    let noted = said.find("note: workers: the canary i-0 has run etl r load (try 1); the others follow");
    let (first, next) = (said.find("i-0 changes"), said.find("i-1 changes"));
    assert!(first < noted && noted < next && next.is_some(), "{said}");
    let notice = fleet.bucket.get(NOTICE);
    assert_eq!((&notice["verdict"], &notice["wait_seconds"]), (&json!("go"), &json!(1200)));
}

#[tokio::test(start_paused = true)]
async fn nobody_follows_a_canary_whose_tasks_fail() {
    let fleet = Fleet { tasks: Some("failure"), ..Fleet::new(3) };
    let fail = fleet.rolls(Some(LIMIT)).await.unwrap_err();
    let told = fail.to_string();
    assert!(
        told.starts_with("the canary of workers ran no task that ended well within 10 min: i-0: "),
        "{told}"
    );
    assert!(told.contains("i-0: the last one failed: etl r load (try 1)"), "{told}");
    let said = fleet.said();
    assert_eq!((said.matches("changes").count(), fleet.verdict()), (1, json!("no")), "{said}");
    assert!(said.contains("i-0 is the canary, waits for its first task, 5 of 10 min"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn without_a_task_they_follow_when_the_time_is_over() {
    let fleet = Fleet::new(2);
    let watch = Stopwatch::start();
    fleet.rolls(Some(LIMIT)).await.unwrap();
    assert!(watch.elapsed() >= LIMIT, "{:?}", watch.elapsed());
    let said = fleet.said();
    assert!(said.contains("note: workers: no task came to the canary i-0 within 10 min"), "{said}");
    assert_eq!((said.matches("changes").count(), fleet.verdict()), (2, json!("go")));
    // Hosts take a notice that nobody renews for abandoned after ten minutes.
    let renewed = fleet.bucket.lines().iter().filter(|line| line.ends_with(NOTICE)).count();
    assert!((9..=12).contains(&renewed), "{renewed}");
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_breaks_ends_the_wait_of_the_others() {
    let fleet = Fleet { breaks: true, ..Fleet::new(3) };
    let fail = fleet.rolls(Some(LIMIT)).await.unwrap_err();
    let told = fail.to_string();
    assert!(told.starts_with("deployment `d-1` to group `workers` failed"), "{told}");
    let place = |host: &str| told.find(&format!("{host} says why"));
    assert!(place("i-0").is_some() && place("i-0") < place("i-2"), "the reason comes first: {told}");
    let notice = fleet.bucket.get(NOTICE);
    assert_eq!(notice["why"], "its canary, i-0, did not get the revision");
    assert_eq!(fleet.said().matches("changes").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn hosts_of_a_revision_that_knows_no_canary_are_changed_and_that_is_told() {
    let fleet = Fleet { knows: false, ..Fleet::new(2) };
    fleet.rolls(Some(LIMIT)).await.unwrap();
    let said = fleet.said();
    assert!(said.contains("no canary, because the revision that its hosts had knows none"), "{said}");
    assert_eq!(fleet.verdict(), "go", "whoever meets the notice later goes on");
}

#[tokio::test(start_paused = true)]
async fn without_a_canary_nothing_is_written() {
    let fleet = Fleet::new(2);
    fleet.rolls(None).await.unwrap();
    assert_eq!(fleet.bucket.lines(), [""; 0]);
}

fn left(bucket: &Bucket, revision: &str, verdict: &Value) {
    let notice = json!({ "revision": revision, "token": "left", "wait_seconds": 9, "verdict": verdict });
    bucket.set(NOTICE, &notice);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_tool_that_was_killed_gets_a_word() {
    // What was left, whether there is to be a canary now, and what hosts read before anything is waited for.
    let cases = [
        (KEY, json!(null), true, json!("no")),
        (KEY, json!(null), false, json!("go")),
        (KEY, json!("no"), false, json!("go")),
        (KEY, json!("no"), true, json!("no")),
        ("hosts/other.zip", json!(null), false, json!("no")),
        ("hosts/other.zip", json!(null), true, json!("no")),
        ("hosts/other.zip", json!("no"), false, json!("no")),
        ("hosts/other.zip", json!("go"), true, json!("go")),
    ];
    for (revision, verdict, canary, expected) in cases {
        let bucket = Bucket::default();
        left(&bucket, revision, &verdict);
        let store = bucket.store();
        let of = Canary { store: &store, runtime: Digest::of(b"new"), limit: canary.then_some(LIMIT) };
        Election::new(of, "default", KEY, LIMIT).prepare().await.unwrap();
        let notice = bucket.get(NOTICE);
        assert_eq!(
            (&notice["verdict"], &notice["token"]),
            (&expected, &json!("left")),
            "{revision} {verdict}"
        );
        let changed = expected != verdict;
        assert_eq!(bucket.lines().len(), usize::from(changed), "{revision} {verdict} {canary}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_deployment_has_an_election_of_its_own() {
    let fleet = Fleet { tasks: Some("success"), ..Fleet::new(2) };
    left(&fleet.bucket, KEY, &Value::Null);
    fleet.bucket.set("receipts/dev/claims/left.json", &json!({ "host": "i-gone" }));
    fleet.rolls(Some(LIMIT)).await.unwrap();
    assert_ne!(fleet.bucket.get(NOTICE)["token"], "left");
    assert_eq!(fleet.said().matches("changes").count(), 2);
}

/// Whoever took the lease over has written a notice of its own.
#[tokio::test(start_paused = true)]
async fn a_tool_that_lost_its_lease_does_not_speak_for_another_one() {
    let fleet = Fleet { tasks: Some("success"), ..Fleet::new(2) };
    let store = fleet.bucket.store();
    let of = Canary { store: &store, runtime: Digest::of(b"new"), limit: Some(LIMIT) };
    let mut election = Election::new(of, "default", KEY, LIMIT);
    election.open().await.unwrap();
    left(&fleet.bucket, "hosts/other.zip", &Value::Null);
    assert!(election.say(Word::Go, "").await.unwrap_err().to_string().contains("somebody else has written"));
    assert!(election.close(false, "workers", &fleet.log.sink()).await.is_none());
    assert_eq!(fleet.bucket.get(NOTICE)["token"], "left");
    assert!(fleet.said().contains("give up by themselves"), "{}", fleet.said());
}
