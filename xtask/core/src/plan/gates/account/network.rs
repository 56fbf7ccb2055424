//! The network: usable zones, elastic IP addresses, VPCs, and the subnets of a VPC that exists.

use super::{About, Judged, fits};
use crate::fail::Problem;
use crate::model::account::{NetworkDemand, Quota, Subnet};
use std::collections::BTreeSet;

/// Quotas of a region, 5 each in a new account
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>).
const ADDRESSES: &str = "L-0263D0A3";
const VPCS: &str = "L-F678F1CE";

/// `Fn::GetAZs` leaves out zones without a default subnet, unless no zone has one.
pub(super) fn zones(about: &About, found: &[String]) -> Judged {
    let NetworkDemand::New { zones } = &about.account.demands.network else {
        return Judged::Ok(found.join(", "));
    };
    let missing = (found.len() < *zones as usize).then(|| {
        let message = format!(
            "needs {zones} availability zones, but CloudFormation can choose from {} only: {}",
            found.len(),
            found.join(", ")
        );
        let hint = "set fewer `zones`, or add the default subnet of another zone, without which CloudFormation \
                    leaves the zone out: aws ec2 create-default-subnet --availability-zone ZONE";
        about.problem("zones", &["network.zones"], message, hint.to_owned())
    });
    Judged::of(found.join(", "), missing.into_iter().collect())
}

pub(super) fn addresses(about: &About, quota: &Quota) -> Judged {
    let wanted = about.account.demands.addresses;
    let hint = "release addresses that nothing uses (aws ec2 describe-addresses), choose another `nat`";
    left(
        about,
        quota,
        wanted,
        &Limited {
            what: "elastic IP addresses",
            service: "ec2",
            code: ADDRESSES,
            keys: &["network.nat", "entry.load_balancer"],
            hint,
        },
    )
}

pub(super) fn vpcs(about: &About, quota: &Quota) -> Judged {
    let hint = "delete a VPC that nothing uses (aws ec2 describe-vpcs), set `vpc_id` to use an existing one";
    left(
        about,
        quota,
        1,
        &Limited { what: "VPCs", service: "vpc", code: VPCS, keys: &["network.vpc_id"], hint },
    )
}

/// What an account may have only so many of.
struct Limited<'a> {
    what: &'a str,
    service: &'a str,
    code: &'a str,
    keys: &'a [&'a str],
    hint: &'a str,
}

fn left(about: &About, quota: &Quota, wanted: u32, limited: &Limited) -> Judged {
    let Quota { limit, used } = quota;
    let text = format!("needs {wanted}; others use {used} of {limit}");
    if wanted == 0 || fits(quota, wanted) {
        return Judged::Ok(text);
    }
    let Limited { what, service, code, keys, hint } = limited;
    let region = &about.account.demands.region;
    let message = format!(
        "needs {wanted} of the {limit} {what} that the account may have in {region}; others use {used}"
    );
    let increase = about.increase(service, code, used + wanted);
    let hint = format!("{hint}, or request a larger quota: {increase}");
    Judged::Missing(vec![about.problem("quota", keys, message, hint)])
}

pub(super) fn subnets(about: &About, found: &[Subnet]) -> Judged {
    let NetworkDemand::Existing { vpc, subnets, public_subnets } = &about.account.demands.network else {
        return Judged::Ok(String::new());
    };
    let lists = [("network.subnet_ids", subnets), ("network.public_subnet_ids", public_subnets)];
    let problems = lists.iter().filter(|(_, ids)| !ids.is_empty());
    let problems: Vec<Problem> =
        problems.flat_map(|(key, ids)| wrong_subnets(about, key, vpc, ids, found)).collect();
    let zones: BTreeSet<&str> = found.iter().map(|subnet| subnet.zone.as_str()).collect();
    Judged::of(format!("in {}", zones.into_iter().collect::<Vec<_>>().join(", ")), problems)
}

fn wrong_subnets(about: &About, key: &str, vpc: &str, ids: &[String], found: &[Subnet]) -> Vec<Problem> {
    let listed = format!("list them: aws ec2 describe-subnets --filters Name=vpc-id,Values={vpc}");
    let problem = |message| about.problem("subnet", &[key], message, listed.clone());
    let (mut problems, mut zones) = (Vec::new(), BTreeSet::new());
    for id in ids {
        match found.iter().find(|subnet| subnet.id == *id) {
            None => problems.push(problem(format!("there is no subnet `{id}`"))),
            Some(subnet) if subnet.vpc != vpc => {
                problems.push(problem(format!("the subnet `{id}` is in `{}`, not in `{vpc}`", subnet.vpc)));
            }
            Some(subnet) => drop(zones.insert(&subnet.zone)),
        }
    }
    if problems.is_empty() && zones.len() < 2 {
        problems.push(problem("the subnets are all in one availability zone; two are needed".to_owned()));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::tests::healthy;
    use super::super::{Outcome, findings};
    use super::*;
    use crate::model::account::Account;

    fn problems(account: &Account) -> Vec<String> {
        let found = findings("f", account);
        let missing = found.into_iter().filter(|one| one.outcome == Outcome::Missing);
        missing.flat_map(|one| one.problems).map(|one| format!("{}: {}", one.location, one.message)).collect()
    }

    #[test]
    fn zones_that_getazs_leaves_out_are_missed() {
        let zones = |names: &[&str]| Some(Ok(names.iter().map(|name| (*name).to_owned()).collect()));
        assert!(problems(&Account { zones: zones(&["a", "b"]), ..healthy() }).is_empty());
        assert_eq!(
            problems(&Account { zones: zones(&["a"]), ..healthy() }),
            ["f `network.zones`: needs 2 availability zones, but CloudFormation can choose from 1 only: a"]
        );
    }

    #[test]
    fn used_up_addresses_and_vpcs() {
        let used_up = Some(Ok(Quota { limit: 5, used: 5 }));
        let account = Account { addresses: used_up.clone(), vpcs: used_up, ..healthy() };
        assert_eq!(
            problems(&account),
            [
                "f `network.nat`, `entry.load_balancer`: needs 1 of the 5 elastic IP addresses that the account \
                 may have in eu-central-1; others use 5",
                "f `network.vpc_id`: needs 1 of the 5 VPCs that the account may have in eu-central-1; others use 5"
            ]
        );
        let mut none = account;
        none.demands.addresses = 0;
        assert_eq!(problems(&none).len(), 1, "what needs no address misses none");
    }

    #[test]
    fn subnets_exist_in_the_vpc_in_different_zones() {
        let subnet = |id: &str, vpc: &str, zone: &str| Subnet {
            id: id.to_owned(),
            vpc: vpc.to_owned(),
            zone: zone.to_owned(),
        };
        let with = |found| {
            let mut account = Account { subnets: Some(Ok(found)), ..healthy() };
            let subnets = vec!["s1".to_owned(), "s2".to_owned()];
            account.demands.network =
                NetworkDemand::Existing { vpc: "v".to_owned(), subnets, public_subnets: Vec::new() };
            problems(&account)
        };
        assert!(with(vec![subnet("s1", "v", "a"), subnet("s2", "v", "b")]).is_empty());
        assert_eq!(with(vec![subnet("s1", "v", "a")]), ["f `network.subnet_ids`: there is no subnet `s2`"]);
        assert!(
            with(vec![subnet("s1", "v", "a"), subnet("s2", "w", "b")])[0].contains("is in `w`, not in `v`")
        );
        assert!(
            with(vec![subnet("s1", "v", "a"), subnet("s2", "v", "a")])[0]
                .contains("in one availability zone")
        );
    }
}
