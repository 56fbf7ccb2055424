//! How many hosts of which size.

use crate::config::document::Written;
use crate::config::environment::{HostGroup, Hosts, Pace};
use crate::config::file;
use crate::config::problems::{Problems, Wrong};
use crate::config::values::{Architecture, InstanceType};
use std::ops::RangeInclusive;
use std::time::Duration;

const DRAIN_MINUTES: u32 = 30;
const VOLUME_GIB: u32 = 30;
const CONCURRENCY: u32 = 4;

/// The size of an instance type; its family follows from the architecture.
#[derive(Clone, Copy)]
enum Size {
    Small,
    Medium,
}

pub fn hosts(written: &file::Hosts, problems: &mut Problems) -> Option<Hosts> {
    let architecture = problems.text(written.architecture.as_ref(), Architecture::parse);
    let architecture = architecture.unwrap_or(Architecture::X86);
    // CodeDeploy ends a stop hook after an hour; 5 minutes are left for the end of the drain.
    let drain = problems.number(written.drain_minutes.as_ref(), 1..=55, "minutes").unwrap_or(DRAIN_MINUTES);
    let worker = &written.worker;
    let concurrency = problems.number(worker.concurrency.as_ref(), 1..=128, "tasks");
    let rollout = problems.text(worker.rollout.as_ref(), pace).unwrap_or(Pace::OneAtATime);
    let machine =
        |instance_type: &Option<Written<String>>, volume: &Option<Written<i64>>, size, problems: &mut _| {
            Machine::resolve(instance_type.as_ref(), volume.as_ref(), architecture, size, problems)
        };
    let api_server =
        machine(&written.api_server.instance_type, &written.api_server.volume_gib, Size::Small, problems);
    let scheduler =
        machine(&written.scheduler.instance_type, &written.scheduler.volume_gib, Size::Medium, problems);
    let machine = machine(&worker.instance_type, &worker.volume_gib, Size::Medium, problems);
    let api_servers = fixed(written.api_server.count.as_ref(), 1..=10, problems);
    let schedulers = fixed(written.scheduler.count.as_ref(), 1..=4, problems);
    let workers = elastic(worker, problems);
    Some(Hosts {
        architecture,
        drain: Duration::from_secs(60 * u64::from(drain)),
        api_server: api_server?.times(api_servers),
        scheduler: scheduler?.times(schedulers),
        worker: machine?.times(workers),
        worker_concurrency: concurrency.unwrap_or(CONCURRENCY),
        worker_rollout: rollout,
    })
}

struct Machine {
    instance_type: InstanceType,
    volume_gib: u32,
}

impl Machine {
    fn resolve(
        instance_type: Option<&Written<String>>,
        volume_gib: Option<&Written<i64>>,
        architecture: Architecture,
        size: Size,
        problems: &mut Problems,
    ) -> Option<Self> {
        let volume_gib = problems.number(volume_gib, 10..=16384, "GiB").unwrap_or(VOLUME_GIB);
        let chosen = problems.text(instance_type, InstanceType::parse);
        if let (Some(written), Some(chosen)) = (instance_type, &chosen)
            && chosen.architecture() != architecture
        {
            let message = format!("`{chosen}` is {}, the hosts are {architecture}", chosen.architecture());
            let hint = format!(
                "choose a type of {architecture}, or set `hosts.architecture = \"{}\"` for all hosts",
                chosen.architecture()
            );
            problems.conflict(&written.place, Wrong::new(message, hint));
        }
        let instance_type = chosen.or_else(|| InstanceType::parse(default(architecture, size)).ok())?;
        Some(Self { instance_type, volume_gib })
    }

    fn times(self, (min, max): (u32, u32)) -> HostGroup {
        HostGroup { instance_type: self.instance_type, min, max, volume_gib: self.volume_gib }
    }
}

fn default(architecture: Architecture, size: Size) -> &'static str {
    match (architecture, size) {
        (Architecture::X86, Size::Small) => "t3.small",
        (Architecture::X86, Size::Medium) => "t3.medium",
        (Architecture::Arm, Size::Small) => "t4g.small",
        (Architecture::Arm, Size::Medium) => "t4g.medium",
    }
}

fn fixed(count: Option<&Written<i64>>, range: RangeInclusive<u32>, problems: &mut Problems) -> (u32, u32) {
    let count = problems.number(count, range, "hosts").unwrap_or(1);
    (count, count)
}

/// A missing `max` follows `min`, and the other way round as far as `min` may go.
fn elastic(written: &file::Worker, problems: &mut Problems) -> (u32, u32) {
    let min = problems.number(written.min.as_ref(), 1..=100, "hosts").unwrap_or(1);
    let max = problems.number(written.max.as_ref(), 1..=100, "hosts");
    if let (Some(written), Some(max)) = (&written.max, max.filter(|max| *max < min)) {
        let wrong = Wrong::new(
            format!("{max} is less than `min`, {min}"),
            format!("write {min} or more, or lower `min`"),
        );
        problems.conflict(&written.place, wrong);
    }
    (min, max.unwrap_or(min))
}

fn pace(text: &str) -> Result<Pace, Wrong> {
    match text {
        "one_at_a_time" => Ok(Pace::OneAtATime),
        "half_at_a_time" => Ok(Pace::HalfAtATime),
        "all_at_once" => Ok(Pace::AllAtOnce),
        _ => Err(Wrong::new(
            format!("`{text}` is no pace of a rollout"),
            "write `one_at_a_time`, `half_at_a_time` or `all_at_once`",
        )),
    }
}
