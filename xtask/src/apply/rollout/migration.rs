//! The migration of the database and the way back, once and as a step of its own: by a task on ECS, and by the hosts of
//! the API on EC2, which read in the artifact bucket what they are to do.

use super::super::context::{Context, State};
use super::super::stack::read_outputs;
use super::super::timed::Ended;
use super::{hosts, services};
use crate::doors::time;
use crate::fail::Result;
use crate::model::event::Sink;
use crate::model::names;
use crate::model::release::Runtime;
use crate::plan::migration::{Moving, Saved};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Up,
    Down,
}

/// What hosts and tasks are told; see `ductwork_airflow/release/told.py`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    pub direction: Way,
    heads: BTreeMap<String, String>,
    /// Where the database is saved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    dump: Option<String>,
}

impl Told {
    fn of(direction: Way, moving: &Moving, context: &Context) -> Self {
        let dump = moving.dumps.then(|| names::dump_key(context.environment(), &time::ulid()));
        Self { direction, heads: moving.to.heads(), dump }
    }

    /// As the command of a task.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let json = serde_json::json!(self).to_string();
        vec!["migrate".to_owned(), "--told".to_owned(), json]
    }
}

/// Before anything else runs the new code.
pub async fn up(context: &Context, moving: &Moving, state: &mut State, sink: &Sink) -> Result<Ended> {
    let told = begin(Way::Up, context, moving, state).await?;
    match moving.runtime {
        Runtime::Services(image) => {
            services::agrees(state, &image)?;
            services::migrate(context, &image, Some(&told), state, sink).await?;
        }
        Runtime::Hosts(revision) => {
            hosts::run_on_api(context, &revision, state, sink).await?;
        }
    }
    state.migrated = Some(moving.runtime);
    Ok(Ended::done(summary("database", moving, &told)))
}

/// Before the older code comes back, by the newer one: on ECS now, on EC2 as soon as the hosts of the API get the
/// older revision, whose first hook finds the newer one still there.
pub async fn down(context: &Context, moving: &Moving, state: &mut State, sink: &Sink) -> Result<Ended> {
    let told = begin(Way::Down, context, moving, state).await?;
    let done = match moving.runtime {
        Runtime::Services(image) => {
            services::migrate(context, &image, Some(&told), state, sink).await?;
            "database taken back"
        }
        Runtime::Hosts(_) => "hosts of the API are told to take the database back",
    };
    Ok(Ended::done(summary(done, moving, &told)))
}

/// Hosts are told in the artifact bucket, a task by its command.
async fn begin(way: Way, context: &Context, moving: &Moving, state: &mut State) -> Result<Told> {
    read_outputs(context, state).await?;
    let told = Told::of(way, moving, context);
    if let Some(key) = &told.dump {
        state.saved = Some(Saved::Dump(key.clone()));
    }
    match way {
        Way::Up => state.running.unsettle_schema(&moving.to),
        Way::Down => state.running.unsettle_runtime(),
    }
    if let Runtime::Hosts(_) = moving.runtime {
        context.store.put(&names::migration_key(context.environment()), &told).await?;
    }
    Ok(told)
}

fn summary(what: &str, moving: &Moving, told: &Told) -> String {
    let saved = told.dump.as_ref().map(|key| format!(", saved before as {key}")).unwrap_or_default();
    format!("{what} to Airflow {}{saved}", moving.to.airflow)
}

#[cfg(test)]
#[path = "migration_tests.rs"]
mod tests;
