//! Step `pools`: Airflow has the pools of the release, and those that people made.

use super::super::airflow;
use super::super::context::{Context, State};
use super::super::stack;
use super::super::timed::Ended;
use crate::doors::airflow::Airflow;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::objects::Pool;
use crate::model::text::count;
use crate::observe::airflow::ask;
use crate::plan::pools::{PoolChange, changes};
use std::collections::BTreeMap;

pub(super) async fn run(
    context: &Context,
    wanted: &BTreeMap<String, Pool>,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    stack::read_outputs(context, state).await?;
    let session = state.airflow(&context.doors()).await?;
    let found = airflow::pools(&session, sink).await?;
    let changes = changes(wanted, &found)
        .map_err(|problems| Fail::problems("Airflow has other pools of the same names", problems))?;
    if changes.is_empty() {
        return Ok(Ended::skipped(format!("{} as they should be", count(wanted.len(), "pool"))));
    }
    state.running.unsettle_pools();
    for change in &changes {
        let change = change.clone();
        context.may_write().await?;
        ask(&session, move |session| carry_out(session, &change)).await?;
    }
    Ok(Ended::done(told(&changes)))
}

fn carry_out(airflow: &Airflow, change: &PoolChange) -> Result<()> {
    match change {
        PoolChange::Create(name, pool) => airflow.create_pool(name, pool),
        PoolChange::Change(name, pool) => airflow.change_pool(name, pool),
        PoolChange::Delete(name) => airflow.delete_pool(name),
    }
}

fn told(changes: &[PoolChange]) -> String {
    let names = |word: &str, of: fn(&PoolChange) -> Option<&String>| {
        let names: Vec<&str> = changes.iter().filter_map(of).map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")))
    };
    let parts = [
        names("created", |change| if let PoolChange::Create(name, _) = change { Some(name) } else { None }),
        names("changed", |change| if let PoolChange::Change(name, _) = change { Some(name) } else { None }),
        names("deleted", |change| if let PoolChange::Delete(name) = change { Some(name) } else { None }),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::super::fake::context;
    use super::*;
    use crate::doors::fake::{Bucket, Server};
    use crate::fail::Kind;
    use crate::model::event::Ending;
    use aws_sdk_cloudformation::Client;
    use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksOutput;
    use aws_sdk_cloudformation::types::{Output, Stack, StackStatus};
    use aws_smithy_mocks::{RuleMode, mock, mock_client};
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    type Rows = Arc<Mutex<BTreeMap<String, Value>>>;

    fn pool(slots: i64, description: &str) -> Pool {
        Pool { slots, description: description.to_owned(), include_deferred: false }
    }

    fn pools(list: &[(&str, i64)]) -> BTreeMap<String, Pool> {
        list.iter().map(|(name, slots)| ((*name).to_owned(), pool(*slots, ""))).collect()
    }

    /// Airflow that keeps pools as its API does; one named `broken` cannot be made.
    fn server(rows: &Rows) -> Server {
        let rows = rows.clone();
        Server::new(move |asked| {
            let mut rows = rows.lock().unwrap();
            let body = &asked.body;
            let (method, path) = asked.line.split_once(' ').unwrap();
            let name = path.strip_prefix("/api/v2/pools/").unwrap_or_default().to_owned();
            match (method, body["name"].as_str()) {
                ("GET", _) => {
                    let all: Vec<Value> = rows.values().cloned().collect();
                    return (200, json!({ "total_entries": all.len(), "pools": all }));
                }
                ("POST", Some("broken")) => return (500, json!({ "detail": "no" })),
                ("POST", Some(name)) if !rows.contains_key(name) => {
                    drop(rows.insert(name.to_owned(), body.clone()));
                }
                ("PATCH", _) if rows.contains_key(&name) => {
                    let mut row = body.clone();
                    row["name"] = row["pool"].take();
                    rows.insert(name, row);
                }
                ("DELETE", _) if rows.remove(&name).is_some() => return (204, Value::Null),
                _ => return (409, json!({ "detail": asked.line })),
            }
            (200, json!({}))
        })
    }

    /// The stack's outputs name the server.
    fn behind(server: &Server) -> (Context, State) {
        let output = Output::builder().output_key("AirflowUrl").output_value(&server.url).build();
        let stack =
            Stack::builder().stack_name("p-dev").stack_status(StackStatus::CreateComplete).outputs(output);
        let stack = stack.creation_time(aws_sdk_cloudformation::primitives::DateTime::from_secs(1)).build();
        let describe = mock!(Client::describe_stacks)
            .then_output(move || DescribeStacksOutput::builder().stacks(stack.clone()).build());
        let mut aws = Bucket::default().aws();
        aws.cloudformation = mock_client!(aws_sdk_cloudformation, RuleMode::MatchAny, [&describe]);
        let session = Some(Airflow::new(&server.url));
        let outputs = BTreeMap::from([("AirflowUrl".to_owned(), server.url.clone())]);
        (context(aws), State { session, outputs, ..State::default() })
    }

    fn described(rows: &Rows) -> Vec<String> {
        let rows = rows.lock().unwrap();
        rows.values().map(|row| format!("{} {} {}", row["name"], row["slots"], row["description"])).collect()
    }

    #[tokio::test]
    async fn pools_come_change_and_go_and_those_of_people_stay() {
        let by_hand = json!({ "name": "hand", "slots": -1, "description": null, "include_deferred": true });
        let rows: Rows = Arc::new(Mutex::new(BTreeMap::from([("hand".to_owned(), by_hand)])));
        let server = server(&rows);
        let (context, mut state) = behind(&server);
        for (wanted, summary, left) in [
            (
                pools(&[("a", 1), ("c", 1)]),
                "created a, c",
                vec!["\"c\" 1 \"[airflow/objects.toml]\"", "\"hand\" -1 null"],
            ),
            (
                pools(&[("c", 2)]),
                "changed c; deleted a",
                vec!["\"c\" 2 \"[airflow/objects.toml]\"", "\"hand\" -1 null"],
            ),
            (pools(&[]), "deleted c", vec!["\"hand\" -1 null"]),
        ] {
            let ended = run(&context, &wanted, &mut state, &Sink::null()).await.unwrap();
            assert_eq!((ended.ending, ended.summary.as_str()), (Ending::Done, summary));
            let again = run(&context, &wanted, &mut state, &Sink::null()).await.unwrap();
            assert_eq!(again.ending, Ending::Skipped);
            let found = described(&rows);
            assert!(left.iter().all(|row| found.contains(&(*row).to_owned())), "{found:?}");
        }
        assert_eq!(described(&rows).len(), 1);
    }

    #[tokio::test]
    async fn a_pool_of_somebody_else_is_left_alone_and_nothing_is_touched() {
        let by_hand = json!({ "name": "c", "slots": 1, "description": "", "include_deferred": false });
        let rows: Rows = Arc::new(Mutex::new(BTreeMap::from([("c".to_owned(), by_hand)])));
        let server = server(&rows);
        let (context, mut state) = behind(&server);
        let before = state.running.clone();
        let fail = run(&context, &pools(&[("a", 1), ("c", 2)]), &mut state, &Sink::null()).await.unwrap_err();
        assert_eq!((fail.kind(), fail.all_problems().len()), (Kind::Usage, 1));
        assert_eq!((state.running, described(&rows).len()), (before, 1));
    }

    #[tokio::test]
    async fn half_way_the_pools_are_unknown_so_that_a_rollback_looks_at_them() {
        let rows = Rows::default();
        let server = server(&rows);
        let (context, mut state) = behind(&server);
        state.running.pools = Some(BTreeMap::new());
        assert!(run(&context, &pools(&[("a", 1), ("broken", 1)]), &mut state, &Sink::null()).await.is_err());
        assert_eq!((state.running.pools.clone(), described(&rows).len()), (None, 1));
        run(&context, &pools(&[]), &mut state, &Sink::null()).await.unwrap();
        assert!(described(&rows).is_empty());
    }
}
