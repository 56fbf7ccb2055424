//! The rollout on EC2: the host revision goes to the deployment groups one after the other, each a gate for
//! the next.

use super::super::context::{Context, State};
use super::super::stack::read_outputs;
use super::super::timed::Ended;
use super::codedeploy::{self, Order};
use super::election::Canary;
use super::replace::{self, Hosts};
use super::services;
use crate::doors::store::Sent;
use crate::fail::Result;
use crate::model::contract::CONTRACT;
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
use std::time::Duration;

pub(super) async fn run(
    context: &Context,
    revision: &Digest,
    repeat: Repeat,
    canary: Option<Duration>,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    read_outputs(context, state).await?;
    let groups = names::deployment_groups(&state.outputs);
    roll(context, revision, How { repeat, canary }, &groups, state, sink).await
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
    let how = How { repeat: Repeat::No, canary: None };
    roll(context, revision, how, groups.get(..1).unwrap_or_default(), state, sink).await
}

/// To whom it goes, and whether one goes first.
struct How {
    repeat: Repeat,
    canary: Option<Duration>,
}

async fn roll(
    context: &Context,
    revision: &Digest,
    how: How,
    groups: &[String],
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    let key = names::host_key(revision);
    let secrets = host_secrets::host_secrets(&state.outputs, &state.parameters);
    state.secrets = secrets::versions(&context.aws, &secrets).await?;
    let (mut rolled, mut draining) = (0, 0);
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
        let set = workers(name, state);
        let canary = Canary { store: &context.store, runtime: *revision, limit: how.canary };
        let workers = set.as_ref().map(|set| set.hosts(canary));
        if how.repeat == Repeat::No && codedeploy::runs(&context.aws, &order).await? {
            if let Some(workers) = &workers {
                draining += replace::settle(&context.aws, workers, sink).await?;
            }
            continue;
        }
        if rolled == 0 {
            let made = context.artifacts.host_revision.as_ref();
            state.uploads += usize::from(context.upload(made, revision, &key).await? == Sent::Yes);
        }
        state.running.unsettle_runtime();
        match &workers {
            Some(workers) => {
                draining += replace::roll(&context.aws, &order, workers, sink).await?;
            }
            None => codedeploy::roll(&context.aws, &order, None, sink).await?,
        }
        rolled += 1;
    }
    state.draining = draining;
    let left = services::left(draining);
    if rolled == 0 {
        return Ok(Ended::skipped(format!("every host runs it already{left}")));
    }
    Ok(Ended::done(format!("{} on {}{left}", revision.short(), count(rolled, "deployment group"))))
}

/// What outputs and parameters say of the hosts of a worker set.
struct WorkerSet {
    name: String,
    group: String,
    config: String,
    budget: Duration,
}

impl WorkerSet {
    fn hosts<'a>(&'a self, canary: Canary<'a>) -> Hosts<'a> {
        Hosts { set: &self.name, group: &self.group, config: &self.config, budget: self.budget, canary }
    }
}

/// The worker set of a deployment group, named by its output; none if that is of other hosts.
fn workers(group: &str, state: &State) -> Option<WorkerSet> {
    let suffixes = &CONTRACT.outputs.worker_set;
    let prefix =
        group.strip_suffix(&suffixes["deployment_group"]).filter(|_| names::serves_workers(group))?;
    let parameter = |name: &str| state.parameters.get(name).cloned().unwrap_or_default();
    let group = state.outputs.get(&format!("{prefix}{}", suffixes["auto_scaling_group"]))?.clone();
    let sets = names::worker_groups(&state.outputs);
    Some(WorkerSet {
        name: sets.into_iter().find_map(|(name, of)| (of == group).then_some(name))?,
        group,
        config: parameter(&format!("{prefix}DeploymentConfig")),
        budget: Duration::from_secs(parameter("DrainSeconds").parse().unwrap_or_default()),
    })
}

/// Tells revisions with the same files but other settings apart: hosts read theirs from the stack, and secrets.
fn mark(revision: &Digest, group: &str, secrets: &BTreeMap<String, HostSecret>, state: &State) -> String {
    let versions = host_secrets::of_group(group, secrets, &state.secrets);
    let settings = host_settings::digest(&state.outputs, &state.parameters, &versions);
    format!("host revision {} settings {}", revision.short(), settings.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deployment_groups_of_worker_sets_have_workers() {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let state = State {
            outputs: pairs(&[
                ("SchedulerAutoScalingGroup", "schedulers"),
                ("WorkerBigAutoScalingGroup", "big"),
                (outputs::WORKER_SETS, r#"{"big": {"prefix": "WorkerBig"}}"#),
            ]),
            parameters: pairs(&[("WorkerBigDeploymentConfig", "half"), ("DrainSeconds", "7200")]),
            ..State::default()
        };
        assert!(workers("SchedulerDeploymentGroup", &state).is_none());
        let set = workers("WorkerBigDeploymentGroup", &state).unwrap();
        let WorkerSet { name, group, config, budget } = &set;
        assert_eq!([name, group, config], ["big", "big", "half"]);
        assert_eq!(*budget, Duration::from_secs(7200));
    }
}
