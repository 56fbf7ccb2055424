//! How people reach Airflow from outside: the load balancer, its certificate, and who is let in.

use super::check::{at, at_unless, flag};
use super::defaults::Defaults;
use crate::config::environment::Entry;
use crate::config::file::{self, File};
use crate::config::problems::{Location, Problems, Refusal, Reported};
use crate::config::values::{CertificateArn, Cidr, HostedZoneId, LoadBalancer, Nat, Region, Url};

/// One template parameter holds them all, and they stay within the quota for rules of a security group.
const MOST_CIDRS: usize = 10;

/// What the entry has to match, if it is known.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub balancer: Result<LoadBalancer, Reported>,
    pub url: Option<&'a Url>,
    pub region: Option<&'a Region>,
    pub defaults: Defaults,
}

pub fn entry(file: &File, around: Surroundings, problems: &mut Problems) -> Result<Entry, Reported> {
    let written = &file.entry;
    let allowed = allowed(&written.allowed_cidrs, problems);
    let certificate = problems.text(&written.certificate_arn, |text| {
        let certificate = CertificateArn::parse(text)?;
        around.region.map_or(Ok(()), |region| certificate.in_region(region))?;
        Ok(certificate)
    });
    let hosted_zone = problems.text(&written.hosted_zone_id, HostedZoneId::parse);
    match (around.balancer, around.url) {
        (Ok(LoadBalancer::None), _) => without_balancer(written, problems),
        (Ok(_), Some(url)) => behind_balancer(url, file, around.defaults, problems),
        _ => {}
    }
    if around.balancer == Ok(LoadBalancer::InternetFacing) {
        internet_facing(file, problems);
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

fn allowed(written: &file::Texts, problems: &mut Problems) -> Result<Vec<Cidr>, Reported> {
    let allowed = problems.texts(written, MOST_CIDRS, Cidr::parse);
    match written {
        None => Ok(vec![Cidr::LOOPBACK]),
        Some(written) if written.value.is_empty() => {
            let hint = format!("use `[\"{}\"]` to allow no access from outside", Cidr::LOOPBACK);
            Err(problems.invalid(&written.location, Refusal::new("the list is empty", hint)))
        }
        Some(_) => Ok(allowed),
    }
}

fn without_balancer(written: &file::Entry, problems: &mut Problems) {
    let keys = [
        ("certificate_arn", at(&written.certificate_arn)),
        ("hosted_zone_id", at(&written.hosted_zone_id)),
        ("access_logs", at_unless(&written.access_logs, &false)),
        ("firewall", at_unless(&written.firewall, &false)),
    ];
    let hint = "set `load_balancer` to `\"internal\"` or `\"internet_facing\"`, or remove it";
    problems.no_effect(&keys, "without a load balancer", hint);
}

/// Reports what keeps the load balancer from answering at the address of Airflow.
fn behind_balancer(url: &Url, file: &File, defaults: Defaults, problems: &mut Problems) {
    let written = &file.entry;
    let missing = Location::missing("airflow.url");
    let url_location = at(&file.airflow.url).unwrap_or(&missing);
    let (certificate, zone) = (at(&written.certificate_arn), at(&written.hosted_zone_id));
    if url.is_https() && certificate.is_none() && zone.is_none() {
        let hint = "add `certificate_arn` under `[entry]`, or `hosted_zone_id` \
                    to let the stack request and validate a certificate";
        problems.conflict(url_location, "`https` requires a certificate on the load balancer", hint);
    }
    if let Some(certificate) = certificate.filter(|_| !url.is_https()) {
        let hint = "start `airflow.url` with `https://`, or remove the certificate";
        problems.conflict(certificate, "a certificate has no effect if `airflow.url` is not https", hint);
    }
    let listens = if url.is_https() { 443 } else { 80 };
    // The local cloud has no working load balancer: Airflow is reached directly.
    if let Some(port) = url.port().filter(|port| *port != listens && !defaults.local) {
        let message = format!("the load balancer listens on port {listens}, not {port}");
        problems.conflict(url_location, message, "remove the port, or the load balancer");
    }
    let is_address = url.host().parse::<std::net::Ipv4Addr>().is_ok();
    if let Some(zone) = zone.filter(|_| is_address || !url.host().contains('.')) {
        let message = format!("`{}` in `airflow.url` is not a name in a hosted zone", url.host());
        problems.conflict(zone, message, "use a name of the zone in `airflow.url`, or remove the zone");
    }
}

fn internet_facing(file: &File, problems: &mut Problems) {
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
    // Hosts call the load balancer too. It lets in the addresses of NAT gateways, which are known.
    if let Some(nat) = network.nat.as_ref().filter(|nat| Nat::parse(&nat.value) == Ok(Nat::None)) {
        let message = "without NAT, the internet-facing load balancer cannot know the addresses of the hosts";
        let hint = "set `nat = \"single\"`, or `load_balancer = \"internal\"`";
        problems.conflict(&nat.location, message, hint);
    }
}
