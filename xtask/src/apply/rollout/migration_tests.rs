//! What hosts and tasks are told of a migration.

use super::super::super::fake::context;
use super::*;
use crate::doors::fake::Bucket;
use crate::model::digest::Digest;
use crate::model::schema::Schema;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksOutput;
use aws_sdk_cloudformation::primitives::DateTime;
use aws_sdk_cloudformation::types::{Stack, StackStatus};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use serde_json::json;

const TOLD: &str = "environments/dev/migration.json";

fn moving(dumps: bool) -> Moving {
    let revisions = [("alembic_version".to_owned(), vec!["a".to_owned(), "b".to_owned()])];
    Moving {
        release: "0123456789ab".to_owned(),
        to: Schema { airflow: "3.3.2".to_owned(), revisions: revisions.into() },
        runtime: Runtime::Hosts(Digest::of(b"h")),
        dumps,
    }
}

/// Hosts of a stack that names no deployment group: what they are told is written, and no host is there.
fn doors(bucket: &Bucket) -> Context {
    let mut aws = bucket.aws();
    let describe = mock!(Client::describe_stacks).then_output(|| {
        let stack = Stack::builder().stack_name("p-dev").stack_status(StackStatus::UpdateComplete);
        DescribeStacksOutput::builder().stacks(stack.creation_time(DateTime::from_secs(1)).build()).build()
    });
    aws.cloudformation = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe]);
    context(aws)
}

#[tokio::test]
async fn hosts_read_what_they_are_told_before_they_get_the_revision() {
    let bucket = Bucket::default();
    let mut state = State::default();
    let fail = up(&doors(&bucket), &moving(false), &mut state, &Sink::null()).await.unwrap_err();
    assert_eq!(fail.message(), "the stack has no output `ApiServerDeploymentGroup`");
    let schema = json!({ "airflow": "3.3.2", "revisions": { "alembic_version": ["a", "b"] } });
    let told = json!({ "direction": "up", "heads": { "alembic_version": "b" }, "schema": schema });
    assert_eq!(bucket.get(TOLD), told);
    assert_eq!(state.running.schema, Some(moving(false).to), "a rollback takes it back");
    assert_eq!((state.saved, state.migrated), (None, None));
}

#[tokio::test]
async fn hosts_are_told_to_go_back_and_where_to_save_the_database_first() {
    let bucket = Bucket::default();
    let mut state = State::default();
    let ended = down(&doors(&bucket), &moving(true), &mut state, &Sink::null()).await.unwrap();
    let told = bucket.get(TOLD);
    let key = told["dump"].as_str().unwrap();
    assert_eq!((&told["direction"], &told["heads"]["alembic_version"]), (&json!("down"), &json!("b")));
    assert!(key.starts_with("environments/dev/dumps/"), "{told}");
    assert_eq!(ended.summary, "hosts of the API are told to take the database back to Airflow 3.3.2");
    assert_eq!(state.saved, Some(Saved::Dump(key.to_owned())));
    let restore = state.saved.unwrap().restore("dev");
    let command =
        format!("cargo xtask run --env dev -- python -m ductwork_airflow.release.dump restore {key}");
    assert!(restore.ends_with(&command), "{restore}");
}

#[tokio::test]
async fn a_dump_that_nobody_made_is_named_to_nobody() {
    let bucket = Bucket::default();
    let doors = doors(&bucket);
    let key = "environments/dev/dumps/1.dump";
    let state = |saved: Saved| State { saved: Some(saved), ..State::default() };
    let dump = || Saved::Dump(key.to_owned());
    let mut unmade = state(dump());
    forget_unmade(&doors, &mut unmade).await;
    assert_eq!(unmade.saved, None);
    bucket.set_bytes(key, b"PGDMP");
    let mut made = state(dump());
    forget_unmade(&doors, &mut made).await;
    assert_eq!(made.saved, Some(dump()));
    assert!(summary("database", &moving(true), &made).ends_with(&format!("saved before as {key}")));
    let snapshot = || Saved::Snapshot("p-dev-before-1".to_owned());
    let mut snapped = state(snapshot());
    forget_unmade(&doors, &mut snapped).await;
    assert_eq!(snapped.saved, Some(snapshot()), "RDS has told that it is available");
}
