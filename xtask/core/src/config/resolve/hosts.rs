//! Hosts whose number is fixed, and settings that hosts of every component share.

use super::check::{at, at_unless, flag};
use super::defaults::Defaults;
use crate::config::document::Written;
use crate::config::file;
use crate::config::hosts::{HostGroup, Hosts, Permissions};
use crate::config::problems::{Problems, Reported};
use crate::config::values::{
    Architecture, DocumentPath, Image, InstanceType, LoadBalancer, Package, PolicyArn, Size,
};
use std::ops::RangeInclusive;
use std::time::Duration;

const DRAIN_MINUTES: u32 = 30;
const VOLUME_GIB: u32 = 30;
/// By default AWS allows ten on a role, and the templates use one.
const MOST_MANAGED_POLICIES: usize = 9;
const MOST_DOCUMENTS: usize = 10;
const MOST_TYPES: usize = 5;
/// As many as the template parameter `HostPackages` takes.
const MOST_PACKAGES: usize = 40;

pub fn hosts(
    written: &file::Hosts,
    defaults: Defaults,
    architecture: Result<Architecture, Reported>,
    balancer: Option<LoadBalancer>,
    problems: &mut Problems,
) -> Result<Hosts, Reported> {
    // Auto Scaling waits for a hundred heartbeats of the hook `drain`, 25 hours.
    let drain = problems.number_or(&written.drain_minutes, DRAIN_MINUTES, 1..=1440, "minutes");
    let single = balancer == Some(LoadBalancer::None);
    let count = if single { 1 } else { defaults.hosts() };
    let known = architecture.ok();
    let image = image(written, problems);
    let packages = problems.texts(&written.packages, MOST_PACKAGES, Package::parse);
    let shared = flag(&written.api_server.on_scheduler, false);
    let api_server = Group { size: Size::Small, count, range: 1..=10 };
    let api_server = api_server.resolve(&group(&written.api_server), known, problems);
    let count = if shared { count } else { defaults.hosts() };
    let scheduler = Group { size: Size::Medium, count, range: 1..=4 };
    let scheduler = scheduler.resolve(&written.scheduler, known, problems);
    if shared {
        without_hosts(&written.api_server, problems);
    }
    let servers = if shared { &written.scheduler.count } else { &written.api_server.count };
    if let Some(count) = servers.as_ref().filter(|count| single && count.value > 1) {
        let hint =
            "set `load_balancer` to `\"internal\"` or `\"internet_facing\"` under `[entry]`, or remove it";
        problems.conflict(&count.location, "more than one API server requires a load balancer", hint);
    }
    Ok(Hosts {
        architecture: architecture?,
        image: image?,
        packages,
        drain: Duration::from_secs(60 * u64::from(drain?)),
        api_server: api_server?,
        api_server_on_scheduler: shared,
        scheduler: scheduler?,
    })
}

/// The image by its ID or by the parameter that holds it.
fn image(written: &file::Hosts, problems: &mut Problems) -> Result<Option<Image>, Reported> {
    let id = problems.text(&written.image, Image::id);
    let parameter = problems.text(&written.image_parameter, Image::parameter);
    if let (Some(location), Some(_)) = (at(&written.image), &written.image_parameter) {
        let hint = "remove one of the two";
        problems.conflict(location, "`image` and `image_parameter` cannot be used together", hint);
    }
    Ok(id?.or(parameter?))
}

/// What the API server's table has in common with that of the schedulers.
fn group(written: &file::ApiServer) -> file::HostGroup {
    file::HostGroup {
        instance_type: written.instance_type.clone(),
        count: written.count.clone(),
        volume_gib: written.volume_gib.clone(),
        managed_policies: written.managed_policies.clone(),
        policies: written.policies.clone(),
    }
}

/// Reports keys that have no effect on an API server without hosts of its own.
fn without_hosts(written: &file::ApiServer, problems: &mut Problems) {
    let keys = [
        ("instance_type", at(&written.instance_type)),
        ("count", at(&written.count)),
        ("volume_gib", at(&written.volume_gib)),
        ("managed_policies", at_unless(&written.managed_policies, &Vec::new())),
        ("policies", at_unless(&written.policies, &Vec::new())),
    ];
    let hint = "remove it, or set it under `[hosts.scheduler]`, whose hosts run the API server";
    problems.no_effect(&keys, "on an API server without hosts of its own", hint);
}

/// The defaults and limits of one group.
struct Group {
    size: Size,
    count: u32,
    range: RangeInclusive<u32>,
}

impl Group {
    fn resolve(
        self,
        written: &file::HostGroup,
        architecture: Option<Architecture>,
        problems: &mut Problems,
    ) -> Result<HostGroup, Reported> {
        let instance_type = instance_type(&written.instance_type, architecture, self.size, problems);
        let count = problems.number_or(&written.count, self.count, self.range, "hosts");
        let volume_gib = volume(&written.volume_gib, problems);
        let permissions = permissions(&written.managed_policies, &written.policies, problems);
        Ok(HostGroup { instance_type: instance_type?, count: count?, volume_gib: volume_gib?, permissions })
    }
}

pub fn volume(written: &file::Number, problems: &mut Problems) -> Result<u32, Reported> {
    problems.number_or(written, VOLUME_GIB, 10..=16384, "GiB")
}

/// The type that is written, or the default for the architecture. With an invalid architecture, which
/// has been reported, that of the default one.
pub fn instance_type(
    written: &file::Text,
    architecture: Option<Architecture>,
    size: Size,
    problems: &mut Problems,
) -> Result<InstanceType, Reported> {
    let Some(written) = written else {
        return Ok(InstanceType::of(architecture.unwrap_or(Architecture::X86), size));
    };
    let chosen = problems.valid(&written.location, InstanceType::parse(&written.value))?;
    fits(written, &chosen, architecture, problems);
    Ok(chosen)
}

/// Reports a type whose architecture is not that of the hosts.
pub fn fits<T>(
    written: &Written<T>,
    chosen: &InstanceType,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) {
    let actual = chosen.architecture();
    let Some(architecture) = architecture.filter(|architecture| *architecture != actual) else { return };
    let message = format!("`{chosen}` is {actual}, but the hosts are {architecture}");
    let hint =
        format!("use a type of {architecture}, or set `hosts.architecture = \"{actual}\"` for all hosts");
    problems.conflict(&written.location, message, hint);
}

/// Alternatives to the first type, which are not the same.
pub fn more_types(
    written: &file::Texts,
    first: Option<&InstanceType>,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) -> Vec<InstanceType> {
    let found = problems.texts(written, MOST_TYPES, InstanceType::parse);
    let Some(written) = written else { return found };
    for chosen in &found {
        fits(written, chosen, architecture, problems);
    }
    if let Some(first) = first.filter(|first| found.contains(first)) {
        let message = format!("`{first}` is already the `instance_type`");
        problems.conflict(&written.location, message, "remove it from the list");
    }
    found
}

pub fn permissions(managed: &file::Texts, documents: &file::Texts, problems: &mut Problems) -> Permissions {
    let managed = problems.texts(managed, MOST_MANAGED_POLICIES, PolicyArn::parse);
    let paths = problems.texts(documents, MOST_DOCUMENTS, DocumentPath::parse);
    for (index, path) in paths.iter().enumerate() {
        let namesake = paths.iter().take(index).find(|earlier| earlier.file() == path.file());
        if let (Some(location), Some(other)) = (at(documents), namesake) {
            let message = format!(
                "`{other}` and `{path}` would become the same policy, since policies are named after the file"
            );
            problems.conflict(location, message, "rename one of the two files");
        }
    }
    Permissions { managed, documents: paths }
}
