//! Step `stack`: the master stack as the release wants it.

use super::super::context::{Context, State};
use super::super::leftovers;
use super::super::stack::change_set::Template;
use super::super::stack::{Goal, converge, master, read_outputs};
use super::super::timed::Ended;
use super::leaving;
use crate::fail::Result;
use crate::model::event::Sink;
use crate::model::release::StackSpec;

pub(super) async fn run(
    context: &Context,
    spec: &StackSpec,
    release: &str,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    let root = master::root(context, spec).await?;
    state.stack_moved = true;
    leaving::run(context, spec, release, (&root, state), sink).await?;
    let url = master::url(context, spec);
    let goal = Goal {
        stack: &context.stack,
        desired: master::desired(context, spec, release, &root),
        template: Template::Url(&url),
        uploads: master::uploads(context, spec),
        sink,
    };
    let before = state.outputs.clone();
    let done = converge(context, &goal).await?;
    state.uploads += done.uploads;
    read_outputs(context, state).await?;
    leftovers::note(&context.store, &before, &state.outputs).await?;
    Ok(done.summary.map_or_else(|| Ended::skipped("as it should be"), Ended::done))
}
