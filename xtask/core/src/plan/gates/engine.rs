//! Gate: an environment on hosts of a cluster keeps its engine.
//!
//! The capacity provider would leave the cluster before the services that use it, which ECS refuses; and without it
//! nobody takes the protection from the hosts, whose group CloudFormation would then wait for. Other changes of the
//! engine are CloudFormation's own to make.

use super::{Facts, Verdict};
use crate::fail::Problem;

/// A parameter of the engine `ecs-ec2` alone.
const OF_HOSTS: &str = "ClusterMaxCount";

pub(super) fn judge(facts: &Facts) -> Verdict {
    let leaves = facts.before.contains_key(OF_HOSTS) && !facts.after.contains_key(OF_HOSTS);
    let problem = || {
        let message = "an environment cannot leave the engine `ecs-ec2`: ECS does not let the capacity provider of its \
                       hosts leave the cluster before every service has";
        let hint = "keep `engine = \"ecs-ec2\"`, or make an environment of another name with the new engine and \
                    restore the database into it (`database.snapshot`)";
        Problem::new("engine", format!("{} `engine`", facts.file), message, hint)
    };
    Verdict::of("the engine cannot be changed in place", leaves.then(problem).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;
    use std::collections::BTreeMap;

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
}
