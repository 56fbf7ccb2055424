//! Step `snapshot`: RDS keeps the database as it was before its migration. It stays until somebody deletes it.

use super::super::context::{Context, State};
use super::super::patience::Patience;
use super::super::stack;
use super::super::timed::Ended;
use crate::doors::aws;
use crate::doors::backoff::Backoff;
use crate::doors::signed::{Refused, Service};
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::names::{self, outputs};
use crate::plan::migration::Saved;
use std::time::Duration;

/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html>
const VERSION: &str = "2014-10-31";

/// The words of the API for an instance, and for a cluster of Aurora.
struct Words {
    create: &'static str,
    describe: &'static str,
    database: &'static str,
    snapshot: &'static str,
    exists: &'static str,
}

const INSTANCE: Words = Words {
    create: "CreateDBSnapshot",
    describe: "DescribeDBSnapshots",
    database: "DBInstanceIdentifier",
    snapshot: "DBSnapshotIdentifier",
    exists: "DBSnapshotAlreadyExists",
};

const CLUSTER: Words = Words {
    create: "CreateDBClusterSnapshot",
    describe: "DescribeDBClusterSnapshots",
    database: "DBClusterIdentifier",
    snapshot: "DBClusterSnapshotIdentifier",
    exists: "DBClusterSnapshotAlreadyExistsFault",
};

pub(super) async fn run(
    context: &Context,
    engine: &str,
    release: &str,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    stack::read_outputs(context, state).await?;
    let words = if engine.starts_with("aurora") { CLUSTER } else { INSTANCE };
    // The endpoint of an instance or cluster begins with its identifier.
    let host = state.output(outputs::DATABASE_HOST)?;
    let database = host.split('.').next().unwrap_or_default().to_owned();
    let name = names::snapshot(&context.stack, release, &time::ulid());
    let mut parameters =
        vec![(words.snapshot.to_owned(), name.clone()), (words.database.to_owned(), database.clone())];
    for (number, (key, value)) in context.tags.iter().enumerate() {
        parameters.push((format!("Tags.Tag.{}.Key", number + 1), key.clone()));
        parameters.push((format!("Tags.Tag.{}.Value", number + 1), value.clone()));
    }
    let what = || format!("cannot make a snapshot of database `{database}`");
    match context.aws.signed.query(Service::Rds, VERSION, words.create, &parameters).await {
        // The answer to the first attempt was lost.
        Err(Refused::Error { code, .. }) if code == words.exists => {}
        Err(refused) => return Err(aws::refused("RDS", what(), &refused)),
        Ok(_) => {}
    }
    available(context, &words, &name, sink).await?;
    state.saved = Some(Saved::Snapshot(name.clone()));
    Ok(Ended::done(name))
}

/// Waits as long as it goes on; RDS says how far it is.
async fn available(context: &Context, words: &Words, name: &str, sink: &Sink) -> Result<()> {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
    let parameters = [(words.snapshot.to_owned(), name.to_owned())];
    let mut patience = Patience::new(sink);
    loop {
        context.aws.pace.turn("rds").await;
        match context.aws.signed.query(Service::Rds, VERSION, words.describe, &parameters).await {
            Ok(answer) => match element(&answer, "Status").as_str() {
                "available" => return Ok(()),
                "failed" | "deleting" | "deleted" => {
                    return Err(Fail::failed(format!("the snapshot `{name}` failed")).hint(
                        "see its events in RDS, then run the same command again: nothing was migrated",
                    ));
                }
                status => {
                    patience.well();
                    sink.progress(format!("{name}: {status}, {} %", element(&answer, "PercentProgress")));
                }
            },
            Err(refused) => {
                patience.bear(aws::refused("RDS", format!("cannot read the snapshot `{name}`"), &refused))?;
            }
        }
        backoff.wait().await;
    }
}

fn element(text: &str, name: &str) -> String {
    let Ok(document) = roxmltree::Document::parse(text) else { return String::new() };
    let found = document.descendants().find(|node| node.tag_name().name() == name);
    found.and_then(|node| node.text()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::super::fake::context;
    use super::*;
    use crate::doors::aws::Aws;
    use crate::doors::fake::Server;
    use aws_sdk_cloudformation::Client;
    use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksOutput;
    use aws_sdk_cloudformation::primitives::DateTime;
    use aws_sdk_cloudformation::types::{Output, Stack, StackStatus};
    use aws_smithy_mocks::{RuleMode, mock, mock_client};
    use serde_json::Value;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// An RDS whose snapshot goes through these states, in front of which a stack names a database.
    async fn taken(engine: &str, states: &'static [&'static str]) -> (Result<Ended>, Vec<String>, State) {
        let looks = AtomicUsize::new(0);
        let server = Server::new(move |asked| {
            let body = asked.body.as_str().unwrap_or_default();
            if body.starts_with("Action=Create") {
                return (200, Value::String("<R/>".to_owned()));
            }
            let look = looks.fetch_add(1, Ordering::Relaxed).min(states.len() - 1);
            let answer =
                format!("<R><Status>{}</Status><PercentProgress>7</PercentProgress></R>", states[look]);
            (200, Value::String(answer))
        });
        let mut aws = Aws::signed_at(&server.url);
        aws.cloudformation = mock_client!(
            aws_sdk_cloudformation,
            RuleMode::MatchAny,
            [&mock!(Client::describe_stacks).then_output(|| {
                let host = Output::builder()
                    .output_key("DatabaseHost")
                    .output_value("db-1.abc.eu.rds.amazonaws.com");
                let stack = Stack::builder().stack_name("p-dev").stack_status(StackStatus::UpdateComplete);
                let stack = stack.creation_time(DateTime::from_secs(1)).outputs(host.build());
                DescribeStacksOutput::builder().stacks(stack.build()).build()
            })]
        );
        let mut state = State::default();
        let mut context = context(aws);
        context.tags.insert("environment".to_owned(), "dev".to_owned());
        let ended = run(&context, engine, "0123456789ab", &mut state, &Sink::null()).await;
        let asked =
            server.asked().into_iter().map(|asked| asked.body.as_str().unwrap_or_default().to_owned());
        (ended, asked.collect(), state)
    }

    #[tokio::test]
    async fn the_database_is_saved_by_rds_and_waited_for() {
        let (ended, asked, state) = taken("postgres", &["creating", "available"]).await;
        let name = ended.unwrap().summary;
        assert!(name.starts_with("p-dev-before-0123456789ab-0"), "{name}");
        let expected = format!(
            "Action=CreateDBSnapshot&Version=2014-10-31&DBSnapshotIdentifier={name}&DBInstanceIdentifier=db-1\
             &Tags.Tag.1.Key=environment&Tags.Tag.1.Value=dev"
        );
        assert_eq!(asked[0], expected);
        assert_eq!(asked.len(), 3);
        assert_eq!(state.saved, Some(Saved::Snapshot(name)));
    }

    #[tokio::test]
    async fn a_cluster_of_aurora_has_its_own_words() {
        let (ended, asked, _) = taken("aurora-postgresql", &["available"]).await;
        ended.unwrap();
        assert!(asked[0].starts_with("Action=CreateDBClusterSnapshot&"), "{asked:?}");
        assert!(asked[0].contains("&DBClusterIdentifier=db-1"), "{asked:?}");
        assert!(asked[1].starts_with("Action=DescribeDBClusterSnapshots&"), "{asked:?}");
    }

    #[tokio::test]
    async fn without_a_snapshot_nothing_goes_on() {
        let (ended, _, state) = taken("mysql", &["creating", "failed"]).await;
        let fail = ended.unwrap_err();
        assert!(fail.message().ends_with("failed"), "{fail}");
        assert_eq!(state.saved, None);
    }
}
