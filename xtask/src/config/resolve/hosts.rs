//! Hosts of a fixed number, and what those of any component may do.

use super::Given;
use crate::config::document::Written;
use crate::config::environment::{HostGroup, Hosts, Permissions};
use crate::config::file;
use crate::config::problems::{Problems, Wrong};
use crate::config::values::{Architecture, DocumentPath, InstanceType, LoadBalancer, PolicyArn, Size};
use std::ops::RangeInclusive;
use std::time::Duration;

const DRAIN_MINUTES: u32 = 30;
const VOLUME_GIB: u32 = 30;
/// A role takes ten unless AWS was asked for more, and one is the templates' own.
const MOST_MANAGED: usize = 9;
const MOST_DOCUMENTS: usize = 10;

pub fn hosts(
    written: &file::Hosts,
    given: Given,
    balancer: Option<LoadBalancer>,
    problems: &mut Problems,
) -> Option<Hosts> {
    let architecture = problems.choice(written.architecture.as_ref(), Architecture::parse, Architecture::X86);
    // CodeDeploy ends a stop hook after an hour; 5 minutes are left for the end of the drain.
    let drain = problems.number(written.drain_minutes.as_ref(), 1..=55, "minutes").unwrap_or(DRAIN_MINUTES);
    let alone = balancer == Some(LoadBalancer::None);
    let count = if alone { 1 } else { given.hosts() };
    let api_server = Fixed { size: Size::Small, count, range: 1..=10 };
    let api_server = api_server.resolve(&written.api_server, architecture, problems);
    let scheduler = Fixed { size: Size::Medium, count: given.hosts(), range: 1..=4 };
    let scheduler = scheduler.resolve(&written.scheduler, architecture, problems);
    if let Some(written) = written.api_server.count.as_ref().filter(|count| alone && count.value > 1) {
        let hint =
            "set `load_balancer = \"internal\"` or `\"internet_facing\"` below `[entry]`, or remove it";
        problems.conflict(
            &written.place,
            Wrong::new("several api-servers without a load balancer in front", hint),
        );
    }
    Some(Hosts {
        architecture: architecture?,
        drain: Duration::from_secs(60 * u64::from(drain)),
        api_server: api_server?,
        scheduler: scheduler?,
    })
}

/// What holds for one group where nothing is written.
struct Fixed {
    size: Size,
    count: u32,
    range: RangeInclusive<u32>,
}

impl Fixed {
    fn resolve(
        self,
        written: &file::HostGroup,
        architecture: Option<Architecture>,
        problems: &mut Problems,
    ) -> Option<HostGroup> {
        let instance_type = instance_type(written.instance_type.as_ref(), architecture, self.size, problems);
        let count = problems.number(written.count.as_ref(), self.range, "hosts");
        let volume_gib = volume(written.volume_gib.as_ref(), problems);
        let permissions = permissions(written.managed_policies.as_ref(), written.policies.as_ref(), problems);
        Some(HostGroup {
            instance_type: instance_type?,
            count: count.unwrap_or(self.count),
            volume_gib,
            permissions,
        })
    }
}

pub fn volume(written: Option<&Written<i64>>, problems: &mut Problems) -> u32 {
    problems.number(written, 10..=16384, "GiB").unwrap_or(VOLUME_GIB)
}

pub fn instance_type(
    written: Option<&Written<String>>,
    architecture: Option<Architecture>,
    size: Size,
    problems: &mut Problems,
) -> Option<InstanceType> {
    let chosen = problems.text(written, InstanceType::parse);
    if let (Some(written), Some(chosen)) = (written, &chosen) {
        fits(written, chosen, architecture, problems);
    }
    chosen.or_else(|| Some(InstanceType::of(architecture?, size)))
}

/// Whether the type has the processors of all hosts.
pub fn fits<T>(
    written: &Written<T>,
    chosen: &InstanceType,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) {
    let Some(architecture) = architecture.filter(|wanted| chosen.architecture() != *wanted) else { return };
    let message = format!("`{chosen}` is {}, the hosts are {architecture}", chosen.architecture());
    let hint = format!(
        "choose a type of {architecture}, or set `hosts.architecture = \"{}\"` for all hosts",
        chosen.architecture()
    );
    problems.conflict(&written.place, Wrong::new(message, hint));
}

pub fn permissions(
    managed: Option<&Written<Vec<String>>>,
    documents: Option<&Written<Vec<String>>>,
    problems: &mut Problems,
) -> Permissions {
    let managed = problems.texts(managed, MOST_MANAGED, PolicyArn::parse);
    let found = problems.texts(documents, MOST_DOCUMENTS, DocumentPath::parse);
    for (index, path) in found.iter().enumerate() {
        let named = |other: &&DocumentPath| other.file() == path.file();
        if let (Some(written), Some(other)) = (documents, found.iter().take(index).find(named)) {
            let message =
                format!("`{other}` and `{path}` would be one policy, as it is named after the file");
            problems.conflict(&written.place, Wrong::new(message, "rename one of the two files"));
        }
    }
    Permissions { managed, documents: found }
}
