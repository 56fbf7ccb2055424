//! Worker sets: each complete and suitable for its hosts, and all of them together.

use super::check::{at, at_unless, flag};
use super::defaults::Defaults;
use super::hosts::{instance_type, more_types, permissions, volume};
use super::tasks::{Room, WORKER};
use crate::config::document::Written;
use crate::config::file;
use crate::config::hosts::{LONGEST_HOOK, RunsOn, WorkerSet};
use crate::config::problems::{Location, Problems, Reported};
use crate::config::values::{Architecture, Pace, Queue, Size, WorkerSetName};
use crate::model::contract::CONTRACT;
use crate::model::engine::Engine;
use std::time::Duration;

const MOST_HOSTS: u32 = 100;
/// CodeDeploy ends an in-place deployment after eight hours
/// (docs.aws.amazon.com/codedeploy/latest/userguide/limits.html).
const MOST_ROLLOUT_MINUTES: u64 = 8 * 60;
/// What a host takes in a rollout besides its drain: fetching, installing, starting and validating.
const SETUP_MINUTES: u64 = 10;

/// Files that a task can write are on a disk of this size; Fargate charges for more than the first 20 GiB.
const EPHEMERAL_GIB: u32 = 20;

/// What workers run on.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// Hosts of this architecture, if it is known.
    Host(Option<Architecture>),
    Task(Room<'a>),
}

impl Place<'_> {
    /// What there are several of.
    fn unit(self) -> &'static str {
        match self {
            Self::Host(_) => "hosts",
            Self::Task(_) => "tasks",
        }
    }
}

/// All worker sets, sorted by name.
pub fn workers(
    written: &file::Sets,
    defaults: Defaults,
    place: Place,
    problems: &mut Problems,
) -> Result<Vec<WorkerSet>, Reported> {
    let mut found = Vec::new();
    let mut outcome = Ok(());
    for (name, keys) in written {
        match worker_set(name, keys, defaults, place, problems) {
            Ok(set) => found.push(Found { name, keys, set }),
            Err(reported) => outcome = Err(reported),
        }
    }
    found.sort_by(|a, b| a.set.name.cmp(&b.set.name));
    for (index, later) in found.iter().enumerate() {
        found.iter().take(index).for_each(|earlier| later.distinct_from(earlier, problems));
    }
    outcome?;
    someone_serves_the_default_queue(&found, problems);
    Ok(found.into_iter().map(|found| found.set).collect())
}

/// Reports sets whose rollout CodeDeploy could end before every host has had its turn, if all of them drain for
/// as long as they may. Half at a time, even the longest drain fits. Beyond what a hook can wait for, hosts are replaced
/// and drain afterwards; those of the schedulers cannot be.
pub fn rollouts_end(written: &file::File, sets: &[WorkerSet], drain: Duration, problems: &mut Problems) {
    if drain > LONGEST_HOOK {
        let shared = sets.iter().find(|set| set.on_scheduler);
        if let (Some(location), Some(set)) = (at(&written.hosts.drain_minutes), shared) {
            let message = format!(
                "the worker set `{}` runs on the schedulers' hosts, which cannot be replaced for a drain of more than \
                 {} minutes",
                set.name,
                LONGEST_HOOK.as_secs() / 60
            );
            let hint = format!(
                "use {} or less, or remove `on_scheduler` so that the set has hosts of its own",
                LONGEST_HOOK.as_secs() / 60
            );
            problems.conflict(location, message, hint);
        }
        return;
    }
    let minutes = drain.as_secs() / 60 + SETUP_MINUTES;
    // The others wait for the first one together.
    let canary = written.release.canary_minutes.as_ref().and_then(|written| written.value.try_into().ok());
    let canary: u64 = canary.unwrap_or_default();
    let most = MOST_ROLLOUT_MINUTES.saturating_sub(canary) / minutes;
    let too_long = |set: &&WorkerSet| set.is_rolled_one_by_one() && u64::from(set.max) > most;
    for set in sets.iter().filter(too_long) {
        let Some((name, keys)) = written.workers.iter().find(|(name, _)| name.value == set.name.to_string())
        else {
            continue;
        };
        let location = at(&keys.max).or(at(&keys.min)).unwrap_or(&name.location);
        let message = format!(
            "a rollout to {} hosts, one at a time, may take {} hours, since each has up to {minutes} minutes to drain \
             and be set up{}; CodeDeploy ends it after 8 hours",
            set.max,
            (u64::from(set.max) * minutes + canary).div_ceil(60),
            if canary > 0 { format!(", after up to {canary} min for the canary") } else { String::new() },
        );
        let hint = format!(
            "set `rollout = \"half_at_a_time\"`, or have at most {most} hosts, or lower `hosts.drain_minutes`"
        );
        problems.conflict(location, message, hint);
    }
}

/// A worker set and what it was made from.
struct Found<'w> {
    name: &'w Written<String>,
    keys: &'w file::Worker,
    set: WorkerSet,
}

impl Found<'_> {
    /// Reports two sets with the same stack or the same queue.
    fn distinct_from(&self, earlier: &Found, problems: &mut Problems) {
        let (a, b) = (&earlier.set, &self.set);
        if a.prefix() == b.prefix() {
            let message =
                format!("`{}` and `{}` would become the same stack, `{}`", a.name, b.name, a.prefix());
            problems.conflict(&self.name.location, message, "rename one of the two");
        }
        if a.queue == b.queue {
            let location = at(&self.keys.queue).unwrap_or(&self.name.location);
            let message = format!("`{}` and `{}` would both serve the queue `{}`", a.name, b.name, a.queue);
            problems.conflict(location, message, "set a different `queue` for one of the two");
        }
    }
}

fn someone_serves_the_default_queue(found: &[Found], problems: &mut Problems) {
    if found.iter().any(|found| found.set.queue.is_default()) {
        return;
    }
    // The default set serves it unless its queue is written.
    let default = found.iter().find(|found| found.set.name.is_default());
    if let Some(location) = default.and_then(|default| at(&default.keys.queue)) {
        let queue = &CONTRACT.worker_set.default;
        let message = format!("no worker set serves `{queue}`, the queue of tasks that do not name one");
        let hint = format!("remove it, or set `queue = \"{queue}\"` for another worker set");
        problems.conflict(location, message, hint);
    }
}

fn worker_set(
    written_name: &Written<String>,
    written: &file::Worker,
    defaults: Defaults,
    place: Place,
    problems: &mut Problems,
) -> Result<WorkerSet, Reported> {
    let name = problems.valid(&written_name.location, WorkerSetName::parse(&written_name.value));
    let queue = problems.text(&written.queue, Queue::parse);
    let on_scheduler = matches!(place, Place::Host(_)) && flag(&written.on_scheduler, false);
    if on_scheduler {
        without_hosts(written, problems);
    }
    let is_default = name.as_ref().is_ok_and(WorkerSetName::is_default);
    let size = size(written, if is_default { defaults.hosts() } else { 0 }, place.unit(), problems);
    let spot = match place {
        // Keys of Spot have been refused.
        Place::Task(room) if room.engine == Engine::EcsEc2 => Ok((0, 0)),
        _ => spot(written, size.ok(), place, problems),
    };
    let runs_on = match place {
        Place::Host(architecture) => host(written, architecture, problems),
        Place::Task(room) => task(written, room, problems),
    };
    let permissions = permissions(&written.managed_policies, &written.policies, problems);
    let scaling = &CONTRACT.scaling;
    let concurrency = problems.number_or(&written.concurrency, scaling.concurrency, 1..=128, "tasks");
    let thresholds = thresholds(written, problems);
    let shrink_after = &written.shrink_after_minutes;
    let shrink_after = problems.number_or(shrink_after, scaling.shrink_after_minutes, 1..=1440, "minutes");
    let name = name?;
    let ((min, max), (spot_percent, on_demand_base)) = (if on_scheduler { (0, 0) } else { size? }, spot?);
    let (growth_threshold, shrink_threshold) = thresholds?;
    Ok(WorkerSet {
        queue: queue?.unwrap_or_else(|| Queue::of(&name)),
        name,
        on_scheduler,
        concurrency: concurrency?,
        runs_on: runs_on?,
        spot_percent,
        on_demand_base,
        min,
        max,
        growth_threshold,
        shrink_threshold,
        shrink_after_minutes: shrink_after?,
        permissions,
    })
}

fn host(
    written: &file::Worker,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) -> Result<RunsOn, Reported> {
    let instance_type = instance_type(&written.instance_type, architecture, Size::Medium, problems);
    let first = instance_type.as_ref().ok();
    let more_instance_types = more_types(&written.more_instance_types, first, architecture, problems);
    let volume_gib = volume(&written.volume_gib, problems);
    let rollout = problems.choice(&written.rollout, Pace::parse, Pace::OneAtATime);
    Ok(RunsOn::Host {
        instance_type: instance_type?,
        more_instance_types,
        volume_gib: volume_gib?,
        rollout: rollout?,
    })
}

fn task(written: &file::Worker, room: Room, problems: &mut Problems) -> Result<RunsOn, Reported> {
    let size = room.size(&written.cpu, &written.memory, WORKER, problems);
    let ephemeral = match room.engine {
        Engine::Fargate => {
            problems.number_or(&written.ephemeral_gib, EPHEMERAL_GIB, EPHEMERAL_GIB..=200, "GiB")
        }
        _ => Ok(EPHEMERAL_GIB),
    };
    Ok(RunsOn::Task { size: size?, ephemeral_gib: ephemeral? })
}

/// Reports keys that have no effect on a set without hosts.
fn without_hosts(written: &file::Worker, problems: &mut Problems) {
    let keys = [
        ("instance_type", at(&written.instance_type)),
        ("more_instance_types", at_unless(&written.more_instance_types, &Vec::new())),
        ("spot_percent", at_unless(&written.spot_percent, &0)),
        ("on_demand_base", at_unless(&written.on_demand_base, &0)),
        ("min", at(&written.min)),
        ("max", at(&written.max)),
        ("volume_gib", at(&written.volume_gib)),
        ("growth_threshold", at(&written.growth_threshold)),
        ("shrink_threshold", at(&written.shrink_threshold)),
        ("shrink_after_minutes", at(&written.shrink_after_minutes)),
        ("rollout", at(&written.rollout)),
        ("managed_policies", at_unless(&written.managed_policies, &Vec::new())),
        ("policies", at_unless(&written.policies, &Vec::new())),
    ];
    let hint = "remove it (if `[hosts.scheduler]` has the key, set it there), or remove `on_scheduler`";
    problems.no_effect(&keys, "on a worker set without hosts of its own", hint);
}

/// The least and the most hosts or tasks. Each defaults to the other; with neither, `default` decides.
fn size(
    written: &file::Worker,
    default: u32,
    unit: &str,
    problems: &mut Problems,
) -> Result<(u32, u32), Reported> {
    let min = problems.number(&written.min, 0..=MOST_HOSTS, unit);
    let max = problems.number(&written.max, 1..=MOST_HOSTS, unit);
    let (min, max) = (min?, max?);
    let min = min.unwrap_or_else(|| max.map_or(default, |max| max.min(default)));
    match (at(&written.max), max) {
        (Some(location), Some(max)) if max < min => {
            let message = format!("{max} is less than `min`, which is {min}");
            Err(problems.conflict(location, message, format!("use {min} or more, or lower `min`")))
        }
        _ => Ok((min, max.unwrap_or(min.max(1)))),
    }
}

/// The share of Spot, and the number of hosts or tasks that are never Spot.
fn spot(
    written: &file::Worker,
    size: Option<(u32, u32)>,
    place: Place,
    problems: &mut Problems,
) -> Result<(u32, u32), Reported> {
    let percent = problems.number_or(&written.spot_percent, 0, 0..=100, "percent");
    let base = problems.number_or(&written.on_demand_base, 0, 0..=MOST_HOSTS, place.unit());
    let (percent, base) = (percent?, base?);
    if let Some(location) = at_unless(&written.on_demand_base, &0).filter(|_| percent == 0) {
        let hint = "add `spot_percent`, or remove it";
        problems.conflict(location, "`on_demand_base` requires `spot_percent`", hint);
    }
    let has_hosts = !flag(&written.on_scheduler, false);
    if let Some(location) = at(&written.spot_percent).filter(|_| percent > 0 && has_hosts) {
        match size {
            _ if written.max.is_none() => {
                let unit = place.unit();
                let hint = format!(
                    "add `max`: Spot only takes its share of the {unit} that come and go above `min`"
                );
                problems.conflict(location, "`spot_percent` requires `max`", hint);
            }
            Some((_, max)) if base >= max => {
                let one = place.unit().trim_end_matches('s');
                let message =
                    format!("no {one} would be Spot: `on_demand_base` is {base}, and `max` is {max}");
                let hint = "lower `on_demand_base`, raise `max`, or remove `spot_percent`";
                problems.conflict(location, message, hint);
            }
            _ => {}
        }
    }
    Ok((percent, base))
}

/// The load per task slot above which hosts are added, and below which they are removed.
fn thresholds(written: &file::Worker, problems: &mut Problems) -> Result<(f64, f64), Reported> {
    let unit = "(tasks per task slot)";
    let growth = problems.fraction(&written.growth_threshold, 0.1..=10.0, unit);
    let shrink = problems.fraction(&written.shrink_threshold, 0.0..=10.0, unit);
    let growth = growth?.unwrap_or(CONTRACT.scaling.growth_threshold);
    let shrink = shrink?.unwrap_or(CONTRACT.scaling.shrink_threshold);
    if shrink < growth {
        return Ok((growth, shrink));
    }
    // The defaults do not contradict each other, so one of the two is written.
    let unwritten = Location::default();
    let location = at(&written.shrink_threshold).or(at(&written.growth_threshold)).unwrap_or(&unwritten);
    let message = format!("`shrink_threshold` is {shrink}, which is not below `growth_threshold`, {growth}");
    let hint = "lower `shrink_threshold`; otherwise hosts are added and removed over and over";
    Err(problems.conflict(location, message, hint))
}
