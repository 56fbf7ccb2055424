//! The rollout on ECS: migrated first, then each service in its order, and nothing twice.

use super::super::super::fake::{Log, context};
use super::super::migration;
use super::*;
use crate::doors::fake::Bucket;
use crate::doors::fake_ecs::{FakeEcs, deployment, ended, of, task};
use crate::doors::time::Stopwatch;
use crate::model::event::Ending;
use crate::model::schema::Schema;
use crate::plan::migration::Moving;
use crate::report::error;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksOutput;
use aws_sdk_cloudformation::primitives::DateTime;
use aws_sdk_cloudformation::types::{Output, Parameter, Stack, StackStatus};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(600);
const CANARY: &str = "canary-default";
const MIGRATE: &str = "migrate:2";
/// In the order of a rollout; each has a task definition of its name.
const SERVICES: [&str; 5] = ["ApiServer", "Scheduler", "DagProcessor", "Triggerer", "Worker"];

fn image() -> Digest {
    Digest::of(b"new")
}

fn stack() -> Stack {
    let output = |name: &str, value: &str| Output::builder().output_key(name).output_value(value).build();
    let parameter =
        |name: &str, value: &str| Parameter::builder().parameter_key(name).parameter_value(value).build();
    let mut stack = Stack::builder()
        .stack_name("p-dev")
        .creation_time(DateTime::from_secs(1))
        .stack_status(StackStatus::UpdateComplete)
        .parameters(parameter("Image", &format!("r/i@sha256:{}", image())))
        .parameters(parameter("SchedulerCount", "2"))
        .parameters(parameter("ApiServerCount", "1"))
        .parameters(parameter("ApiServerMaxCount", "4"));
    let fixed = [
        ("ClusterName", "c"),
        ("TaskSubnetIds", "subnet-1"),
        ("TaskSecurityGroupId", "sg-1"),
        ("AssignPublicIp", "DISABLED"),
        ("MigrateTaskDefinition", MIGRATE),
        ("WorkerSets", r#"{"default": {"prefix": "Worker", "min": 1}}"#),
    ];
    for (name, value) in fixed {
        stack = stack.outputs(output(name, value));
    }
    for name in SERVICES {
        stack = stack.outputs(output(&format!("{name}Service"), name));
        stack = stack.outputs(output(&format!("{name}TaskDefinition"), &format!("{name}:2")));
    }
    stack.build()
}

/// Every service at this revision, with one task.
fn cluster(revision: u8) -> FakeEcs {
    let ecs = FakeEcs::default().defines(MIGRATE, "i", "FARGATE");
    SERVICES.iter().fold(ecs, |ecs, name| {
        let (now, new) = (format!("{name}:{revision}"), format!("{name}:2"));
        ecs.defines(&new, "i", "FARGATE")
            .service(name, &now, 1)
            .deployed(name, [deployment("SUCCESSFUL", &now, 1, 1)])
            .begins(name, [deployment("SUCCESSFUL", &new, 1, 1)])
    })
}

fn migrates(ecs: FakeEcs, code: i32) -> FakeEcs {
    ecs.starts([task("m-1", MIGRATE, "RUNNING"), ended("m-1", MIGRATE, code, "Essential container exited")])
        .logs("m-1", &["alembic: cannot locate revision"])
}

async fn carried_out(ecs: &FakeEcs, state: &mut State) -> Result<Ended> {
    run(&around(ecs), &image(), &rollout(None), state, &Sink::null()).await
}

fn rollout(canary: Option<Duration>) -> Rollout {
    Rollout { runtime: Runtime::Services(image()), repeat: Repeat::No, canary }
}

fn around(ecs: &FakeEcs) -> Context {
    around_with(ecs, &Bucket::default())
}

fn around_with(ecs: &FakeEcs, bucket: &Bucket) -> Context {
    let answer = || DescribeStacksOutput::builder().stacks(stack()).build();
    let describe = mock!(Client::describe_stacks).then_compute_output(move |_| answer());
    let mut aws = ecs.aws();
    aws.s3 = bucket.aws().s3;
    aws.cloudformation = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe]);
    context(aws)
}

/// What is known if the environment runs this image.
fn running(image: Digest) -> State {
    let mut state = State::default();
    state.running.runtime = Some(Runtime::Services(image));
    state.running.proven = true;
    state
}

#[tokio::test(start_paused = true)]
async fn the_database_is_migrated_then_services_follow_in_their_order() {
    let ecs = migrates(cluster(1), 0);
    let mut state = running(Digest::of(b"old"));
    let ended = carried_out(&ecs, &mut state).await.unwrap();
    let expected = [
        "run migrate:2",
        "update ApiServer to ApiServer:2",
        "update Scheduler to Scheduler:2 x2",
        "update DagProcessor to DagProcessor:2",
        "update Triggerer to Triggerer:2",
        "update Worker to Worker:2",
    ];
    assert_eq!(ecs.calls(), expected);
    assert_eq!(ended.summary, format!("image {} in 5 services", image().short()));
    assert_eq!((state.running.runtime, state.running.proven), (None, false), "the step's end says what runs");
    let by = &ecs.asked("RunTask")[0]["startedBy"];
    assert_eq!(by, &format!("ductwork/migrate/{}", image().short()));
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_fails_stops_everything() {
    let ecs = migrates(cluster(1), 1);
    let fail = carried_out(&ecs, &mut running(Digest::of(b"old"))).await.unwrap_err();
    assert_eq!(ecs.calls(), ["run migrate:2"]);
    insta::assert_snapshot!(error::text(&fail), @r"
    error: the migration of the database failed
      caused by: task m-1: Essential container exited
      caused by: container airflow of task m-1: exit code 1
      caused by: the last lines of container airflow of task m-1:
        alembic: cannot locate revision

    hint: no service was moved:
          repair what the task says, then run the same command again
    ");
}

/// So the way back has no task to start, which would be refused again.
#[tokio::test(start_paused = true)]
async fn a_migration_that_is_refused_has_touched_nothing() {
    let ecs = cluster(1).refuses("RunTask", usize::MAX);
    let mut state = running(Digest::of(b"old"));
    let fail = carried_out(&ecs, &mut state).await.unwrap_err();
    assert_eq!(fail.message(), "cannot start a task");
    assert_eq!(ecs.calls(), [""; 0]);
    assert_eq!(state.running, running(Digest::of(b"old")).running);
}

/// The services of a new stack have come up on its image, and wait for the migration.
#[tokio::test(start_paused = true)]
async fn a_new_stack_is_migrated_and_gets_its_numbers_of_tasks() {
    let ecs = migrates(cluster(2), 0);
    carried_out(&ecs, &mut State::default()).await.unwrap();
    assert_eq!(ecs.calls(), ["run migrate:2", "update Scheduler to Scheduler:2 x2"]);
}

#[tokio::test(start_paused = true)]
async fn services_that_run_it_are_left_alone() {
    let ecs = cluster(2).service("Scheduler", "Scheduler:2", 2);
    let mut state = running(image());
    let ended = carried_out(&ecs, &mut state).await.unwrap();
    assert_eq!((ended.ending, ended.summary.as_str()), (Ending::Skipped, "every service runs it already"));
    assert_eq!(ecs.calls(), [""; 0]);
    assert_eq!(state.running, running(image()).running, "nothing is unsettled");
}

/// The way on after an interruption: what is done is not done again, but the database is migrated again, since
/// nobody knows.
#[tokio::test(start_paused = true)]
async fn an_interrupted_rollout_goes_on_where_it_was() {
    let ecs = migrates(cluster(2), 0)
        .service("Scheduler", "Scheduler:2", 2)
        .service("Worker", "Worker:1", 3)
        .deployed("Worker", [deployment("SUCCESSFUL", "Worker:1", 3, 3)]);
    carried_out(&ecs, &mut State::default()).await.unwrap();
    assert_eq!(ecs.calls(), ["run migrate:2", "update Worker to Worker:2"]);
}

#[tokio::test(start_paused = true)]
async fn workers_that_go_on_are_counted() {
    let ecs = migrates(cluster(1), 0)
        .service("Worker", "Worker:2", 1)
        .deployed("Worker", [deployment("IN_PROGRESS", "Worker:2", 1, 1)])
        .task([task("new", "Worker:2", "RUNNING")])
        .task([task("old", "Worker:1", "RUNNING")])
        .protects("old");
    let mut state = running(Digest::of(b"old"));
    let ended = carried_out(&ecs, &mut state).await.unwrap();
    assert_eq!(ended.summary, format!("image {} in 4 services, released, 1 draining", image().short()));
    assert_eq!(state.draining, 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_ends_the_rollout_and_leaves_it_unsettled() {
    let ecs = migrates(cluster(1), 0)
        .service("Scheduler", "Scheduler:1", 2)
        .fails("Scheduler", deployment("ROLLBACK_SUCCESSFUL", "Scheduler:2", 0, 2));
    let mut state = running(Digest::of(b"old"));
    let fail = carried_out(&ecs, &mut state).await.unwrap_err();
    assert!(fail.to_string().starts_with("the deployment of service `Scheduler` failed"), "{fail}");
    assert_eq!(ecs.calls().last().unwrap(), "update Scheduler to Scheduler:2", "workers keep what they have");
    assert_eq!(state.running.runtime, None);
}

#[test]
fn a_stack_on_another_image_is_not_rolled_out() {
    let mut state = State::default();
    let other = Digest::of(b"other");
    state.parameters = [(IMAGE_PARAMETER.to_owned(), format!("r/i@sha256:{other}"))].into();
    let fail = agrees(&state, &image()).unwrap_err();
    assert!(fail.causes()[0].contains(&other.to_string()), "{fail}");
    assert!(agrees(&State::default(), &image()).is_err());
}

#[test]
fn a_changed_secret_restarts_those_who_read_it() {
    let service = |serves| Service {
        title: "t".to_owned(),
        name: "n".to_owned(),
        task_definition: "d:1".to_owned(),
        serves,
    };
    let anew = |serves, repeat, changed| {
        let service = service(serves);
        order(&service, &State::default(), repeat, changed).anew
    };
    let (api, worker) = (Serves::Component("ApiServer"), Serves::Workers("default".to_owned()));
    let signers = Changed { any: true, on_workers: false };
    assert!(anew(api.clone(), Repeat::No, signers) && !anew(worker.clone(), Repeat::No, signers));
    assert!(anew(worker.clone(), Repeat::No, Changed { any: true, on_workers: true }));
    assert!(!anew(api, Repeat::No, Changed::default()));
    assert!(anew(worker, Repeat::Yes, Changed::default()), "Airflow does not answer as it should");
}

#[test]
fn numbers_are_ours_only_where_nobody_else_owns_them() {
    let parameters = [("ApiServerCount", "2"), ("ApiServerMaxCount", "4"), ("SchedulerCount", "1")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let outputs = [("WorkerSets".to_owned(), r#"{"small": {"prefix": "W", "min": 3}}"#.to_owned())].into();
    let count = |serves| counted(&serves, &outputs, &parameters);
    assert_eq!(count(Serves::Component("ApiServer")), Count::AtLeast(2), "target tracking may want more");
    assert_eq!(count(Serves::Component("Scheduler")), Count::Exactly(1));
    assert_eq!(count(Serves::Component("Triggerer")), Count::Any);
    assert_eq!(count(Serves::Workers("small".to_owned())), Count::AtLeast(3), "the scaler may want more");
}

/// A migration with a step of its own.
fn moving() -> Moving {
    let revisions = [("alembic_version".to_owned(), vec!["a".to_owned()])];
    let to = Schema { airflow: "3.3.2".to_owned(), revisions: revisions.into() };
    Moving { release: "r".to_owned(), to, runtime: Runtime::Services(image()), dumps: true }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_told_of_the_migration_once_and_services_follow_without_another() {
    let ecs = migrates(cluster(1), 0);
    let mut state = running(Digest::of(b"old"));
    let ended = migration::up(&around(&ecs), &moving(), &mut state, &Sink::null()).await.unwrap();
    assert_eq!(
        (ended.summary.as_str(), &state.saved),
        ("database to Airflow 3.3.2", &None),
        "nobody made a dump"
    );
    let command = &ecs.asked("RunTask")[0]["overrides"]["containerOverrides"][0]["command"];
    assert_eq!((&command[0], &command[1]), (&"migrate".into(), &"--told".into()));
    let told: serde_json::Value = serde_json::from_str(command[2].as_str().unwrap()).unwrap();
    assert_eq!((&told["direction"], &told["heads"]["alembic_version"]), (&"up".into(), &"a".into()));
    assert!(told["dump"].as_str().unwrap().starts_with("environments/dev/dumps/"), "{told}");
    assert!(told.get("schema").is_none(), "a command has 8192 characters at most");
    carried_out(&ecs, &mut state).await.unwrap();
    assert_eq!(ecs.asked("RunTask").len(), 1);
    assert_eq!(ecs.calls()[1], "update ApiServer to ApiServer:2");
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_the_newer_code_s_and_its_failure_tells_why() {
    for code in [0, 1] {
        let ecs = migrates(cluster(2), code);
        let mut state = running(image());
        let ended = migration::down(&around(&ecs), &moving(), &mut state, &Sink::null()).await;
        let asked = &ecs.asked("RunTask")[0];
        assert_eq!(asked["startedBy"], format!("ductwork/downgrade/{}", image().short()));
        match ended {
            Ok(ended) => {
                assert!(code == 0 && ended.summary.starts_with("database taken back to Airflow 3.3.2"));
            }
            Err(fail) => {
                assert_eq!((code, fail.message()), (1, "the database could not be taken back"));
                assert!(fail.to_string().contains("alembic: cannot locate revision"), "{fail}");
            }
        }
    }
}

/// Two workers of the release before, and a canary of before that is none any more. Its next task is `c-1`.
fn with_canary() -> FakeEcs {
    let of_before = deployment("SUCCESSFUL", "Worker:1", 0, 0);
    migrates(cluster(1), 0)
        .service("Worker", "Worker:1", 2)
        .service(CANARY, "Worker:1", 0)
        .deployed(CANARY, [of_before])
        .begins(CANARY, [deployment("SUCCESSFUL", "Worker:2", 1, 1)])
}

fn its_task() -> Value {
    of(CANARY, task("c-1", "Worker:2", "RUNNING"))
}

/// What its worker has told of its last task.
fn told(bucket: &Bucket, state: &str) {
    let task = json!({ "dag_id": "etl", "run_id": "r", "task_id": "load", "try_number": 2, "state": state, "ended": "e" });
    let receipt = json!({ "component": "worker", "id": "c-1", "revision": image().to_string(), "started": "t", "task": task });
    bucket.set("receipts/dev/c-1/worker.json", &receipt);
}

/// A rollout with a canary: how it ended, what it said, and what the state is then.
async fn with_a_first_one(ecs: &FakeEcs, bucket: &Bucket) -> (Result<Ended>, String, State) {
    let (log, mut state) = (Log::default(), running(Digest::of(b"old")));
    let (context, rollout) = (around_with(ecs, bucket), rollout(Some(LIMIT)));
    let ended = run(&context, &image(), &rollout, &mut state, &log.sink()).await;
    (ended, log.lines(), state)
}

/// What was changed since the components had moved.
fn calls_of_workers(ecs: &FakeEcs) -> Vec<String> {
    let calls = ecs.calls();
    let components = calls.iter().rposition(|call| call.starts_with("update Triggerer"));
    calls[components.expect("components go before workers") + 1..].to_vec()
}

const FIRST: &str = "update canary-default to Worker:2 x1";
const REST: &str = "update Worker to Worker:2";
const NONE: &str = "canary-default x0";

#[tokio::test(start_paused = true)]
async fn the_others_of_a_set_follow_one_that_has_run_a_task() {
    let (ecs, bucket) = (with_canary().task([its_task()]).protects("c-1"), Bucket::default());
    told(&bucket, "success");
    let (ended, said, state) = with_a_first_one(&ecs, &bucket).await;
    assert_eq!(calls_of_workers(&ecs), [FIRST, REST, NONE]);
    assert!(said.contains("note: canary of worker default: has run etl r load (try 2)"), "{said}");
    let summary = format!("image {} in 5 services, released, 1 draining", image().short());
    assert_eq!((ended.unwrap().summary, state.draining), (summary, 1), "it ends with what it has begun");
}

#[tokio::test(start_paused = true)]
async fn none_of_the_others_gets_a_release_whose_tasks_fail() {
    let (ecs, bucket) = (with_canary().task([its_task()]), Bucket::default());
    told(&bucket, "failure");
    let (ended, _, state) = with_a_first_one(&ecs, &bucket).await;
    let told = error::text(&ended.err().unwrap());
    assert!(
        told.starts_with("error: the canary of worker default ran no task that ended well within 10 min\n"),
        "{told}"
    );
    assert!(told.contains("service `canary-default`: the last one failed: etl r load (try 2)"), "{told}");
    assert_eq!(calls_of_workers(&ecs), [FIRST, NONE]);
    assert_eq!(state.running.runtime, None, "so the release before comes back");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_queue_holds_no_release_up_for_longer() {
    let (ecs, bucket) = (with_canary().task([its_task()]), Bucket::default());
    let watch = Stopwatch::start();
    let (ended, said, _) = with_a_first_one(&ecs, &bucket).await;
    assert!(ended.is_ok() && watch.elapsed() >= LIMIT, "{:?}", watch.elapsed());
    assert!(
        said.contains("progress: canary of worker default: waits for its first task, 9 of 10 min"),
        "{said}"
    );
    assert!(said.contains("note: canary of worker default: no task came within 10 min"), "{said}");
    assert_eq!(calls_of_workers(&ecs), [FIRST, REST, NONE]);
}

/// The others would end alike, each with the tasks that it has.
#[tokio::test(start_paused = true)]
async fn a_canary_that_ends_by_itself_is_none_to_follow() {
    let ends = |code: &str, health: &str| {
        let mut end = of(CANARY, ended("c-1", "Worker:2", 1, "Essential container in task exited"));
        (end["stopCode"], end["healthStatus"]) = (code.into(), health.into());
        with_canary().task([its_task(), end])
    };
    let bad = [("EssentialContainerExited", "HEALTHY"), ("ServiceSchedulerInitiated", "UNHEALTHY")];
    for (code, health) in bad {
        let ecs = ends(code, health).logs("c-1", &["MemoryError"]);
        let (ended, ..) = with_a_first_one(&ecs, &Bucket::default()).await;
        let told = error::text(&ended.err().unwrap());
        assert!(told.starts_with("error: the deployment of service `canary-default` failed"), "{told}");
        assert!(told.contains("its task has not lasted") && told.contains("MemoryError"), "{told}");
        assert_eq!(calls_of_workers(&ecs), [FIRST, NONE]);
    }
    // ECS starts another one in its place.
    for code in ["SpotInterruption", "TerminationNotice", "UserInitiated"] {
        let (ecs, bucket) = (ends(code, "HEALTHY"), Bucket::default());
        let (ended, ..) = with_a_first_one(&ecs, &bucket).await;
        assert!(ended.is_ok(), "{code}: {:?}", ended.err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_does_not_come_up_is_given_up_and_wanted_no_more() {
    let mut end = deployment("STOPPED", "Worker:2", 0, 1);
    end["deploymentCircuitBreaker"] = json!({ "status": "TRIGGERED", "failureCount": 3, "threshold": 3 });
    let stalls = json!([{ "status": "PRIMARY", "rolloutState": "FAILED" }]);
    let ecs = with_canary().fails(CANARY, end).says(CANARY, "deployments", stalls);
    let (ended, ..) = with_a_first_one(&ecs, &Bucket::default()).await;
    let told = error::text(&ended.err().unwrap());
    assert!(told.contains("ECS has given it up (STOPPED)"), "{told}");
    // What stalls starts and stops nothing until another deployment begins.
    assert_eq!(calls_of_workers(&ecs), [FIRST, "update canary-default to Worker:2 x0, anew"]);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_canary_of_a_single_worker_or_of_what_runs_already() {
    let single = migrates(cluster(1), 0).service(CANARY, "Worker:1", 0);
    let (ended, ..) = with_a_first_one(&single, &Bucket::default()).await;
    assert!(ended.is_ok());
    assert_eq!(calls_of_workers(&single), [REST]);
    let more = migrates(cluster(2), 0).service("Worker", "Worker:2", 0).service(CANARY, "Worker:1", 0);
    let (ended, ..) = with_a_first_one(&more, &Bucket::default()).await;
    assert!(ended.is_ok());
    assert_eq!(more.calls().last().unwrap(), "update Worker to Worker:2 x1", "a mere number of tasks");
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_a_killed_deployment_has_left_is_the_next_one_s() {
    let done = deployment("SUCCESSFUL", "Worker:2", 1, 1);
    let ecs = with_canary().service(CANARY, "Worker:2", 1).deployed(CANARY, [done]).task([its_task()]);
    let bucket = Bucket::default();
    told(&bucket, "success");
    let (ended, ..) = with_a_first_one(&ecs, &bucket).await;
    assert!(ended.is_ok());
    assert_eq!(calls_of_workers(&ecs), [REST, NONE]);
}

/// Whatever the next deployment does: a rollback wants no canary, and one without a change moves nothing.
#[tokio::test(start_paused = true)]
async fn what_a_killed_deployment_has_left_is_wanted_no_more() {
    let ecs = cluster(2).service("Scheduler", "Scheduler:2", 2).service(CANARY, "Worker:2", 1);
    let ecs = ecs.task([its_task()]).protects("c-1");
    let mut state = running(image());
    let ended = carried_out(&ecs, &mut state).await.unwrap();
    assert_eq!(ecs.calls(), [NONE]);
    let left = "every service runs it already, released, 1 draining";
    assert_eq!((ended.ending, ended.summary.as_str(), state.draining), (Ending::Skipped, left, 1));
}

/// It takes no task any more while the others move.
#[tokio::test(start_paused = true)]
async fn what_a_killed_deployment_has_left_ends_before_anything_moves() {
    let ecs = migrates(cluster(1), 0).service(CANARY, "Worker:1", 1);
    carried_out(&ecs, &mut running(Digest::of(b"old"))).await.unwrap();
    assert_eq!(ecs.calls()[..2], [NONE, "run migrate:2"]);
}

/// The stack's revision is a new one with the content of an earlier one, which some services still have.
#[tokio::test(start_paused = true)]
async fn what_a_failed_release_has_not_reached_is_left_alone_on_the_way_back() {
    let ecs = migrates(cluster(2), 0)
        .defines("Worker:1", "i", "FARGATE")
        .service("Scheduler", "Scheduler:2", 2)
        .service("Worker", "Worker:1", 2)
        .deployed("Worker", [deployment("SUCCESSFUL", "Worker:1", 2, 2)]);
    carried_out(&ecs, &mut State::default()).await.unwrap();
    assert_eq!(ecs.calls(), ["run migrate:2"]);
}
