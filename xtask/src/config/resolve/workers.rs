//! Worker sets: each complete and fit for its hosts, and all of them together.

use super::Given;
use super::check::{at, at_unless, truth};
use super::hosts::{fits, instance_type, permissions, volume};
use crate::config::document::Written;
use crate::config::file;
use crate::config::problems::{Place, Problems, Wrong};
use crate::config::values::{Architecture, InstanceType, Pace, Queue, Size, WorkerSetName};
use crate::config::worker_set::WorkerSet;

const CONCURRENCY: u32 = 4;
const GROWTH_THRESHOLD: f64 = 1.0;
const SHRINK_THRESHOLD: f64 = 0.7;
const SHRINK_AFTER_MINUTES: u32 = 10;
const MOST_TYPES: usize = 5;
const MOST_HOSTS: u32 = 100;

/// All worker sets, sorted by name.
pub fn workers(
    written: &file::Sets,
    given: Given,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) -> Option<Vec<WorkerSet>> {
    let mut found = Vec::new();
    let mut whole = true;
    for (name, keys) in written {
        match worker_set(name, keys, given, architecture, problems) {
            Some(set) => found.push((name, keys, set)),
            None => whole = false,
        }
    }
    found.sort_by(|(_, _, a), (_, _, b)| a.name.cmp(&b.name));
    for (index, later) in found.iter().enumerate() {
        found.iter().take(index).for_each(|earlier| apart(earlier, later, problems));
    }
    if whole && !found.iter().any(|(_, _, set)| &*set.queue == Queue::DEFAULT) {
        let queue = written.iter().find(|(name, _)| name.value == WorkerSetName::DEFAULT);
        if let Some(queue) = queue.and_then(|(_, keys)| keys.queue.as_ref()) {
            let message =
                format!("no worker set serves `{}`, the queue of tasks that name none", Queue::DEFAULT);
            problems
                .conflict(&queue.place, Wrong::new(message, "remove it, or give that queue to another set"));
        }
    }
    whole.then(|| found.into_iter().map(|(_, _, set)| set).collect())
}

type Found<'w> = (&'w Written<String>, &'w file::Worker, WorkerSet);

/// Two sets have stacks and queues of their own.
fn apart((_, _, a): &Found, (name, keys, b): &Found, problems: &mut Problems) {
    if a.prefix() == b.prefix() {
        let message = format!("`{}` and `{}` would both be the stack `{}`", a.name, b.name, a.prefix());
        problems.conflict(&name.place, Wrong::new(message, "rename one of the two"));
    }
    if a.queue == b.queue {
        let place = at(keys.queue.as_ref()).unwrap_or(&name.place);
        let message = format!("`{}` and `{}` would both serve the queue `{}`", a.name, b.name, a.queue);
        problems.conflict(place, Wrong::new(message, "give one of the two another `queue`"));
    }
}

fn worker_set(
    written_name: &Written<String>,
    written: &file::Worker,
    given: Given,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) -> Option<WorkerSet> {
    let name = WorkerSetName::parse(&written_name.value);
    let name = name.map_err(|wrong| problems.invalid(&written_name.place, wrong)).ok();
    let queue = match &written.queue {
        Some(_) => problems.text(written.queue.as_ref(), Queue::parse),
        None => name.as_ref().and_then(|name| Queue::parse(name).ok()),
    };
    let on_scheduler = truth(written.on_scheduler.as_ref(), false);
    if on_scheduler {
        without_hosts(written, problems);
    }
    let least = if written_name.value == WorkerSetName::DEFAULT { given.hosts() } else { 0 };
    let (min, max) = if on_scheduler { (0, 0) } else { size(written, least, problems) };
    let (spot_percent, on_demand_base) = spot(written, max, problems);
    let instance_type = instance_type(written.instance_type.as_ref(), architecture, Size::Medium, problems);
    let more_instance_types = more_types(written, instance_type.as_ref(), architecture, problems);
    let volume_gib = volume(written.volume_gib.as_ref(), problems);
    let permissions = permissions(written.managed_policies.as_ref(), written.policies.as_ref(), problems);
    let concurrency = problems.number(written.concurrency.as_ref(), 1..=128, "tasks");
    let (growth_threshold, shrink_threshold) = thresholds(written, problems);
    let shrink_after = problems.number(written.shrink_after_minutes.as_ref(), 1..=1440, "minutes");
    let rollout = problems.choice(written.rollout.as_ref(), Pace::parse, Pace::OneAtATime);
    Some(WorkerSet {
        name: name?,
        queue: queue?,
        on_scheduler,
        concurrency: concurrency.unwrap_or(CONCURRENCY),
        instance_type: instance_type?,
        more_instance_types,
        spot_percent,
        on_demand_base,
        min,
        max,
        volume_gib,
        growth_threshold,
        shrink_threshold,
        shrink_after_minutes: shrink_after.unwrap_or(SHRINK_AFTER_MINUTES),
        rollout: rollout?,
        permissions,
    })
}

/// What only hosts of its own have.
fn without_hosts(written: &file::Worker, problems: &mut Problems) {
    let keys = [
        ("instance_type", at(written.instance_type.as_ref())),
        ("more_instance_types", at_unless(written.more_instance_types.as_ref(), &Vec::new())),
        ("spot_percent", at_unless(written.spot_percent.as_ref(), &0)),
        ("on_demand_base", at_unless(written.on_demand_base.as_ref(), &0)),
        ("min", at(written.min.as_ref())),
        ("max", at(written.max.as_ref())),
        ("volume_gib", at(written.volume_gib.as_ref())),
        ("growth_threshold", at(written.growth_threshold.as_ref())),
        ("shrink_threshold", at(written.shrink_threshold.as_ref())),
        ("shrink_after_minutes", at(written.shrink_after_minutes.as_ref())),
        ("rollout", at(written.rollout.as_ref())),
        ("managed_policies", at_unless(written.managed_policies.as_ref(), &Vec::new())),
        ("policies", at_unless(written.policies.as_ref(), &Vec::new())),
    ];
    let hint = "set it below `[hosts.scheduler]` if there is such a key, or remove `on_scheduler`";
    problems.idle(&keys, "on a set without hosts of its own", hint);
}

/// A missing `max` follows `min`, and the other way round.
fn size(written: &file::Worker, least: u32, problems: &mut Problems) -> (u32, u32) {
    let min = problems.number(written.min.as_ref(), 0..=MOST_HOSTS, "hosts");
    let max = problems.number(written.max.as_ref(), 1..=MOST_HOSTS, "hosts");
    let min = min.unwrap_or_else(|| max.map_or(least, |max| max.min(least)));
    if let (Some(written), Some(max)) = (&written.max, max.filter(|max| *max < min)) {
        let wrong = Wrong::new(
            format!("{max} is less than `min`, {min}"),
            format!("write {min} or more, or lower `min`"),
        );
        problems.conflict(&written.place, wrong);
    }
    (min, max.unwrap_or(min.max(1)))
}

/// The share of Spot among the hosts, and how many come before it.
fn spot(written: &file::Worker, max: u32, problems: &mut Problems) -> (u32, u32) {
    let percent = problems.number(written.spot_percent.as_ref(), 0..=100, "percent").unwrap_or(0);
    let base = problems.number(written.on_demand_base.as_ref(), 0..=MOST_HOSTS, "hosts").unwrap_or(0);
    let on_scheduler = truth(written.on_scheduler.as_ref(), false);
    if let Some(written_percent) = written.spot_percent.as_ref().filter(|_| percent > 0 && !on_scheduler) {
        if written.max.is_none() {
            let hint = "add `max`: hosts beyond the least may come and go, and Spot takes its share of them";
            problems.conflict(&written_percent.place, Wrong::new("`spot_percent` without `max`", hint));
        } else if base >= max {
            let message =
                format!("no host would be Spot: `on_demand_base`, {base}, is not below `max`, {max}");
            let hint = "lower `on_demand_base`, raise `max`, or remove `spot_percent`";
            problems.conflict(&written_percent.place, Wrong::new(message, hint));
        }
    }
    if let Some(written) = written.on_demand_base.as_ref().filter(|_| base > 0 && percent == 0) {
        let wrong = Wrong::new("`on_demand_base` without `spot_percent`", "add `spot_percent`, or remove it");
        problems.conflict(&written.place, wrong);
    }
    (percent, base)
}

fn more_types(
    written: &file::Worker,
    first: Option<&InstanceType>,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) -> Vec<InstanceType> {
    let found = problems.texts(written.more_instance_types.as_ref(), MOST_TYPES, InstanceType::parse);
    let Some(written) = &written.more_instance_types else { return found };
    for chosen in &found {
        fits(written, chosen, architecture, problems);
    }
    if let Some(first) = first.filter(|first| found.contains(first)) {
        let message = format!("`{first}` is `instance_type` already");
        problems.conflict(&written.place, Wrong::new(message, "remove it from the list"));
    }
    found
}

fn thresholds(written: &file::Worker, problems: &mut Problems) -> (f64, f64) {
    let range = 0.1..=10.0;
    let unit = "(tasks for each place on a host)";
    let growth = problems.fraction(written.growth_threshold.as_ref(), range, unit);
    let growth = growth.unwrap_or(GROWTH_THRESHOLD);
    let written_shrink = written.shrink_threshold.as_ref();
    let shrink = problems.fraction(written_shrink, 0.0..=10.0, unit);
    if shrink.unwrap_or(SHRINK_THRESHOLD) >= growth {
        let nowhere = Place { key: String::new(), line: None };
        let place = at(written_shrink).or(at(written.growth_threshold.as_ref())).unwrap_or(&nowhere);
        let message = format!(
            "`shrink_threshold`, {}, is not below `growth_threshold`, {growth}",
            shrink.unwrap_or(SHRINK_THRESHOLD)
        );
        problems.conflict(place, Wrong::new(message, "lower `shrink_threshold`, or hosts come and go"));
    }
    (growth, shrink.unwrap_or(SHRINK_THRESHOLD))
}
