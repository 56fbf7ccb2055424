//! Gate: hosts of a cluster and managed instances do not take turns in one step.
//!
//! ECS lets no capacity provider go that is in use, and CloudFormation would take the one away before services have the
//! other. By way of `fargate` they do: see `plan/leaving.rs`.

use super::{Facts, Verdict};
use crate::fail::Problem;
use std::collections::BTreeMap;

/// Parameters of the engine `ecs-ec2` alone: of its hosts, and of hosts and managed instances.
const OF_HOSTS: &str = "ClusterMaxCount";
const OF_BOTH: &str = "ClusterVolumeGiB";

pub(super) fn judge(facts: &Facts) -> Verdict {
    let hosts = |parameters: &BTreeMap<String, String>| parameters.contains_key(OF_HOSTS);
    let managed =
        |parameters: &BTreeMap<String, String>| parameters.contains_key(OF_BOTH) && !hosts(parameters);
    let (before, after) = (&facts.before, &facts.after);
    let problem = (hosts(before) && managed(after) || managed(before) && hosts(after)).then(|| {
        let message = "hosts of a cluster and managed instances cannot take each other's place in one deployment: ECS \
                       lets no capacity provider go that services still use";
        let hint = "deploy with `engine = \"fargate\"` first, then with `engine = \"ecs-ec2\"`";
        Problem::new("engine", format!("{} `cluster.managed`", facts.file), message, hint)
    });
    Verdict::of("the capacity cannot be changed in one step", problem.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn managed_instances_and_hosts_do_not_take_turns() {
        let of = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "4".to_owned())).collect();
        let hosts: BTreeMap<_, _> = of(&[OF_HOSTS, OF_BOTH]);
        let managed: BTreeMap<_, _> = of(&[OF_BOTH]);
        let between = |before: &BTreeMap<String, String>, after: &BTreeMap<String, String>| {
            judge(&Facts { before: before.clone(), after: after.clone(), ..facts() })
        };
        for (before, after) in [(&hosts, &managed), (&managed, &hosts)] {
            let Verdict::Refused(_, problems) = between(before, after) else { panic!("not refused") };
            assert_eq!(problems[0].location, "environments/dev.toml `cluster.managed`");
        }
        let none = facts().before;
        for (before, after) in [(&hosts, &hosts), (&managed, &none), (&none, &managed), (&hosts, &none)] {
            assert_eq!(between(before, after), Verdict::Passed, "in one step, or by `plan/leaving.rs`");
        }
    }
}
