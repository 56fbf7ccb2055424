//! Instances that a deployment starts: whether the account may run so many, and whether its zones offer them.

use super::{About, Judged, fits};
use crate::fail::Problem;
use crate::model::account::{HostDemand, Hosts, Offers, Vcpus, is_standard};
use std::collections::BTreeSet;

struct Market {
    name: &'static str,
    /// The quota of standard families
    /// (<https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>).
    code: &'static str,
    hosts: fn(&Hosts) -> u32,
}

const ON_DEMAND: Market = Market { name: "on-demand", code: "L-1216C47A", hosts: |hosts| hosts.on_demand };
const SPOT: Market = Market { name: "Spot", code: "L-34B43A08", hosts: |hosts| hosts.spot };

pub(super) fn on_demand(about: &About, vcpus: &Vcpus) -> Judged {
    market(about, vcpus, &ON_DEMAND)
}

pub(super) fn spot(about: &About, vcpus: &Vcpus) -> Judged {
    market(about, vcpus, &SPOT)
}

/// Refuses what cannot start. Workers that come later, up to `max`, are only told of, and so is what a release needs for
/// a time that replaces workers, unless this one does.
fn market(about: &About, vcpus: &Vcpus, market: &Market) -> Judged {
    let demands = &about.account.demands;
    let of = |one: &HostDemand, hosts: &Hosts| (market.hosts)(hosts) * size(one, vcpus);
    let each = demands.hosts.iter().map(|one| Share {
        key: &one.key,
        vcpus: of(one, &one.first),
        going_on: of(one, &one.going_on),
    });
    let each: Vec<Share> = each.filter(|one| one.vcpus > 0).collect();
    let first: u32 = each.iter().map(|one| one.vcpus).sum();
    let while_replaced: u32 = each.iter().map(|one| one.vcpus + one.going_on).sum();
    let most: u32 = demands.hosts.iter().map(|one| of(one, &one.most)).sum();
    let wanted = if demands.replaces { while_replaced } else { first };
    let quota = &vcpus.quota;
    let missing = (!fits(quota, wanted)).then(|| too_many(about, vcpus, market, &each));
    let mut text = format!("needs {wanted}; others use {} of {}", quota.used, quota.limit);
    if !fits(quota, while_replaced) {
        text += &format!("; a release that replaces workers needs {while_replaced} for a time");
    }
    if !fits(quota, most) {
        text += &format!("; all workers at `max` would need {most}");
    }
    Judged::of(text, missing.into_iter().collect())
}

/// The vCPUs of one kind of hosts.
struct Share<'a> {
    key: &'a str,
    vcpus: u32,
    /// Of those that go on while as many are launched in their stead.
    going_on: u32,
}

fn too_many(about: &About, vcpus: &Vcpus, market: &Market, each: &[Share]) -> Problem {
    let (quota, name, demands) = (&vcpus.quota, market.name, &about.account.demands);
    let doubled = |one: &Share| if demands.replaces { one.going_on } else { 0 };
    let wanted: u32 = each.iter().map(|one| one.vcpus + doubled(one)).sum();
    let listed = each.iter().map(|one| match doubled(one) {
        0 => format!("{} {}", one.key, one.vcpus),
        more => format!("{} {} and {more} more while its hosts are replaced", one.key, one.vcpus),
    });
    let does = if demands.replaces { "needs" } else { "starts" };
    let message = format!(
        "the deployment {does} {name} instances with {wanted} vCPUs ({}); the account may run {} in {}, and \
         other instances use {}",
        listed.collect::<Vec<_>>().join(", "),
        quota.limit,
        demands.region,
        quota.used
    );
    let increase = about.increase("ec2", market.code, quota.used + wanted);
    let fewer = if each.iter().any(|one| doubled(one) > 0) {
        "set `min = 0`, with `drain_minutes` of 55 at most, for workers to be changed in place; use fewer or smaller hosts"
    } else {
        "use fewer or smaller hosts"
    };
    let hint = format!("{fewer}, or request a larger quota: {increase}");
    let keys: Vec<&str> = each.iter().map(|one| one.key).collect();
    about.problem("quota", &keys, message, hint)
}

/// Of alternatives, the smallest counts: only what cannot fit in any case is refused. Families with quotas of
/// their own do not count, nor do types that do not exist, which the offers tell of.
fn size(demand: &HostDemand, vcpus: &Vcpus) -> u32 {
    let standard = demand.types.iter().filter(|one| is_standard(one));
    standard.filter_map(|one| vcpus.of_type.get(one)).min().copied().unwrap_or_default()
}

/// Auto Scaling tries the other zones where a launch fails, so one zone with one of the types is enough.
pub(super) fn offers(about: &About, offers: &Offers) -> Judged {
    let wanted = &about.account.demands.hosts;
    let problems = wanted.iter().filter_map(|one| nowhere(about, offers, one)).collect();
    let gaps: BTreeSet<String> = wanted.iter().flat_map(|one| gaps(offers, &one.types)).collect();
    let text = if gaps.is_empty() {
        format!("offered in {}", offers.zones.join(", "))
    } else {
        format!("not offered in every zone: {}", gaps.into_iter().collect::<Vec<_>>().join(", "))
    };
    Judged::of(text, problems)
}

fn gaps(offers: &Offers, types: &[String]) -> Vec<String> {
    let without = |name: &String| {
        let at = offers.by_type.get(name)?;
        let zones: Vec<&str> =
            offers.zones.iter().filter(|zone| !at.contains(*zone)).map(String::as_str).collect();
        (!zones.is_empty()).then(|| format!("{name} ({})", zones.join(", ")))
    };
    types.iter().filter_map(without).collect()
}

fn nowhere(about: &About, offers: &Offers, demand: &HostDemand) -> Option<Problem> {
    let at = |name: &String| offers.by_type.get(name);
    let here = |name| at(name).is_some_and(|at| offers.zones.iter().any(|zone| at.contains(zone)));
    if demand.types.iter().any(here) {
        return None;
    }
    let elsewhere: BTreeSet<&str> =
        demand.types.iter().filter_map(at).flatten().map(String::as_str).collect();
    let message = format!("{} is not offered in {}", demand.types.join(", "), offers.zones.join(", "));
    let hint = if elsewhere.is_empty() {
        format!(
            "choose another type; the region has these: aws ec2 describe-instance-type-offerings --region {}",
            about.account.demands.region
        )
    } else {
        let zones: Vec<&str> = elsewhere.into_iter().collect();
        format!("choose another type, or subnets in one of the zones that offer it: {}", zones.join(", "))
    };
    let key = format!("{}.instance_type", demand.key);
    Some(about.problem("not_offered", &[&key], message, hint))
}

#[cfg(test)]
mod tests {
    use super::super::tests::healthy;
    use super::super::{Finding, Outcome, findings};
    use super::*;
    use crate::model::account::{Account, Quota};

    fn only(account: &Account, name: &str) -> Finding {
        findings("environments/dev.toml", account).into_iter().find(|one| one.name == name).unwrap()
    }

    fn with(account: Account, limit: u32, used: u32) -> Account {
        let of_type = [("t4g.medium".to_owned(), 2), ("m7g.large".to_owned(), 4)].into();
        Account { on_demand: Some(Ok(Vcpus { quota: Quota { limit, used }, of_type })), ..account }
    }

    #[test]
    fn a_quota_that_is_too_small_is_told_with_keys_numbers_and_the_cure() {
        let found = only(&with(healthy(), 5, 2), "on-demand vCPUs");
        assert_eq!(found.outcome, Outcome::Missing);
        let problem = &found.problems[0];
        assert_eq!(problem.location, "environments/dev.toml `hosts.scheduler`, `workers.default`");
        assert_eq!(
            problem.message,
            "the deployment starts on-demand instances with 4 vCPUs (hosts.scheduler 2, workers.default 2); \
             the account may run 5 in eu-central-1, and other instances use 2"
        );
        assert!(problem.hint.contains("--quota-code L-1216C47A --desired-value 6 --region eu-central-1"));
        assert_eq!(only(&with(healthy(), 6, 2), "on-demand vCPUs").outcome, Outcome::Ok);
    }

    #[test]
    fn workers_that_are_replaced_count_twice() {
        let mut account = with(healthy(), 5, 0);
        account.demands.hosts[1].going_on.on_demand = 1;
        let found = only(&account, "on-demand vCPUs");
        let told = "needs 4; others use 0 of 5; a release that replaces workers needs 6 for a time";
        assert_eq!((found.outcome, found.text.as_str()), (Outcome::Ok, told), "not this one");
        account.demands.replaces = true;
        let found = only(&account, "on-demand vCPUs");
        assert_eq!(
            found.problems[0].message,
            "the deployment needs on-demand instances with 6 vCPUs (hosts.scheduler 2, workers.default 2 and 2 more \
             while its hosts are replaced); the account may run 5 in eu-central-1, and other instances use 0"
        );
        let hint = &found.problems[0].hint;
        assert!(hint.starts_with("set `min = 0`") && hint.contains("--desired-value 6"), "{hint}");
        assert_eq!(only(&with(account, 6, 0), "on-demand vCPUs").text, "needs 6; others use 0 of 6");
    }

    #[test]
    fn workers_that_come_later_are_told_of_and_alternatives_count_as_the_smallest() {
        let mut account = with(healthy(), 5, 0);
        account.demands.hosts[1].most.on_demand = 9;
        account.demands.hosts[1].types.insert(0, "m7g.large".to_owned());
        account.demands.hosts[0].types = vec!["g5.xlarge".to_owned()];
        let found = only(&account, "on-demand vCPUs");
        assert_eq!(found.text, "needs 2; others use 0 of 5; all workers at `max` would need 18");
    }

    fn offered(zones: &[&str]) -> Account {
        let names = |zones: &[&str]| zones.iter().map(|zone| (*zone).to_owned()).collect();
        let offers = Offers {
            zones: vec!["a".to_owned(), "b".to_owned()],
            by_type: [("t4g.medium".to_owned(), names(zones))].into(),
        };
        Account { offers: Some(Ok(offers)), ..healthy() }
    }

    #[test]
    fn a_type_that_no_zone_offers_is_refused_and_a_gap_is_told() {
        assert_eq!(only(&offered(&["a", "b"]), "instance types").text, "offered in a, b");
        let gap = only(&offered(&["a"]), "instance types");
        assert_eq!(
            (gap.outcome, gap.text.as_str()),
            (Outcome::Ok, "not offered in every zone: t4g.medium (b)")
        );
        let found = only(&offered(&["c"]), "instance types");
        assert_eq!(found.problems.len(), 2);
        assert_eq!(found.problems[0].location, "environments/dev.toml `hosts.scheduler.instance_type`");
        assert_eq!(found.problems[0].message, "t4g.medium is not offered in a, b");
        assert!(found.problems[0].hint.ends_with("zones that offer it: c"));
    }
}
