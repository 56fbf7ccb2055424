//! The steps of a deployment, one file each: from a step's inputs to how it ended.

mod bake;
mod bootstrap;
mod bundle;
mod dags;
mod image;
mod leaving;
mod pointer;
mod pools;
mod smoke;
mod snapshot;
mod stack;

use super::context::{Context, State};
use super::timed::Ended;
use super::{airflow, rollout};
use crate::fail::Result;
use crate::model::event::Sink;
use crate::model::text::count;
use crate::plan::deployment::Step;

/// Carries one step out.
pub async fn run(context: &Context, step: &Step, state: &mut State, sink: &Sink) -> Result<Ended> {
    match step {
        Step::Bootstrap => bootstrap::run(context, sink).await,
        Step::Bundle(digest) => bundle::run(context, digest, state).await,
        Step::Image(digest) => image::run(context, digest, state, sink).await,
        Step::TaskImages(images) => image::of_tasks(context, images, state, sink).await,
        Step::Platform { spec, release } | Step::Stack { spec, release } => {
            stack::run(context, spec, release, state, sink).await
        }
        Step::Snapshot { engine, release } => snapshot::run(context, engine, release, state, sink).await,
        Step::Migration(moving) => rollout::up(context, moving, state, sink).await,
        Step::Downgrade(moving) => rollout::down(context, moving, state, sink).await,
        Step::Rollout(rollout) => rollout::run(context, rollout, state, sink).await,
        Step::Pools(pools) => pools::run(context, pools, state, sink).await,
        Step::Pointer(release) => pointer::run(context, release, state).await,
        Step::Dags(bundle) => dags::run(context, bundle, state, sink).await,
        Step::Smoke { runtime, release } => smoke::run(context, *runtime, release, state, sink).await,
        Step::Bake { length, release } => bake::run(context, *length, release, state, sink).await,
        Step::Health => {
            let components = airflow::healthy(context, state, sink).await?;
            Ok(Ended::skipped(format!("{} healthy, nothing to do", count(components.len(), "component"))))
        }
    }
}

#[cfg(test)]
mod tests;
