//! The network an environment lives in, and the way to it.

use super::Given;
use super::check::{at, at_unless, truth};
use crate::config::document::Written;
use crate::config::environment::{Airflow, Entry, Network, Vpc};
use crate::config::file;
use crate::config::problems::{Place, Problems, Wrong};
use crate::config::values::{
    CertificateArn, Cidr, HostedZoneId, LoadBalancer, Nat, Region, SubnetId, Url, VpcCidr, VpcId,
};

const ZONES: u32 = 2;
/// What one parameter of the templates takes, and what stays below the quota of rules of a security group.
const MOST_CIDRS: usize = 10;

pub fn network(written: &file::Network, given: Given, problems: &mut Problems) -> Option<Network> {
    let cidr = problems.text(written.vpc_cidr.as_ref(), VpcCidr::parse);
    let id = problems.text(written.vpc_id.as_ref(), VpcId::parse);
    let listed = |list: Option<&Written<Vec<String>>>, problems: &mut Problems| {
        list.map(|list| subnets(list, problems)).unwrap_or_default()
    };
    let subnets = listed(written.subnet_ids.as_ref(), problems);
    let public_subnets = listed(written.public_subnet_ids.as_ref(), problems);
    let zones = problems.number(written.zones.as_ref(), 2..=3, "zones").unwrap_or(ZONES);
    let nat = problems.choice(written.nat.as_ref(), Nat::parse, nat(given));
    together(written, problems);
    let own = written.vpc_id.is_none();
    let vpc = match id {
        Some(id) => Vpc::Existing { id, subnets, public_subnets },
        None => Vpc::Own(cidr.unwrap_or(VpcCidr::DEFAULT)),
    };
    Some(Network {
        vpc,
        zones,
        nat: nat?,
        interface_endpoints: truth(written.interface_endpoints.as_ref(), false),
        flow_logs: truth(written.flow_logs.as_ref(), given.protected && own),
    })
}

fn nat(given: Given) -> Nat {
    match (given.local, given.high) {
        // Hosts there are processes of this machine.
        (true, _) => Nat::None,
        (false, true) => Nat::PerZone,
        (false, false) => Nat::Single,
    }
}

/// Either what an own VPC is to be like, or an existing one with its subnets.
fn together(written: &file::Network, problems: &mut Problems) {
    let Some(id) = &written.vpc_id else {
        for (key, list) in
            [("subnet_ids", &written.subnet_ids), ("public_subnet_ids", &written.public_subnet_ids)]
        {
            if let Some(list) = list {
                let hint = "add the `vpc_id` they belong to, or remove them for an own VPC";
                problems.conflict(&list.place, Wrong::new(format!("`{key}` without `vpc_id`"), hint));
            }
        }
        return;
    };
    if written.vpc_cidr.is_some() {
        let wrong = Wrong::new(
            "`vpc_id` and `vpc_cidr` exclude each other",
            "remove `vpc_cidr` to live in the existing VPC, or `vpc_id` and `subnet_ids` for an own one",
        );
        problems.conflict(&id.place, wrong);
    }
    let own = [
        ("zones", at(written.zones.as_ref())),
        ("nat", at(written.nat.as_ref())),
        ("interface_endpoints", at_unless(written.interface_endpoints.as_ref(), &false)),
        ("flow_logs", at_unless(written.flow_logs.as_ref(), &false)),
    ];
    problems.idle(
        &own,
        "on an existing VPC",
        "remove it: the network is yours; or remove `vpc_id` for an own VPC",
    );
    if written.subnet_ids.is_none() {
        let hint = "add `subnet_ids = [\"subnet-…\", \"subnet-…\"]` below `[network]`: \
                    subnets of the VPC in two availability zones";
        problems.missing("network.subnet_ids", hint);
    }
}

fn subnets(written: &Written<Vec<String>>, problems: &mut Problems) -> Vec<SubnetId> {
    let mut subnets = Vec::new();
    for text in &written.value {
        match SubnetId::parse(text) {
            Ok(id) if subnets.contains(&id) => {
                let wrong =
                    Wrong::new(format!("`{id}` is listed twice"), "name another subnet, in another zone");
                problems.invalid(&written.place, wrong);
            }
            Ok(id) => subnets.push(id),
            Err(wrong) => problems.invalid(&written.place, wrong),
        }
    }
    if written.value.len() < 2 {
        let hint = "list subnets in at least two availability zones: the database needs them";
        problems.invalid(&written.place, Wrong::new("fewer than two subnets", hint));
    }
    subnets
}

/// What the entry has to fit to.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub airflow: Option<&'a Airflow>,
    pub url: Option<&'a Place>,
    pub region: Option<&'a Region>,
    pub network: &'a file::Network,
}

pub fn entry(written: &file::Entry, given: Given, around: Around, problems: &mut Problems) -> Option<Entry> {
    let default = if given.high { LoadBalancer::Internal } else { LoadBalancer::None };
    let load_balancer = problems.choice(written.load_balancer.as_ref(), LoadBalancer::parse, default);
    let allowed = problems.texts(written.allowed_cidrs.as_ref(), MOST_CIDRS, Cidr::parse);
    if let Some(list) = written.allowed_cidrs.as_ref().filter(|list| list.value.is_empty()) {
        let hint = format!("write `[\"{}\"]` to let nobody in from outside", Cidr::LOOPBACK);
        problems.invalid(&list.place, Wrong::new("lists nobody", hint));
    }
    let certificate = problems.text(written.certificate_arn.as_ref(), |text| {
        let certificate = CertificateArn::parse(text)?;
        around.region.map_or(Ok(()), |region| certificate.in_region(region))?;
        Ok(certificate)
    });
    let hosted_zone = problems.text(written.hosted_zone_id.as_ref(), HostedZoneId::parse);
    match load_balancer {
        Some(LoadBalancer::None) => without_balancer(written, problems),
        Some(scheme) => {
            if let Some(airflow) = around.airflow {
                address(&airflow.url, written, given, around, problems);
            }
            faces_internet(scheme, written, around.network, problems);
        }
        None => {}
    }
    Some(Entry {
        load_balancer: load_balancer?,
        allowed: if written.allowed_cidrs.is_some() { allowed } else { vec![Cidr::LOOPBACK] },
        certificate,
        hosted_zone,
        access_logs: truth(written.access_logs.as_ref(), given.protected),
        firewall: truth(written.firewall.as_ref(), false),
    })
}

fn without_balancer(written: &file::Entry, problems: &mut Problems) {
    let keys = [
        ("certificate_arn", at(written.certificate_arn.as_ref())),
        ("hosted_zone_id", at(written.hosted_zone_id.as_ref())),
        ("access_logs", at_unless(written.access_logs.as_ref(), &false)),
        ("firewall", at_unless(written.firewall.as_ref(), &false)),
    ];
    let hint = "set `load_balancer = \"internal\"` or `\"internet_facing\"`, or remove it";
    problems.idle(&keys, "without a load balancer", hint);
}

/// The address must be one that the load balancer can have.
fn address(url: &Url, written: &file::Entry, given: Given, around: Around, problems: &mut Problems) {
    let nowhere = Place { key: "airflow.url".to_owned(), line: None };
    let place = around.url.unwrap_or(&nowhere);
    let (certificate, zone) = (at(written.certificate_arn.as_ref()), at(written.hosted_zone_id.as_ref()));
    if url.is_https() && certificate.is_none() && zone.is_none() {
        let hint = "add `certificate_arn` below `[entry]`, or `hosted_zone_id` \
                    for one that the stack requests and validates";
        problems.conflict(place, Wrong::new("`https` at the load balancer without a certificate", hint));
    }
    if let Some(certificate) = certificate.filter(|_| !url.is_https()) {
        let hint = "begin `airflow.url` with `https://`, or remove the certificate";
        problems.conflict(
            certificate,
            Wrong::new("a certificate for an address that begins with `http://`", hint),
        );
    }
    let listens = if url.is_https() { 443 } else { 80 };
    // On this machine Airflow is reached as it is: the load balancer there only exists.
    if let Some(port) = url.port().filter(|port| *port != listens && !given.local) {
        let message = format!("the load balancer listens at {listens}, not at {port}");
        problems.conflict(place, Wrong::new(message, "remove the port, or the load balancer"));
    }
    let address = url.host().parse::<std::net::Ipv4Addr>().is_ok();
    if let Some(zone) = zone.filter(|_| address || !url.host().contains('.')) {
        let message = format!("`{}` of `airflow.url` is no name in a zone", url.host());
        problems
            .conflict(zone, Wrong::new(message, "write a name of the zone in `airflow.url`, or remove it"));
    }
}

fn faces_internet(
    scheme: LoadBalancer,
    written: &file::Entry,
    network: &file::Network,
    problems: &mut Problems,
) {
    let lacking = network.vpc_id.is_some() && network.public_subnet_ids.is_none();
    if let Some(scheme) = written.load_balancer.as_ref().filter(|_| scheme == LoadBalancer::InternetFacing)
        && lacking
    {
        let hint = "add `public_subnet_ids` below `[network]`: subnets with a route to an internet gateway";
        problems.conflict(&scheme.place, Wrong::new("an existing VPC without `public_subnet_ids`", hint));
    }
    // Hosts call the balancer as well, and the addresses of NAT gateways are let in by themselves.
    let own = scheme == LoadBalancer::InternetFacing && network.vpc_id.is_none();
    let bare = network.nat.as_ref().filter(|nat| own && nat.value == "none");
    if let Some(nat) = bare {
        let message = "without NAT, hosts would come to the internet-facing balancer from unknown addresses";
        let hint = "write `nat = \"single\"`, or `load_balancer = \"internal\"`";
        problems.conflict(&nat.place, Wrong::new(message, hint));
    }
}
