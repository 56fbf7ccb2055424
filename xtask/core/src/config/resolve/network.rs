//! The network of an environment: a new VPC, or an existing one with its subnets.

use super::check::{at, at_unless, flag};
use super::defaults::Defaults;
use crate::config::environment::{Network, Vpc};
use crate::config::file;
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::values::{LoadBalancer, Nat, SubnetId, VpcCidr, VpcId};

const ZONES: u32 = 2;
/// The quota of RDS for a subnet group.
const MOST_SUBNETS: usize = 20;

pub fn network(
    written: &file::Network,
    defaults: Defaults,
    balancer: Option<LoadBalancer>,
    problems: &mut Problems,
) -> Result<Network, Reported> {
    let cidr = problems.text(&written.vpc_cidr, VpcCidr::parse);
    let id = problems.text(&written.vpc_id, VpcId::parse);
    let subnets = subnet_ids(&written.subnet_ids, problems);
    let public_subnets = subnet_ids(&written.public_subnet_ids, problems);
    let zones = problems.number_or(&written.zones, ZONES, 2..=3, "zones");
    let nat = problems.choice(&written.nat, Nat::parse, defaults.nat(balancer));
    match &written.vpc_id {
        Some(_) => existing(written, problems),
        None => new(written, problems),
    }
    let vpc = match id? {
        Some(id) => Vpc::Existing { id, subnets, public_subnets },
        None => Vpc::New(cidr?.unwrap_or(VpcCidr::DEFAULT)),
    };
    Ok(Network {
        flow_logs: flag(&written.flow_logs, defaults.protected && matches!(vpc, Vpc::New(_))),
        vpc,
        zones: zones?,
        nat: nat?,
        interface_endpoints: flag(&written.interface_endpoints, false),
    })
}

/// Reports keys that only an existing VPC can have.
fn new(written: &file::Network, problems: &mut Problems) {
    let keys = [("subnet_ids", &written.subnet_ids), ("public_subnet_ids", &written.public_subnet_ids)];
    for (key, list) in keys {
        if let Some(location) = at(list) {
            let hint = "add the `vpc_id` that the subnets belong to, or remove them to create a new VPC";
            problems.conflict(location, format!("`{key}` requires `vpc_id`"), hint);
        }
    }
}

/// Reports keys that only a new VPC can have, and those that an existing one needs.
fn existing(written: &file::Network, problems: &mut Problems) {
    if let (Some(id), Some(_)) = (at(&written.vpc_id), &written.vpc_cidr) {
        let hint =
            "remove `vpc_cidr` to use the existing VPC, or `vpc_id` and `subnet_ids` to create a new one";
        problems.conflict(id, "`vpc_id` and `vpc_cidr` cannot be used together", hint);
    }
    let keys = [
        ("zones", at(&written.zones)),
        ("nat", at(&written.nat)),
        ("interface_endpoints", at_unless(&written.interface_endpoints, &false)),
        ("flow_logs", at_unless(&written.flow_logs, &false)),
    ];
    problems.no_effect(&keys, "with an existing VPC", "remove it, or remove `vpc_id` to create a new VPC");
    if written.subnet_ids.is_none() {
        let hint = "add `subnet_ids = [\"subnet-…\", \"subnet-…\"]` under `[network]`: \
                    subnets of the VPC in two availability zones";
        problems.missing("network.subnet_ids", hint);
    }
}

fn subnet_ids(written: &file::Texts, problems: &mut Problems) -> Vec<SubnetId> {
    let subnets = problems.texts(written, MOST_SUBNETS, SubnetId::parse);
    if let Some(written) = written.as_ref().filter(|written| written.value.len() < 2) {
        let hint = "list subnets in at least two availability zones";
        problems.invalid(&written.location, Refusal::new("at least two subnets are required", hint));
    }
    subnets
}
