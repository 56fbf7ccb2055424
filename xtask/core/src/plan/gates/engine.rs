//! Gate: an environment on hosts of a cluster keeps them, and managed instances do not become hosts in one step.
//!
//! The capacity provider would leave the cluster before the services that use it, which ECS refuses; and without it
//! nobody takes the protection from the hosts, whose group CloudFormation would then wait for. Other changes of the
//! engine are CloudFormation's own to make.

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
    let problem = if hosts(before) && managed(after) {
        let message = "an environment cannot leave its hosts for managed instances: ECS does not let the capacity \
                       provider of the hosts leave the cluster before every service has";
        let hint = "remove `managed`, or make an environment of another name with it and restore the database into \
                    it (`database.snapshot`)";
        Some(("cluster.managed", message, hint))
    } else if hosts(before) && !hosts(after) {
        let message = "an environment cannot leave the engine `ecs-ec2`: ECS does not let the capacity provider of its \
                       hosts leave the cluster before every service has";
        let hint = "keep `engine = \"ecs-ec2\"`, or make an environment of another name with the new engine and \
                    restore the database into it (`database.snapshot`)";
        Some(("engine", message, hint))
    } else if managed(before) && hosts(after) {
        let message = "an environment cannot leave managed instances for hosts in one step: ECS does not let their \
                       capacity provider go while services use it";
        let hint = "deploy with `engine = \"fargate\"` first, then with `engine = \"ecs-ec2\"`";
        Some(("cluster.managed", message, hint))
    } else {
        None
    };
    let told =
        |(key, message, hint)| Problem::new("engine", format!("{} `{key}`", facts.file), message, hint);
    Verdict::of("the engine cannot be changed in place", problem.map(told).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn only_leaving_the_hosts_of_a_cluster_is_refused() {
        let hosts = BTreeMap::from([(OF_HOSTS.to_owned(), "4".to_owned())]);
        let leaving = Facts { before: hosts.clone(), ..facts() };
        let Verdict::Refused(headline, problems) = judge(&leaving) else { panic!("not refused") };
        assert_eq!(headline, "the engine cannot be changed in place");
        assert_eq!(problems[0].location, "environments/dev.toml `engine`");
        assert_eq!(judge(&Facts { after: hosts.clone(), ..leaving }), Verdict::Passed);
        assert_eq!(judge(&Facts { after: hosts, ..facts() }), Verdict::Passed, "coming from elsewhere");
    }

    #[test]
    fn managed_instances_and_hosts_do_not_take_turns() {
        let of = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "4".to_owned())).collect();
        let hosts: BTreeMap<_, _> = of(&[OF_HOSTS, OF_BOTH]);
        let managed: BTreeMap<_, _> = of(&[OF_BOTH]);
        for (before, after) in [(&hosts, &managed), (&managed, &hosts)] {
            let changed = Facts { before: before.clone(), after: after.clone(), ..facts() };
            let Verdict::Refused(_, problems) = judge(&changed) else { panic!("not refused") };
            assert_eq!(problems[0].location, "environments/dev.toml `cluster.managed`");
        }
        let none = facts().before;
        for (before, after) in [(&managed, &managed), (&managed, &none), (&none, &managed)] {
            let changed = Facts { before: before.clone(), after: after.clone(), ..facts() };
            assert_eq!(judge(&changed), Verdict::Passed, "CloudFormation's to make");
        }
    }
}
