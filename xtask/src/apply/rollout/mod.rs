//! Rollouts: bring a runtime to everything that does not run it yet, by the engine's own service.

mod canary;
mod canary_task;
mod codedeploy;
mod ecs;
mod election;
mod failure;
mod hosts;
mod migration;
mod replace;
mod services;
mod targets;

use super::airflow;
use super::context::{Context, State};
use super::losses;
use super::timed::Ended;
use crate::fail::Result;
use crate::model::event::Sink;
use crate::model::release::Runtime;
use crate::plan::deployment::Rollout;

pub use migration::forget_unmade;
pub(super) use migration::{down, up};

/// Carries the rollout out; which service does it is decided by the runtime alone.
pub(super) async fn run(
    context: &Context,
    rollout: &Rollout,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    losses::expect(context, state, sink).await;
    match rollout.runtime {
        Runtime::Hosts(revision) => {
            hosts::run(context, &revision, rollout.repeat, rollout.canary, state, sink).await
        }
        Runtime::Services(image) => {
            let ended = services::run(context, &image, rollout, state, sink).await?;
            // For ECS, a component that waits for the migration is up already.
            airflow::healthy(context, state, sink).await?;
            Ok(ended)
        }
    }
}
