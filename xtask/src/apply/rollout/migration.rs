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
use crate::model::schema::{Told, Way};
use crate::plan::migration::{Moving, Saved};

fn told(direction: Way, moving: &Moving, context: &Context) -> Told {
    let dump = moving.dumps.then(|| names::dump_key(context.environment(), &time::ulid()));
    Told { direction, heads: moving.to.heads(), dump, schema: None }
}

/// As the command of a task.
pub(super) fn command(told: &Told) -> Vec<String> {
    vec!["migrate".to_owned(), "--told".to_owned(), serde_json::json!(told).to_string()]
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
    forget_unmade(context, state).await;
    Ok(Ended::done(summary("database", moving, state)))
}

/// Before the older code comes back, by the newer one: on ECS now, on EC2 as soon as the hosts of the API get the
/// older revision, whose first hook finds the newer one still there.
pub async fn down(context: &Context, moving: &Moving, state: &mut State, sink: &Sink) -> Result<Ended> {
    let told = begin(Way::Down, context, moving, state).await?;
    match moving.runtime {
        Runtime::Services(image) => {
            services::migrate(context, &image, Some(&told), state, sink).await?;
            forget_unmade(context, state).await;
            Ok(Ended::done(summary("database taken back", moving, state)))
        }
        // Nothing is saved yet.
        Runtime::Hosts(_) => {
            let airflow = &moving.to.airflow;
            Ok(Ended::done(format!(
                "hosts of the API are told to take the database back to Airflow {airflow}"
            )))
        }
    }
}

/// Hosts are told in the artifact bucket, a task by its command. Whoever finds the deployment interrupted reads of
/// either in the bucket what had begun.
async fn begin(way: Way, context: &Context, moving: &Moving, state: &mut State) -> Result<Told> {
    read_outputs(context, state).await?;
    let told = told(way, moving, context);
    if let Some(key) = &told.dump {
        state.saved = Some(Saved::Dump(key.clone()));
    }
    match way {
        Way::Up => state.running.unsettle_schema(&moving.to),
        Way::Down => state.running.unsettle_runtime(),
    }
    let noted = Told { schema: Some(moving.to.clone()), ..told.clone() };
    context.store.put(&names::migration_key(context.environment()), &noted).await?;
    Ok(told)
}

/// The name of a dump is chosen before hosts or a task make it. One that they did not make, because nothing had to be
/// migrated or because they never came so far, is named to nobody.
pub async fn forget_unmade(context: &Context, state: &mut State) {
    if let Some(Saved::Dump(key)) = &state.saved
        && let Ok(false) = context.store.has(key).await
    {
        state.saved = None;
    }
}

fn summary(what: &str, moving: &Moving, state: &State) -> String {
    let saved = match &state.saved {
        Some(Saved::Dump(key)) => format!(", saved before as {key}"),
        _ => String::new(),
    };
    format!("{what} to Airflow {}{saved}", moving.to.airflow)
}

#[cfg(test)]
#[path = "migration_tests.rs"]
mod tests;
