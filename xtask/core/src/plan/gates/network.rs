//! Gate: NAT gateways stay for as long as workers need them. Hosts of other components move to public subnets
//! with the update; a worker stays where it is until its tasks are done, and would lose its way to AWS.

use super::{Fact, Facts, Runs, Verdict};
use crate::fail::Problem;
use crate::model::text::count;
use std::collections::BTreeMap;

/// Whether the change takes the way out from hosts that stay in private subnets.
#[must_use]
pub fn loses_nat(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> bool {
    let has = |parameters: &BTreeMap<String, String>| {
        parameters.get("NatMode").is_some_and(|mode| mode != "none")
            && parameters.get("ExistingVpcId").is_none_or(String::is_empty)
    };
    has(before) && !has(after)
}

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.workers {
        _ if facts.runs == Runs::Sacrifice => Verdict::Skipped("--force"),
        Fact::Unneeded(reason) => Verdict::Skipped(reason),
        Fact::Known(hosts) => {
            let running = hosts.iter().filter(|(_, hosts)| !hosts.is_empty());
            let problems = running.map(|(set, hosts)| problem(&facts.file, set, hosts)).collect();
            Verdict::of("workers would lose their way to the internet", problems)
        }
    }
}

fn problem(file: &str, set: &str, hosts: &[String]) -> Problem {
    let message = format!(
        "without NAT, {} of the worker set `{set}` would be cut off: {}",
        count(hosts.len(), "host"),
        hosts.join(", ")
    );
    let hint = format!(
        "keep `nat`, set `min = 0` under `[workers.{set}]` and deploy; change `nat` when the hosts have ended; or \
         let their tasks fail: cargo xtask deploy --force"
    );
    Problem::new("running_workers", format!("{file} `network.nat`"), message, hint)
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    fn parameters(nat: &str, vpc: &str) -> BTreeMap<String, String> {
        [("NatMode", nat), ("ExistingVpcId", vpc)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn only_the_end_of_nat_in_a_vpc_of_the_stack_matters() {
        assert!(loses_nat(&parameters("single", ""), &parameters("none", "")));
        assert!(!loses_nat(&parameters("per-zone", ""), &parameters("single", "")));
        assert!(!loses_nat(&parameters("none", ""), &parameters("none", "")));
        assert!(!loses_nat(&parameters("single", "vpc-1"), &parameters("none", "vpc-1")));
        assert!(!loses_nat(&BTreeMap::new(), &parameters("none", "")));
    }

    #[test]
    fn running_workers_are_named_and_sets_without_hosts_are_not() {
        let hosts = BTreeMap::from([
            ("default".to_owned(), vec!["i-1".to_owned(), "i-2".to_owned()]),
            ("big".to_owned(), Vec::new()),
        ]);
        let facts = Facts { workers: Fact::Known(hosts), ..facts() };
        let Verdict::Refused(_, problems) = judge(&facts) else { panic!("it passed") };
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].location, "environments/dev.toml `network.nat`");
        assert!(
            problems[0].message.contains("2 hosts of the worker set `default`"),
            "{}",
            problems[0].message
        );
        let forced = Facts { runs: Runs::Sacrifice, ..facts.clone() };
        assert_eq!(judge(&forced), Verdict::Skipped("--force"));
        let none = Facts { workers: Fact::Known(BTreeMap::from([("big".to_owned(), Vec::new())])), ..facts };
        assert_eq!(judge(&none), Verdict::Passed);
    }
}
