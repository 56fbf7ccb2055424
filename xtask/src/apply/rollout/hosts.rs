//! The rollout on EC2: the host revision goes to the deployment groups one after the other, each a gate for
//! the next.

use super::super::context::{Context, State};
use super::super::stack::read_outputs;
use super::super::timed::Ended;
use super::codedeploy::{self, Order};
use crate::doors::store::Sent;
use crate::fail::Result;
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::names::{self, outputs};
use crate::model::secret::HostSecret;
use crate::model::text::count;
use crate::observe::secrets;
use crate::plan::deployment::Repeat;
use crate::plan::host_secrets;
use crate::plan::host_settings;
use std::collections::BTreeMap;

pub(super) async fn run(
    context: &Context,
    revision: &Digest,
    repeat: Repeat,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    read_outputs(context, state).await?;
    let groups = names::deployment_groups(&state.outputs);
    roll(context, revision, repeat, &groups, state, sink).await
}

/// To the hosts of the API alone, which migrate the database if they are told to.
pub(super) async fn run_on_api(
    context: &Context,
    revision: &Digest,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    read_outputs(context, state).await?;
    let groups = names::deployment_groups(&state.outputs);
    roll(context, revision, Repeat::No, groups.get(..1).unwrap_or_default(), state, sink).await
}

async fn roll(
    context: &Context,
    revision: &Digest,
    repeat: Repeat,
    groups: &[String],
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    let key = names::host_key(revision);
    let secrets = host_secrets::host_secrets(&state.outputs, &state.parameters);
    state.secrets = secrets::versions(&context.aws, &secrets).await?;
    let mut rolled = 0;
    for name in groups {
        let mark = mark(revision, name, &secrets, state);
        let group = state.output(name)?.to_owned();
        let application = state.output(outputs::CODEDEPLOY_APPLICATION)?.to_owned();
        let order = Order {
            application: &application,
            group: &group,
            bucket: context.store.bucket(),
            key: &key,
            mark: &mark,
        };
        if repeat == Repeat::No && codedeploy::runs(&context.aws, &order).await? {
            continue;
        }
        if rolled == 0 {
            let made = context.artifacts.host_revision.as_ref();
            state.uploads += usize::from(context.upload(made, revision, &key).await? == Sent::Yes);
        }
        state.running.unsettle_runtime();
        codedeploy::roll(&context.aws, &order, sink).await?;
        rolled += 1;
    }
    if rolled == 0 {
        return Ok(Ended::skipped("every host runs it already"));
    }
    Ok(Ended::done(format!("{} on {}", revision.short(), count(rolled, "deployment group"))))
}

/// Tells revisions with the same files but other settings apart: hosts read theirs from the stack, and secrets.
fn mark(revision: &Digest, group: &str, secrets: &BTreeMap<String, HostSecret>, state: &State) -> String {
    let versions = host_secrets::of_group(group, secrets, &state.secrets);
    let settings = host_settings::digest(&state.outputs, &state.parameters, &versions);
    format!("host revision {} settings {}", revision.short(), settings.short())
}
