//! Services: when one is moved, whose deployment is followed, and what its end means.

use super::super::super::fake::Log;
use super::*;
use crate::doors::fake_ecs::{FakeEcs, deployment, ended, task};
use crate::report::error;
use serde_json::{Value, json};

const NEW: &str = "arn:aws:ecs:r:1:task-definition/api:2";
const OLD: &str = "arn:aws:ecs:r:1:task-definition/api:1";

fn order() -> Order<'static> {
    Order {
        title: "api-server",
        service: "api",
        definition: NEW,
        count: Count::Any,
        anew: false,
        protects: false,
    }
}

fn workers() -> Order<'static> {
    Order { title: "worker default", protects: true, ..order() }
}

/// A service that runs the release before.
fn before() -> FakeEcs {
    FakeEcs::default().service("api", OLD, 2).deployed("api", [deployment("SUCCESSFUL", OLD, 2, 2)])
}

async fn rolled(ecs: &FakeEcs, order: &Order<'_>) -> Result<usize> {
    let aws = ecs.aws();
    roll(Cluster { aws: &aws, name: "c" }, order, &Sink::null()).await
}

async fn seen(ecs: &FakeEcs, order: &Order<'_>) -> Seen {
    let aws = ecs.aws();
    look(Cluster { aws: &aws, name: "c" }, order).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_a_deployment_that_succeeded_on_the_revision_is_a_success() {
    let ends = [
        (deployment("SUCCESSFUL", NEW, 2, 2), true),
        (deployment("ROLLBACK_SUCCESSFUL", NEW, 0, 2), false),
        (deployment("ROLLBACK_FAILED", NEW, 0, 2), false),
        (deployment("STOPPED", NEW, 1, 2), false),
    ];
    for (end, success) in ends {
        let way = ["PENDING", "IN_PROGRESS"].map(|status| deployment(status, NEW, 0, 2));
        let ecs = before().defines(NEW, "i", "FARGATE").begins("api", way.into_iter().chain([end.clone()]));
        assert_eq!(rolled(&ecs, &order()).await.is_ok(), success, "{end}");
        assert_eq!(ecs.calls(), [format!("update api to {NEW}")]);
    }
}

/// What CloudFormation and the waiters of AWS call stable.
#[tokio::test(start_paused = true)]
async fn a_rollback_of_the_circuit_breaker_is_told_on_one_screen() {
    let mut end = deployment("ROLLBACK_SUCCESSFUL", NEW, 0, 2);
    end["rollback"] = json!({ "reason": "Service deployment rolled back because of the circuit breaker." });
    end["deploymentCircuitBreaker"] = json!({ "status": "TRIGGERED", "failureCount": 3, "threshold": 3 });
    let under_way = deployment("ROLLBACK_IN_PROGRESS", NEW, 0, 2);
    let mut last = ended("t-2", NEW, 1, "Essential container in task exited");
    last["stoppedAt"] = 2.5.into();
    let ecs = before()
        .defines(NEW, "i", "FARGATE")
        .begins("api", [deployment("IN_PROGRESS", NEW, 0, 2), under_way.clone(), under_way, end])
        .task([ended("t-0", OLD, 0, "Scaling activity initiated by deployment")])
        .task([ended("t-1", NEW, 1, "Essential container in task exited")])
        .task([last])
        .logs("t-2", &["Traceback", "ModuleNotFoundError: No module named 'plugin'"])
        .says(
            "api",
            "events",
            json!([
                { "message": "(service api) rolling back to deployment 1." },
                { "message": "(service api) has reached a steady state." },
                { "message": "(service api) (task t-2) failed container health checks." },
            ]),
        );
    let fail = rolled(&ecs, &order()).await.unwrap_err();
    insta::assert_snapshot!(error::text(&fail), @r"
    error: the deployment of service `api` failed
      caused by: ECS has taken it back (ROLLBACK_SUCCESSFUL)
      caused by: Service deployment rolled back because of the circuit breaker.
      caused by: its circuit breaker stands at 3 failed tasks of 3
      caused by: task t-2: Essential container in task exited
      caused by: container airflow of task t-2: exit code 1
      caused by: task t-1: Essential container in task exited
      caused by: container airflow of task t-1: exit code 1
      caused by: the last lines of container airflow of task t-2:
        Traceback
        ModuleNotFoundError: No module named 'plugin'
      caused by: (service api) rolling back to deployment 1.
      caused by: (service api) (task t-2) failed container health checks.

    hint: repair what the task says; its whole log is that of `api-server` in the
          log group of the environment
    ");
}

#[tokio::test(start_paused = true)]
async fn a_success_on_another_revision_is_none() {
    // Somebody else was quicker than the list of deployments.
    let ecs = before().begins("api", [deployment("SUCCESSFUL", OLD, 2, 2)]);
    let fail = rolled(&ecs, &order()).await.unwrap_err();
    assert!(fail.to_string().starts_with("somebody else has moved service `api`"), "{fail}");
    let way = [deployment("IN_PROGRESS", NEW, 1, 2), deployment("SUCCESSFUL", OLD, 2, 2)];
    let ecs = before().defines(NEW, "i", "FARGATE").deployed("api", way);
    let aws = ecs.aws();
    let fail = follow(Cluster { aws: &aws, name: "c" }, "api/1", &order(), &Sink::null()).await.unwrap_err();
    assert!(fail.causes()[0].starts_with("it succeeded, but with another task definition"), "{fail}");
}

#[tokio::test(start_paused = true)]
async fn throttling_and_lost_answers_fail_no_deployment_that_goes_well() {
    let way = ["PENDING", "IN_PROGRESS", "SUCCESSFUL"].map(|status| deployment(status, NEW, 2, 2));
    let ecs = before()
        .begins("api", way)
        .refuses("UpdateService", 2)
        .loses("UpdateService", 1)
        .refuses("DescribeServiceDeployments", 2)
        .refuses("ListServiceDeployments", 2);
    rolled(&ecs, &order()).await.unwrap();
    // The one that was sent again begins nothing more.
    assert_eq!(ecs.calls(), vec![format!("update api to {NEW}"); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_never_answered_says_that_the_deployment_goes_on() {
    let ecs =
        before().deployed("api", ["IN_PROGRESS", "SUCCESSFUL"].map(|status| deployment(status, NEW, 0, 2)));
    let aws = ecs.aws();
    let cluster = Cluster { aws: &aws, name: "c" };
    let ecs = ecs.refuses("DescribeServiceDeployments", 3 * 10);
    assert_eq!(follow(cluster, "api/1", &order(), &Sink::null()).await.unwrap(), 0, "throttled for a while");
    let _throttled = ecs.refuses("DescribeServiceDeployments", usize::MAX);
    let fail = follow(cluster, "api/1", &order(), &Sink::null()).await.unwrap_err();
    assert_eq!(fail.hints(), [GOES_ON]);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_left_alone_only_if_its_last_deployment_proves_it() {
    let there = || FakeEcs::default().service("api", NEW, 2);
    let proven = || there().deployed("api", [deployment("SUCCESSFUL", NEW, 2, 2)]);
    assert_eq!(seen(&proven(), &order()).await, Seen::There { draining: 0 });
    let other = Seen::Other { from: NEW.to_owned(), tasks: 2 };
    for status in ["PENDING", "IN_PROGRESS", "STOPPED", "STOP_REQUESTED", "ROLLBACK_FAILED"] {
        let ecs = there().deployed("api", [deployment(status, NEW, 2, 2)]);
        assert_eq!(seen(&ecs, &order()).await, other, "{status}");
    }
    assert_eq!(seen(&there(), &order()).await, other, "nobody knows how it came there");
    assert_eq!(seen(&before(), &order()).await, Seen::Other { from: OLD.to_owned(), tasks: 2 });
    let again = Order { anew: true, ..order() };
    assert_eq!(seen(&proven(), &again).await, other, "a secret has changed");
    let counts = [
        (Count::Exactly(2), true),
        (Count::Exactly(1), false),
        (Count::AtLeast(1), true),
        (Count::AtLeast(3), false),
    ];
    for (count, fits) in counts {
        let seen = seen(&proven(), &Order { count, ..order() }).await;
        assert_eq!(matches!(seen, Seen::There { .. }), fits, "{count:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_of_before_an_interruption_is_followed() {
    let way = ["IN_PROGRESS", "IN_PROGRESS", "SUCCESSFUL"].map(|status| deployment(status, NEW, 1, 2));
    let ecs = FakeEcs::default().service("api", NEW, 2).deployed("api", way);
    assert_eq!(rolled(&ecs, &order()).await.unwrap(), 0);
    assert_eq!(ecs.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_ecs_sees_no_change_in_is_deployed_anew() {
    let done = || [deployment("SUCCESSFUL", NEW, 2, 2)];
    let stopped =
        FakeEcs::default().service("api", NEW, 2).deployed("api", [deployment("STOPPED", NEW, 1, 2)]);
    let secret = FakeEcs::default().service("api", NEW, 2).deployed("api", done());
    for (ecs, anew) in [(stopped, false), (secret, true)] {
        let ecs = ecs.begins("api", done());
        rolled(&ecs, &Order { anew, ..order() }).await.unwrap();
        assert_eq!(ecs.calls(), [format!("update api to {NEW}, anew")]);
    }
}

/// Each request would begin another deployment.
#[tokio::test(start_paused = true)]
async fn tasks_are_replaced_once_however_many_answers_are_lost() {
    let done = || [deployment("SUCCESSFUL", NEW, 2, 2)];
    let once = [format!("update api to {NEW}, anew")];
    let there = || FakeEcs::default().service("api", NEW, 2).deployed("api", done()).begins("api", done());
    let anew = Order { anew: true, ..order() };
    let lost = there().loses("UpdateService", 1);
    rolled(&lost, &anew).await.unwrap();
    assert_eq!(lost.calls(), once);
    let throttled = there().refuses("UpdateService", 3).loses("UpdateService", 1);
    rolled(&throttled, &anew).await.unwrap();
    assert_eq!(throttled.calls(), once);
    let throttled = there().refuses("UpdateService", usize::MAX);
    let fail = rolled(&throttled, &anew).await.unwrap_err();
    assert_eq!((fail.message(), throttled.calls()), ("cannot update service `api`", Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_mere_number_of_tasks_begins_no_deployment() {
    let ecs =
        FakeEcs::default().service("api", NEW, 1).deployed("api", [deployment("SUCCESSFUL", NEW, 1, 1)]);
    rolled(&ecs, &Order { count: Count::Exactly(2), ..order() }).await.unwrap();
    assert_eq!(ecs.calls(), [format!("update api to {NEW} x2")]);
    let fewest = Order { count: Count::AtLeast(3), ..order() };
    let ecs = before().begins("api", [deployment("SUCCESSFUL", NEW, 3, 3)]);
    rolled(&ecs, &fewest).await.unwrap();
    assert_eq!(ecs.calls(), [format!("update api to {NEW} x3")]);
}

/// Workers that run the release before, while one of the new revision runs.
fn draining(old: &[(&str, bool)], new: Value) -> FakeEcs {
    let ecs = before().begins("api", [deployment("IN_PROGRESS", NEW, 1, 1)]).task([new]);
    let ecs = ecs.says("api", "desiredCount", 1.into());
    old.iter().fold(ecs, |ecs, (id, protected)| {
        let ecs = ecs.task([task(id, OLD, "RUNNING")]);
        if *protected { ecs.protects(id) } else { ecs }
    })
}

#[tokio::test(start_paused = true)]
async fn workers_that_protect_themselves_hold_no_release_up() {
    let ecs = draining(&[("t-1", true), ("t-2", true)], task("t-9", NEW, "RUNNING"));
    assert_eq!(rolled(&ecs, &workers()).await.unwrap(), 2);
    assert_eq!(seen(&ecs, &workers()).await, Seen::There { draining: 2 }, "nor the next look");
}

#[tokio::test(start_paused = true)]
async fn a_release_waits_for_what_is_not_protected_and_for_workers_that_are_well() {
    let mut sick = task("t-9", NEW, "RUNNING");
    sick["healthStatus"] = "UNKNOWN".into();
    let held = [
        (draining(&[("t-1", true), ("t-2", false)], task("t-9", NEW, "RUNNING")), workers()),
        (draining(&[("t-1", true)], sick), workers()),
        (draining(&[("t-1", true)], task("t-9", NEW, "RUNNING")), order()),
    ];
    for (ecs, order) in held {
        let fail = rolled(&ecs, &order).await.unwrap_err();
        let told = error::text(&fail);
        assert!(told.contains("nothing has changed for 30 minutes: in progress · 1 of 1 running"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_of_the_way_is_told() {
    let way = [("IN_PROGRESS", 0), ("IN_PROGRESS", 1), ("SUCCESSFUL", 2)];
    let ecs = before().begins("api", way.map(|(status, running)| deployment(status, NEW, running, 2)));
    let (log, aws) = (Log::default(), ecs.aws());
    roll(Cluster { aws: &aws, name: "c" }, &order(), &log.sink()).await.unwrap();
    // The first answer is for who looks for the deployment.
    assert_eq!(log.lines(), "progress: api-server: in progress · 1 of 2 running");
}

/// Five thousand tasks in all, and in each set as many of before that go on.
#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figures of `bench/README.md`")]
async fn two_hundred_services_of_many_tasks_are_watched_with_a_call_a_second() {
    let mut ecs = FakeEcs::default().defines(NEW, "i", "FARGATE");
    for number in 0..25 {
        let (new, old) = (format!("new-{number}"), format!("old-{number}"));
        ecs = ecs.task([task(&new, NEW, "RUNNING")]).task([task(&old, OLD, "RUNNING")]).protects(&old);
    }
    let names: Vec<String> = (0..200).map(|number| format!("worker-{number:03}")).collect();
    for name in &names {
        let way = ["PENDING", "IN_PROGRESS"].map(|status| deployment(status, NEW, 25, 25));
        ecs = ecs.service(name, OLD, 25).deployed(name, [deployment("SUCCESSFUL", OLD, 25, 25)]);
        ecs = ecs.begins(name, way);
    }
    let (aws, watch) = (ecs.aws(), Stopwatch::start());
    let cluster = Cluster { aws: &aws, name: "c" };
    for name in &names {
        let order = Order { service: name, ..workers() };
        assert_eq!(roll(cluster, &order, &Sink::null()).await.unwrap(), 25, "those that drain");
    }
    // Before it is watched: the service, its last deployment in two calls, the update.
    let watched = aws.calls() - 4 * names.len();
    let seconds = usize::try_from(watch.elapsed().as_secs()).unwrap();
    assert!(watched <= seconds + names.len(), "{watched} calls in {seconds} s");
    println!("200 services of 25 tasks: {} calls in {seconds} s of the clock of the test", aws.calls());
}

#[tokio::test(start_paused = true)]
async fn no_read_that_fails_for_a_while_fails_a_rollout() {
    let reads = [
        "DescribeServices",
        "ListServiceDeployments",
        "DescribeServiceDeployments",
        "DescribeServiceRevisions",
    ];
    for read in reads {
        let way = ["PENDING", "IN_PROGRESS", "SUCCESSFUL"].map(|status| deployment(status, NEW, 2, 2));
        let ecs = before().begins("api", way).refuses(read, 10);
        rolled(&ecs, &order()).await.unwrap_or_else(|fail| panic!("{read}: {fail}"));
        // A mere number of tasks is no deployment.
        let more = Order { count: Count::AtLeast(4), ..order() };
        let ecs =
            FakeEcs::default().service("api", NEW, 2).deployed("api", [deployment("SUCCESSFUL", NEW, 2, 2)]);
        rolled(&ecs.refuses(read, 10), &more).await.unwrap_or_else(|fail| panic!("{read}: {fail}"));
    }
}
