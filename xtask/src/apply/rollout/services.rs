//! The rollout on ECS: the database is migrated by a task of its own, then the services get the revisions of the stack
//! one after the other, each a gate for the next, and a canary before the workers if the environment asks for one.

use super::super::context::{Context, State};
use super::super::patience::patiently;
use super::super::stack::read_outputs;
use super::super::task::{self, Changes, Place};
use super::super::timed::Ended;
use super::canary_task::{self, Canary, Trial};
use super::ecs::{self, Count, Order, Seen};
use super::migration;
use crate::doors::ecs::Cluster;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::names::{self, Serves, Service, outputs};
use crate::model::release::{IMAGE_PARAMETER, Runtime};
use crate::model::schema::{Told, Way};
use crate::model::text::count;
use crate::observe::{secrets, services as observed};
use crate::plan::deployment::{Repeat, Rollout};
use crate::plan::host_secrets;
use std::collections::BTreeMap;

pub(super) async fn run(
    context: &Context,
    image: &Digest,
    rollout: &Rollout,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    read_outputs(context, state).await?;
    agrees(state, image)?;
    let changed = changed_secrets(context, state).await?;
    let place = Place::of(&state.outputs)?;
    let cluster = place.cluster(&context.aws);
    let services = patiently(sink, || observed::wanted(cluster, &state.outputs)).await?;
    let orders = services.iter().map(|service| order(service, state, rollout.repeat, changed));
    let orders: Vec<Order> = orders.collect();
    let sets = services.iter().zip(&orders);
    let canaries: Vec<Canary> = sets.filter_map(|(one, order)| Canary::of(&one.serves, order)).collect();
    let (mut waiting, mut draining) = (Vec::new(), 0);
    for order in &orders {
        match patiently(sink, || ecs::look(cluster, order)).await? {
            Seen::There { draining: left } => draining += left,
            Seen::Other { from, tasks } => {
                let moves = from != order.definition;
                waiting.push(Waiting { order, moves, tasks });
            }
        }
    }
    let goes_first = |canary: &&Canary| rollout.canary.is_some() && is_of_several(canary, &waiting);
    let (first, others): (Vec<&Canary>, Vec<&Canary>) = canaries.iter().partition(goes_first);
    // Of a deployment that was interrupted.
    patiently(sink, || canary_task::dismiss(cluster, &others)).await?;
    // A new stack has its services on this image already; they wait for the migration.
    let unknown = state.running.runtime != Some(Runtime::Services(*image));
    let moved = waiting.iter().any(|one| one.moves);
    let migrates = (unknown || moved) && state.migrated != Some(Runtime::Services(*image));
    if migrates {
        migrate(context, image, None, state, sink).await?;
    }
    if !waiting.is_empty() {
        state.running.unsettle_runtime();
    }
    let first =
        rollout.canary.map(|limit| Trial { store: &context.store, image: *image, limit, first: &first });
    let rolled = roll(cluster, &waiting, first, sink).await;
    let all: Vec<&Canary> = canaries.iter().collect();
    let left = patiently(sink, || canary_task::dismiss(cluster, &all)).await;
    draining += both(rolled, left)?;
    state.draining = draining;
    Ok(ended(image, waiting.len(), draining, migrates))
}

/// A service that does not run what it is to run.
struct Waiting<'a> {
    order: &'a Order<'a>,
    /// Whether it gets another task definition.
    moves: bool,
    /// How many it has or is to have.
    tasks: i64,
}

/// Whether it is the canary of a worker set that has or gets more than one worker and moves to another revision.
fn is_of_several(canary: &Canary<'_>, waiting: &[Waiting<'_>]) -> bool {
    waiting.iter().any(|one| one.moves && one.tasks > 1 && canary.goes_before(one.order))
}

/// Moves services one after the other; worker sets only after their canaries, if there are any. The number of tasks
/// that go on with what they have begun.
async fn roll(
    cluster: Cluster<'_>,
    waiting: &[Waiting<'_>],
    first: Option<Trial<'_>>,
    sink: &Sink,
) -> Result<usize> {
    let (sets, components): (Vec<_>, Vec<_>) = waiting.iter().partition(|one| one.order.protects);
    let mut draining = 0;
    for one in components {
        draining += ecs::roll(cluster, one.order, sink).await?;
    }
    if let Some(trial) = first {
        trial.run(cluster, sink).await?;
    }
    for one in sets {
        draining += ecs::roll(cluster, one.order, sink).await?;
    }
    Ok(draining)
}

/// What drains of services and of their canaries; whichever failed first is told first.
fn both(rolled: Result<usize>, left: Result<usize>) -> Result<usize> {
    match (rolled, left) {
        (Ok(rolled), Ok(left)) => Ok(rolled + left),
        (Err(fail), Err(second)) => Err(fail.cause(format!("nor could its canaries be ended: {second}"))),
        (Err(fail), Ok(_)) | (Ok(_), Err(fail)) => Err(fail),
    }
}

/// What is said of workers of before that end with their last task.
pub(super) fn left(draining: usize) -> String {
    match draining {
        0 => String::new(),
        draining => format!(", released, {draining} draining"),
    }
}

fn ended(image: &Digest, rolled: usize, draining: usize, migrated: bool) -> Ended {
    let left = left(draining);
    match rolled {
        0 if migrated => {
            Ended::done(format!("every service has image {} from the stack{left}", image.short()))
        }
        0 => Ended::skipped(format!("every service runs it already{left}")),
        rolled => Ended::done(format!("image {} in {}{left}", image.short(), count(rolled, "service"))),
    }
}

/// What services get is what the stack has: it must be this release's.
pub(super) fn agrees(state: &State, image: &Digest) -> Result<()> {
    let has = state.parameters.get(IMAGE_PARAMETER).map_or("none", String::as_str);
    if has.ends_with(&format!("@sha256:{image}")) {
        return Ok(());
    }
    Err(Fail::failed("the stack has another image than the release")
        .cause(format!("the stack has `{has}`, the release `sha256:{image}`"))
        .hint("somebody has updated the stack in the meantime: run the same command again"))
}

/// Whose secrets have another value than when tasks read them.
#[derive(Clone, Copy, Debug, Default)]
struct Changed {
    any: bool,
    on_workers: bool,
}

async fn changed_secrets(context: &Context, state: &mut State) -> Result<Changed> {
    let secrets = host_secrets::host_secrets(&state.outputs, &state.parameters);
    state.secrets = secrets::versions(&context.aws, &secrets).await?;
    let Some(pointer) = &state.pointer else { return Ok(Changed::default()) };
    let changed = host_secrets::changed(&pointer.value.secrets, &state.secrets);
    let on_workers = changed.iter().any(|name| secrets.get(name).is_some_and(|secret| secret.on_workers));
    Ok(Changed { any: !changed.is_empty(), on_workers })
}

fn order<'a>(service: &'a Service, state: &State, repeat: Repeat, changed: Changed) -> Order<'a> {
    let (changed, protects) = match service.serves {
        Serves::Component(_) => (changed.any, false),
        Serves::Workers(_) => (changed.on_workers, true),
    };
    Order {
        title: &service.title,
        service: &service.name,
        definition: &service.task_definition,
        count: counted(&service.serves, &state.outputs, &state.parameters),
        anew: repeat == Repeat::Yes || changed,
        protects,
    }
}

/// Target tracking owns the number of api-servers where it may be more than one, the scaler that of workers.
fn counted(
    serves: &Serves,
    outputs: &BTreeMap<String, String>,
    parameters: &BTreeMap<String, String>,
) -> Count {
    let number = |name: String| parameters.get(&name).and_then(|text| text.parse::<i64>().ok());
    match serves {
        Serves::Component(prefix) => {
            let (fewest, most) = (number(format!("{prefix}Count")), number(format!("{prefix}MaxCount")));
            match fewest {
                Some(fewest) if most.is_some_and(|most| most > fewest) => Count::AtLeast(fewest),
                Some(count) => Count::Exactly(count),
                None => Count::Any,
            }
        }
        Serves::Workers(set) => names::fewest_workers(outputs, set).map_or(Count::Any, Count::AtLeast),
    }
}

/// Before any service gets the image. ECS calls what started it by its name, so that an interrupted deployment finds
/// it again. The database itself lets only one migrate at a time.
pub(super) async fn migrate(
    context: &Context,
    image: &Digest,
    told: Option<&Told>,
    state: &mut State,
    sink: &Sink,
) -> Result<()> {
    let place = Place::of(&state.outputs)?;
    let back = told.is_some_and(|told| told.direction == Way::Down);
    let what = if back { "downgrade" } else { "migrate" };
    let by = format!("ductwork/{what}/{}", image.short());
    let command = told.map(migration::command);
    let changes = Changes { command, ..Changes::default() };
    let running = task::once(&place, &context.aws, state.output(outputs::MIGRATE)?, &by, &changes).await?;
    // A task that is refused has touched nothing: what ran still runs.
    state.running.unsettle_runtime();
    let progress = |text: &str| sink.progress(format!("migration: {text}"));
    let state = |status: &str| progress(&format!("task is {}", status.to_lowercase()));
    let end = running
        .end(state, |line| {
            if told.is_some() {
                progress(line);
            }
        })
        .await?;
    match (end.code, back) {
        (Some(0), _) => Ok(()),
        (_, false) => Err(task::failed(&running, &end, "the migration of the database failed")
            .await
            .hint("no service was moved: repair what the task says, then run the same command again")),
        (_, true) => Err(task::failed(&running, &end, "the database could not be taken back").await),
    }
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
