//! How people reach Airflow from outside: the load balancer, its certificate, and who is let in.

use super::address;
use super::check::{at, at_unless, flag};
use super::defaults::Defaults;
use crate::config::environment::{Airflow, Entry};
use crate::config::file::{self, File};
use crate::config::problems::{Location, Problems, Refusal, Reported};
use crate::config::values::{CertificateArn, Cidr, HostedZoneId, LoadBalancer, Nat, Region, Url};

/// One template parameter holds them all, and they stay within the quota for rules of a security group.
const MOST_CIDRS: usize = 10;

/// What the entry has to match, if it is known.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub balancer: Result<LoadBalancer, Reported>,
    pub airflow: Option<&'a Airflow>,
    pub nat: Option<Nat>,
    /// Whether the environment runs on the local cloud, unless that is unclear.
    pub local: Result<bool, Reported>,
    pub region: Option<&'a Region>,
    pub defaults: Defaults,
}

pub fn entry(file: &File, around: Surroundings, problems: &mut Problems) -> Result<Entry, Reported> {
    let written = &file.entry;
    let allowed = allowed(&written.allowed_cidrs, around.local, problems);
    let certificate = problems.text(&written.certificate_arn, |text| {
        let certificate = CertificateArn::parse(text)?;
        around.region.map_or(Ok(()), |region| certificate.in_region(region))?;
        Ok(certificate)
    });
    let hosted_zone = problems.text(&written.hosted_zone_id, HostedZoneId::parse);
    match (around.balancer, around.airflow) {
        (Ok(LoadBalancer::None), airflow) => {
            without_balancer(written, around.defaults.local, problems);
            match around.defaults {
                Defaults { local: true, .. } => {}
                Defaults { ecs: true, .. } => address::of_tasks(file, problems),
                _ => address::without_balancer(file, airflow, around.nat, problems),
            }
        }
        (Ok(_), Some(airflow)) => behind_balancer(airflow.url.as_ref(), file, around.defaults, problems),
        _ => {}
    }
    in_zone(file, around.airflow, problems);
    if around.balancer == Ok(LoadBalancer::InternetFacing) {
        internet_facing(file, around.defaults.ecs, problems);
    }
    Ok(Entry {
        load_balancer: around.balancer?,
        allowed: allowed?,
        certificate: certificate?,
        hosted_zone: hosted_zone?,
        access_logs: flag(&written.access_logs, around.defaults.protected),
        firewall: flag(&written.firewall, false),
    })
}

/// On AWS, they have to be written: with none, neither people nor the tool could reach Airflow.
fn allowed(
    written: &file::Texts,
    local: Result<bool, Reported>,
    problems: &mut Problems,
) -> Result<Vec<Cidr>, Reported> {
    let allowed = problems.texts(written, MOST_CIDRS, Cidr::parse);
    match written {
        None if local? => Ok(vec![Cidr::LOOPBACK]),
        None => {
            let hint = "add `allowed_cidrs = [\"203.0.113.7/32\"]` under `[entry]`, with the addresses of your \
                        office or VPN; this prints your own: curl https://checkip.amazonaws.com";
            Err(problems.missing("entry.allowed_cidrs", hint))
        }
        Some(written) if written.value.is_empty() => {
            let hint = format!("use `[\"{}\"]` to allow no access from outside", Cidr::LOOPBACK);
            Err(problems.invalid(&written.location, Refusal::new("the list is empty", hint)))
        }
        Some(_) => Ok(allowed),
    }
}

fn without_balancer(written: &file::Entry, local: bool, problems: &mut Problems) {
    let keys = [
        ("certificate_arn", at(&written.certificate_arn)),
        ("hosted_zone_id", at(&written.hosted_zone_id).filter(|_| local)),
        ("access_logs", at_unless(&written.access_logs, &false)),
        ("firewall", at_unless(&written.firewall, &false)),
    ];
    let hint = "set `load_balancer` to `\"internal\"` or `\"internet_facing\"`, or remove it";
    problems.no_effect(&keys, "without a load balancer", hint);
}

/// Reports what keeps the load balancer from answering at the address of Airflow.
fn behind_balancer(url: Option<&Url>, file: &File, defaults: Defaults, problems: &mut Problems) {
    let written = &file.entry;
    let missing = Location::missing("airflow.url");
    let url_location = at(&file.airflow.url).unwrap_or(&missing);
    let (certificate, zone) = (at(&written.certificate_arn), at(&written.hosted_zone_id));
    let https = url.is_some_and(Url::is_https);
    if https && certificate.is_none() && zone.is_none() {
        let hint = "add `certificate_arn` under `[entry]`, or `hosted_zone_id` \
                    to let the stack request and validate a certificate";
        problems.conflict(url_location, "`https` requires a certificate on the load balancer", hint);
    }
    if let Some(certificate) = certificate.filter(|_| !https) {
        let hint = "set `airflow.url` to an address that starts with `https://`, or remove the certificate";
        problems.conflict(certificate, "a certificate has no effect if `airflow.url` is not https", hint);
    }
    let listens = if https { 443 } else { 80 };
    // The local cloud has no working load balancer: Airflow is reached directly.
    if let Some(port) = url.and_then(Url::port).filter(|port| *port != listens && !defaults.local) {
        let message = format!("the load balancer listens on port {listens}, not {port}");
        problems.conflict(url_location, message, "remove the port, or the load balancer");
    }
}

/// Reports a hosted zone without a name that the stack could create a record for.
fn in_zone(file: &File, airflow: Option<&Airflow>, problems: &mut Problems) {
    let (Some(zone), Some(airflow)) = (at(&file.entry.hosted_zone_id), airflow) else { return };
    let hint = "use a name of the zone in `airflow.url`, or remove the zone";
    match &airflow.url {
        None => {
            problems.conflict(zone, "a hosted zone requires `airflow.url`", hint);
        }
        Some(url) if url.is_address() || !url.host().contains('.') => {
            let message = format!("`{}` in `airflow.url` is not a name in a hosted zone", url.host());
            problems.conflict(zone, message, hint);
        }
        Some(_) => {}
    }
}

fn internet_facing(file: &File, ecs: bool, problems: &mut Problems) {
    let network = &file.network;
    if network.vpc_id.is_some() {
        if let (Some(scheme), None) = (at(&file.entry.load_balancer), &network.public_subnet_ids) {
            let hint =
                "add `public_subnet_ids` under `[network]`: subnets with a route to an internet gateway";
            let message = "an internet-facing load balancer in an existing VPC requires `public_subnet_ids`";
            problems.conflict(scheme, message, hint);
        }
        return;
    }
    // Hosts call the load balancer too. It lets in the addresses of NAT gateways, which are known. Tasks reach
    // the API server inside the VPC.
    let none = network.nat.as_ref().filter(|nat| Nat::parse(&nat.value) == Ok(Nat::None));
    if let Some(nat) = none.filter(|_| !ecs) {
        let message = "without NAT, the internet-facing load balancer cannot know the addresses of the hosts";
        let hint = "set `nat = \"single\"`, or `load_balancer = \"internal\"`";
        problems.conflict(&nat.location, message, hint);
    }
}
