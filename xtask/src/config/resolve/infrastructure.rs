//! Network, database and logs.

use crate::config::document::Written;
use crate::config::environment::{Database, Logs, Network, Vpc};
use crate::config::file;
use crate::config::problems::{Problems, Wrong};
use crate::config::values::{Cidr, InstanceClass, SubnetId, VpcCidr, VpcId};

const DATABASE_VERSION: u32 = 17;
/// The smallest that holds the metadata of a few thousand runs a day without swapping.
const INSTANCE_CLASS: &str = "db.t4g.small";
const STORAGE_GIB: u32 = 20;
const MAX_STORAGE_GIB: u32 = 100;
const BACKUP_DAYS: u32 = 7;
const RETENTION_DAYS: u32 = 365;

pub fn network(written: &file::Network, problems: &mut Problems) -> Network {
    let allowed = problems.text(written.allowed_cidr.as_ref(), Cidr::parse).unwrap_or(Cidr::LOOPBACK);
    let cidr = problems.text(written.vpc_cidr.as_ref(), VpcCidr::parse);
    let id = problems.text(written.vpc_id.as_ref(), VpcId::parse);
    let subnets = written.subnet_ids.as_ref().map(|list| subnets(list, problems)).unwrap_or_default();
    together(written, problems);
    let vpc = match id {
        Some(id) => Vpc::Existing { id, subnets },
        None => Vpc::Own(cidr.unwrap_or(VpcCidr::DEFAULT)),
    };
    Network { vpc, allowed }
}

/// Either a range for an own VPC, or an existing one with its subnets.
fn together(written: &file::Network, problems: &mut Problems) {
    match (&written.vpc_id, &written.subnet_ids, &written.vpc_cidr) {
        (Some(id), _, Some(_)) => {
            let wrong = Wrong::new(
                "`vpc_id` and `vpc_cidr` exclude each other",
                "remove `vpc_cidr` to live in the existing VPC, or `vpc_id` and `subnet_ids` for an own one",
            );
            problems.conflict(&id.place, wrong);
        }
        (None, Some(list), _) => {
            let hint = "add the `vpc_id` they belong to, or remove them for an own VPC";
            problems.conflict(&list.place, Wrong::new("`subnet_ids` without `vpc_id`", hint));
        }
        _ => {}
    }
    if written.vpc_id.is_some() && written.subnet_ids.is_none() {
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

pub fn database(written: &file::Database, problems: &mut Problems) -> Option<Database> {
    let class = problems.text(written.instance_class.as_ref(), InstanceClass::parse);
    let storage_gib = problems.number(written.storage_gib.as_ref(), 20..=65536, "GiB").unwrap_or(STORAGE_GIB);
    // RDS refuses a limit less than a tenth above the storage.
    let least = (storage_gib + storage_gib.div_ceil(10)).min(65536);
    let max = problems.number(written.max_storage_gib.as_ref(), 22..=65536, "GiB");
    if let (Some(written), Some(max)) = (&written.max_storage_gib, max.filter(|max| *max < least)) {
        let message = format!("{max} GiB is less than a tenth above `storage_gib`, {storage_gib} GiB");
        problems
            .conflict(&written.place, Wrong::new(message, format!("write {least} or more, or remove it")));
    }
    Some(Database {
        version: problems
            .number(written.version.as_ref(), 17..=18, "(PostgreSQL)")
            .unwrap_or(DATABASE_VERSION),
        instance_class: class.or_else(|| InstanceClass::parse(INSTANCE_CLASS).ok())?,
        storage_gib,
        max_storage_gib: max.unwrap_or(MAX_STORAGE_GIB.max(least)),
        backup_days: problems.number(written.backup_days.as_ref(), 1..=35, "days").unwrap_or(BACKUP_DAYS),
        multi_az: written.multi_az.as_ref().is_some_and(|multi_az| multi_az.value),
    })
}

pub fn logs(written: &file::Logs, problems: &mut Problems) -> Logs {
    let days = problems.number(written.retention_days.as_ref(), 1..=3650, "days");
    Logs { retention_days: days.unwrap_or(RETENTION_DAYS) }
}
