//! Step `snapshot`: RDS keeps the database as it was before its migration. It stays until somebody deletes it.

use super::super::context::{Context, State};
use super::super::stack;
use super::super::task::MISSES;
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
    let mut misses = 0;
    loop {
        match context.aws.signed.query(Service::Rds, VERSION, words.describe, &parameters).await {
            Ok(answer) => match element(&answer, "Status").as_str() {
                "available" => return Ok(()),
                "failed" | "deleting" | "deleted" => {
                    return Err(Fail::failed(format!("the snapshot `{name}` failed")).hint(
                        "see its events in RDS, then run the same command again: nothing was migrated",
                    ));
                }
                status => {
                    misses = 0;
                    sink.progress(format!("{name}: {status}, {} %", element(&answer, "PercentProgress")));
                }
            },
            Err(refused) if misses >= MISSES => {
                return Err(aws::refused("RDS", format!("cannot read the snapshot `{name}`"), &refused));
            }
            Err(_) => misses += 1,
        }
        backoff.wait().await;
    }
}

fn element(text: &str, name: &str) -> String {
    let Ok(document) = roxmltree::Document::parse(text) else { return String::new() };
    let found = document.descendants().find(|node| node.tag_name().name() == name);
    found.and_then(|node| node.text()).unwrap_or_default().trim().to_owned()
}
