//! Rollbacks as `carry_out` does them: with a bucket in memory and a server that stands for Airflow.

use super::super::deployment::carry_out;
use super::super::fake::{self, quiet};
use super::super::interrupted;
use super::*;
use crate::apply::context::{Progress, State};
use crate::apply::fake::{context, parts, pointer_to, release};
use crate::doors::aws::Aws;
use crate::doors::fake::{ACCOUNT, Asked, Bucket, Server};
use crate::doors::store::Store;
use crate::doors::time;
use crate::fail::Result;
use crate::model::names;
use crate::model::release::{Parts, Pointer};
use crate::model::schema::Schema;
use crate::observe::lease as observed;
use crate::plan::deployment::Step;
use crate::plan::migration::Moving;
use crate::plan::running::{Records, Running};
use aws_sdk_cloudformation::error::ErrorMetadata;
use aws_sdk_cloudformation::operation::describe_stacks::{DescribeStacksError, DescribeStacksOutput};
use aws_sdk_cloudformation::types::{Output, Stack, StackStatus};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const POINTER: &str = "environments/dev/current.json";
const LOCK: &str = "environments/dev/lock.json";

/// An Airflow that runs the bundle that the pointer names, and cannot import a file of `broken` ones.
fn airflow(bucket: &Bucket, broken: &[&Release]) -> Server {
    let bucket = bucket.clone();
    let broken: Vec<String> = broken.iter().map(|release| release.bundle.to_string()).collect();
    Server::new(move |asked: &Asked| {
        let version = bucket.get(POINTER)["bundle"].clone();
        let dag = json!({
            "dag_id": "orders", "bundle_name": "dags", "bundle_version": version,
            "relative_fileloc": "a.py", "file_token": "t", "is_stale": false,
        });
        let error = json!({ "filename": "a.py", "bundle_name": "dags", "stack_trace": "NameError: x\n" });
        let errors = if broken.iter().any(|digest| version == **digest) { vec![error] } else { Vec::new() };
        let body = match asked.line.split(['?', ' ']).nth(1).unwrap() {
            "/auth/token" => json!({ "access_token": "t" }),
            "/api/v2/dags" => json!({ "dags": [dag], "total_entries": 1 }),
            "/api/v2/importErrors" => json!({ "import_errors": errors, "total_entries": errors.len() }),
            _ => Value::Null,
        };
        (200, body)
    })
}

fn doors(bucket: &Bucket, url: &str) -> Aws {
    let url = url.to_owned();
    let describe = mock!(aws_sdk_cloudformation::Client::describe_stacks).then_output(move || {
        let output = |key: &str, value: &str| Output::builder().output_key(key).output_value(value).build();
        let stack = Stack::builder().stack_name("p-dev").stack_status(StackStatus::UpdateComplete);
        let stack = stack.outputs(output("AirflowUrl", &url)).outputs(output("AdminSecretArn", "arn"));
        DescribeStacksOutput::builder().stacks(stack.build()).build()
    });
    let secret = mock!(aws_sdk_secretsmanager::Client::get_secret_value).then_output(|| {
        let text = r#"{"username": "admin", "password": "p"}"#;
        GetSecretValueOutput::builder().secret_string(text).build()
    });
    let mut aws = bucket.aws();
    aws.cloudformation = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe]);
    aws.secrets = mock_client!(aws_sdk_secretsmanager, RuleMode::MatchAny, [&secret]);
    aws
}

/// From `old`, which the pointer names, to `new`; the DAGs of both are known.
async fn prepared(bucket: &Bucket, aws: Aws, old: Option<&Release>, new: &Release) -> Prepared {
    let dags = json!([{ "dag_id": "orders", "file": "a.py", "schedule": null }]);
    for release in old.into_iter().chain([new]) {
        bucket.set(&names::bundle_index_key(&release.bundle), &dags);
    }
    if let Some(old) = old {
        bucket.set(POINTER, &Pointer::next(None, old));
    }
    let store = Store::new(&aws, ACCOUNT, "dev");
    let pointer = store.read::<Pointer>(POINTER).await.unwrap();
    let running = Running::recorded(pointer.as_ref().map(|found| &found.value), old, Records::Trusted);
    let progress = Progress {
        before: running.clone(),
        state: State { running: running.clone(), pointer, ..State::default() },
        ..Progress::default()
    };
    let facts = Facts { running, previous: old.cloned(), ..Facts::default() };
    let mut plan = plan(new, Source::Record, &facts);
    plan.steps = vec![pointer_to(new), Step::Dags(new.bundle)];
    fake::prepared(context(aws), facts, plan, progress)
}

fn record(bucket: &Bucket) -> Value {
    let key = bucket.keys().into_iter().find(|key| key.contains("/deployments/")).unwrap();
    bucket.get(&key)
}

async fn deployed(bucket: &Bucket, old: Option<&Release>, new: &Release, broken: &[&Release]) -> Result<()> {
    let server = airflow(bucket, broken);
    let prepared = prepared(bucket, doors(bucket, &server.url), old, new).await;
    carry_out(prepared, &quiet()).await
}

#[tokio::test]
async fn a_good_bundle_stays() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    deployed(&bucket, Some(&old), &new, &[]).await.unwrap();
    assert_eq!(bucket.get(POINTER)["release"], new.id());
    assert_eq!((&record(&bucket)["outcome"], &bucket.get(LOCK)["held"]), (&json!("deployed"), &json!(false)));
}

#[tokio::test]
async fn dags_that_airflow_cannot_import_swap_the_pointer_back() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let fail = deployed(&bucket, Some(&old), &new, &[&new]).await.unwrap_err();
    assert_eq!(fail.kind().code(), 4);
    assert_eq!(fail.message(), format!("release {} failed and {} is back", new.id(), old.id()));
    assert!(fail.to_string().contains("a.py: NameError: x"), "{fail}");
    let pointer = bucket.get(POINTER);
    assert_eq!((&pointer["release"], &pointer["serial"]), (&json!(old.id()), &json!(3)));
    assert_eq!(record(&bucket)["outcome"], "rolled_back");
    assert_eq!(bucket.get(LOCK)["held"], false, "the environment is whole");
}

/// An alarm that rings while a release is watched is a failed step like any other. The rollback is not watched.
#[tokio::test(start_paused = true)]
async fn a_release_that_does_not_pass_its_bake_goes_back() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let looks = AtomicUsize::new(0);
    let cloudwatch = Server::new(move |_| {
        // Before the first step, as the watch begins, and then.
        let names: &[&str] = if looks.fetch_add(1, SeqCst) < 2 { &["Old"] } else { &["Old", "New"] };
        let row =
            |name: &&str| json!({ "AlarmName": format!("p-dev-{name}"), "AlarmDescription": "no disk" });
        (200, json!({ "MetricAlarms": names.iter().map(row).collect::<Vec<_>>() }))
    });
    let server = airflow(&bucket, &[]);
    let mut aws = doors(&bucket, &server.url);
    aws.signed = Aws::signed_at(&cloudwatch.url).signed;
    let mut prepared = prepared(&bucket, aws, Some(&old), &new).await;
    let length = Duration::from_secs(600);
    prepared.plan.steps.push(Step::Bake { length, release: new.id().to_owned() });
    let fail = carry_out(prepared, &quiet()).await.unwrap_err();
    assert_eq!((fail.kind(), fail.kind().code()), (Kind::RolledBack, 4));
    assert!(fail.to_string().contains("did not pass its bake: 1 alarm since the release"), "{fail}");
    assert!(fail.to_string().contains("alarm `p-dev-New`: no disk"), "{fail}");
    assert_eq!(cloudwatch.asked().len(), 3);
    assert_eq!(bucket.get(POINTER)["release"], old.id());
    let record = record(&bucket);
    let steps: Vec<&Value> = record["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
    assert_eq!(steps, ["pointer", "dags", "bake", "pointer", "dags"]);
    assert_eq!((&record["outcome"], &bucket.get(LOCK)["held"]), (&json!("rolled_back"), &json!(false)));
}

#[tokio::test]
async fn a_rollback_that_fails_too_leaves_a_warning_to_the_next() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let fail = deployed(&bucket, Some(&old), &new, &[&old, &new]).await.unwrap_err();
    assert_eq!(fail.kind().code(), 5);
    assert!(fail.to_string().contains("during the rollback: "), "{fail}");
    let lock = bucket.get(LOCK);
    assert_eq!((&lock["held"], &lock["expires"]), (&json!(true), &json!(0)), "abandoned");
}

#[tokio::test]
async fn a_first_deployment_has_nothing_to_go_back_to() {
    let bucket = Bucket::default();
    let new = release("new", "h", "t");
    let fail = deployed(&bucket, None, &new, &[&new]).await.unwrap_err();
    assert_eq!(fail.kind().code(), 1);
    assert_eq!((&record(&bucket)["outcome"], &bucket.get(LOCK)["held"]), (&json!("failed"), &json!(true)));
}

#[tokio::test]
async fn the_same_release_is_not_rolled_back_to() {
    let bucket = Bucket::default();
    let release = release("new", "h", "t");
    let fail = deployed(&bucket, Some(&release), &release, &[&release]).await.unwrap_err();
    assert_eq!(fail.kind().code(), 1);
    assert_eq!(bucket.get(POINTER)["serial"], 1);
}

#[tokio::test]
async fn a_failure_that_touched_nothing_is_just_that() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let mut prepared = prepared(&bucket, bucket.aws(), Some(&old), &new).await;
    prepared.plan.steps = vec![Step::Bundle(new.bundle)];
    let fail = carry_out(prepared, &quiet()).await.unwrap_err();
    assert_eq!(fail.message(), "there is no bundle to upload");
    assert_eq!(bucket.get(LOCK)["held"], false);
}

#[tokio::test]
async fn what_an_interrupted_deployment_left_is_not_forgotten_by_a_failure() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let left = crate::apply::lease::acquire(&bucket.store()).await.unwrap();
    left.abandon().await.unwrap();
    let mut prepared = prepared(&bucket, bucket.aws(), Some(&old), &new).await;
    prepared.progress.holder = observed::look(&bucket.store()).await.unwrap();
    prepared.plan.steps = vec![Step::Bundle(new.bundle)];
    carry_out(prepared, &quiet()).await.unwrap_err();
    assert_eq!(bucket.get(LOCK)["held"], true, "the next one must not take the records for granted either");
}

#[tokio::test]
async fn nobody_says_unchanged_while_somebody_is_at_work() {
    let bucket = Bucket::default();
    let old = release("old", "h", "t");
    let lease = crate::apply::lease::acquire(&bucket.store()).await.unwrap();
    let mut prepared = prepared(&bucket, bucket.aws(), Some(&old), &old).await;
    prepared.plan.steps = vec![Step::Health];
    prepared.progress.holder = observed::look(&bucket.store()).await.unwrap();
    assert_eq!(carry_out(prepared, &quiet()).await.unwrap_err().kind(), Kind::Locked);
    lease.release().await.unwrap();
}

#[tokio::test]
async fn a_pointer_that_is_somebody_else_s_is_not_fought_over() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let mut prepared = prepared(&bucket, bucket.aws(), Some(&old), &new).await;
    prepared.progress.lease = Some(crate::apply::lease::acquire(&bucket.store()).await.unwrap());
    prepared.progress.state.running.unsettle_runtime();
    let theirs = Pointer { serial: 9, ..Pointer::next(None, &release("theirs", "h", "t")) };
    bucket.set(POINTER, &theirs);
    let fail = carry_out(prepared, &quiet()).await.unwrap_err();
    assert_eq!(fail.kind(), Kind::Locked);
    assert_eq!(bucket.get(POINTER)["serial"], 9);
    assert_eq!(bucket.get(LOCK)["held"], true, "hosts may run what no record says");
}

#[tokio::test]
async fn without_credentials_no_rollback_is_begun() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let expired = mock!(aws_sdk_cloudformation::Client::describe_stacks).then_error(|| {
        let meta = ErrorMetadata::builder().code("ExpiredToken").message("the token is expired");
        DescribeStacksError::generic(meta.build())
    });
    let mut aws = bucket.aws();
    aws.cloudformation = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&expired]);
    let prepared = prepared(&bucket, aws, Some(&old), &new).await;
    let fail = carry_out(prepared, &quiet()).await.unwrap_err();
    assert_eq!(fail.kind().code(), 1, "{fail}");
    assert_eq!(
        fail.message(),
        format!("the credentials expired while release {} was being deployed", new.id())
    );
    assert!(fail.to_string().contains("CloudFormation and CodeDeploy finish what they have begun"), "{fail}");
    assert!(fail.hints().iter().any(|hint| hint.starts_with("log in again")), "{:?}", fail.hints());
    assert_eq!(bucket.get(POINTER)["serial"], 2, "nothing was swapped back");
    assert_eq!(bucket.get(LOCK)["held"], true, "the next deployment takes nothing for granted");
}

/// Until the record is so.
async fn recorded(bucket: &Bucket, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let key = bucket.keys().into_iter().find(|key| key.contains("/deployments/"));
        match key.map(|key| bucket.get(&key)).filter(&holds) {
            Some(record) => return record,
            None => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[tokio::test]
async fn a_killed_deployment_has_left_how_far_it_came_and_the_next_one_says_so() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let stale = old.bundle.to_string();
    let server = Server::new(move |asked: &Asked| {
        let dag = json!({
            "dag_id": "orders", "bundle_name": "dags", "bundle_version": stale,
            "relative_fileloc": "a.py", "file_token": "t", "is_stale": false,
        });
        let body = match asked.line.split(['?', ' ']).nth(1).unwrap() {
            "/auth/token" => json!({ "access_token": "t" }),
            "/api/v2/dags" => json!({ "dags": [dag], "total_entries": 1 }),
            _ => json!({ "import_errors": [], "total_entries": 0 }),
        };
        (200, body)
    });
    let prepared = prepared(&bucket, doors(&bucket, &server.url), Some(&old), &new).await;
    let work = tokio::spawn(async move { carry_out(prepared, &quiet()).await });
    let during = |record: &Value| {
        let last = record["steps"].as_array().and_then(|steps| steps.last().cloned()).unwrap_or_default();
        last["name"] == "dags" && last["outcome"] == "running"
    };
    let record = tokio::time::timeout(Duration::from_secs(120), recorded(&bucket, during)).await.unwrap();
    work.abort();
    assert_eq!((&record["outcome"], &record["token"]), (&json!("running"), &json!(1)));
    assert_eq!(
        (&record["steps"][0]["name"], &record["steps"][0]["outcome"]),
        (&json!("pointer"), &json!("done"))
    );
    bucket.pass(Duration::from_secs(130));
    let holder = observed::look(&bucket.store()).await.unwrap();
    let told = interrupted::before(&bucket.store(), holder.as_ref()).await.unwrap();
    assert!(told.contains(&format!("of release {} by ", new.id())), "{told}");
    assert!(told.ends_with("was interrupted during `dags`, 2 min ago; done before that: pointer"), "{told}");
}

#[tokio::test]
async fn the_record_of_a_failed_deployment_tells_why() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    deployed(&bucket, Some(&old), &new, &[&new]).await.unwrap_err();
    let record = record(&bucket);
    assert!(record["error"].as_str().unwrap().contains("a.py: NameError: x"), "{record:#}");
    let steps: Vec<(&str, &str)> = record["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["name"].as_str().unwrap(), step["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(steps, [("pointer", "done"), ("dags", "failed"), ("pointer", "done"), ("dags", "done")]);
    assert!(record["steps"].as_array().unwrap().iter().all(|step| step["started"].is_string()));
}

/// A laptop slept, or the process was stopped: others deployed meanwhile, and the clock has gone on.
#[tokio::test]
async fn a_holder_that_comes_back_after_the_expiry_writes_nothing() {
    let bucket = Bucket::default();
    let (old, new) = (release("old", "h", "t"), release("new", "h", "t"));
    let mut prepared = prepared(&bucket, bucket.aws(), Some(&old), &new).await;
    let lease = crate::apply::lease::acquire(&bucket.store()).await.unwrap();
    lease.oversleep().await;
    prepared.progress.lease = Some(lease);
    prepared.progress.state.running.unsettle_runtime();
    let mut theirs = bucket.get(LOCK);
    (theirs["token"], theirs["by"]) = (json!(2), json!("ann"));
    bucket.set(LOCK, &theirs);
    let (before, pointer) = (bucket.lines().len(), bucket.get(POINTER));
    let fail = carry_out(prepared, &quiet()).await.unwrap_err();
    assert_eq!(fail.kind(), Kind::Locked, "{fail}");
    assert!(fail.to_string().contains("ann on"), "{fail}");
    let refused: Vec<String> = bucket.lines().split_off(before);
    assert!(refused.iter().all(|line| line.starts_with("if ") && line.ends_with(LOCK)), "{refused:?}");
    assert_eq!((bucket.get(LOCK), bucket.get(POINTER)), (theirs, pointer));
    assert!(!bucket.keys().iter().any(|key| key.contains("/deployments/")), "no record either");
}

/// The same DAGs on other hosts, whose Airflow has these revisions.
fn on(host: &str, airflow: &str, revisions: &[&str]) -> Release {
    let revisions = revisions.iter().map(|revision| (*revision).to_owned()).collect();
    let revisions = [("alembic_version".to_owned(), revisions)].into();
    Release::new(Parts {
        schema: Some(Schema { airflow: airflow.to_owned(), revisions }),
        ..parts("b", host, "t")
    })
}

/// The stack names no hosts, so that neither way gets anywhere; the database is not even dumped.
#[tokio::test]
async fn a_migration_that_fails_is_taken_back_before_the_older_code_comes() {
    let bucket = Bucket::default();
    let (old, new) = (on("old", "3.2.2", &["a"]), on("new", "3.3.2", &["a", "b"]));
    let mut prepared = prepared(&bucket, doors(&bucket, "http://127.0.0.1:1"), Some(&old), &new).await;
    let (release, to) = (new.id().to_owned(), new.schema.clone().unwrap());
    let moving = Moving { release, to, runtime: new.runtime, dumps: true };
    prepared.plan.steps = vec![Step::Migration(Box::new(moving))];
    let fail = carry_out(prepared, &quiet()).await.unwrap_err();
    assert_eq!(fail.kind().code(), 5, "{fail}");
    let told = bucket.get("environments/dev/migration.json");
    assert_eq!((&told["direction"], &told["heads"]["alembic_version"]), (&json!("down"), &json!("a")));
    let steps: Vec<Value> = record(&bucket)["steps"].as_array().unwrap().clone();
    let names: Vec<&Value> = steps.iter().map(|step| &step["name"]).collect();
    assert_eq!(names, ["migration", "downgrade", "hosts"]);
    assert_eq!(record(&bucket)["saved"], Value::Null, "nobody has made a dump");
    assert!(!fail.hints().iter().any(|hint| hint.contains("restore")), "{:?}", fail.hints());
}
