//! What a deployment depends on: the facts of the account that are worth asking for.

use crate::model::account::Topic;
use std::collections::{BTreeMap, BTreeSet};

/// Topics with the parameters of the master stack that they depend on.
const DEPENDS: [(Topic, &[&str]); 10] = [
    (Topic::Vcpus, HOSTS),
    (Topic::Fargate, TASKS),
    (Topic::Offers, HOSTS),
    (Topic::Zones, &["ExistingVpcId", "AvailabilityZoneCount"]),
    (Topic::Addresses, &["ExistingVpcId", "AvailabilityZoneCount", "NatMode", "EntryScheme"]),
    (Topic::Vpcs, &["ExistingVpcId"]),
    (Topic::Subnets, &["ExistingVpcId", "ExistingSubnetIds", "ExistingPublicSubnetIds"]),
    (Topic::Certificate, &["CertificateArn", "EntryDomain"]),
    (Topic::HostedZone, &["HostedZoneId", "EntryDomain"]),
    (Topic::Image, &["HostImage", "ClusterImage"]),
];
const HOSTS: &[&str] = &[
    "ApiServerCount",
    "ApiServerInstanceType",
    "ApiServerOnScheduler",
    "SchedulerCount",
    "SchedulerInstanceType",
    "HostImage",
    "ClusterInstanceType",
    "ClusterMoreInstanceTypes",
    "ClusterMinCount",
    "ClusterMaxCount",
    "ClusterOnDemandPercent",
    "ClusterImage",
    "ExistingSubnetIds",
];
const TASKS: &[&str] = &[
    "ApiServerCpu",
    "ApiServerCount",
    "ApiServerMaxCount",
    "SchedulerCpu",
    "SchedulerCount",
    "DagProcessorCpu",
    "DagProcessorCount",
    "TriggererCpu",
    "TriggererCount",
];
/// What changes with the composed template as well, in which worker sets stand.
const TEMPLATE: [Topic; 4] = [Topic::Vcpus, Topic::Fargate, Topic::Offers, Topic::Image];

/// What to ask before an update from the parameters `before`; secrets are another gate's.
#[must_use]
pub fn topics(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    same_template: bool,
) -> BTreeSet<Topic> {
    let changed = |names: &[&str]| names.iter().any(|name| before.get(*name) != after.get(*name));
    let by_parameter = DEPENDS.iter().filter(|(_, names)| changed(names)).map(|(topic, _)| *topic);
    let by_template = TEMPLATE.into_iter().filter(|_| !same_template);
    by_parameter.chain(by_template).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_asked_for() {
        let parameters = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let before = parameters(&[("NatMode", "none"), ("SchedulerCount", "1")]);
        assert!(topics(&before, &before, true).is_empty());
        let nat = parameters(&[("NatMode", "single"), ("SchedulerCount", "1")]);
        assert_eq!(topics(&before, &nat, true), [Topic::Addresses].into());
        let hosts = parameters(&[("NatMode", "none"), ("SchedulerCount", "2")]);
        assert_eq!(topics(&before, &hosts, true), [Topic::Vcpus, Topic::Fargate, Topic::Offers].into());
        assert_eq!(topics(&before, &before, false), TEMPLATE.into());
        let cluster = parameters(&[("NatMode", "none"), ("SchedulerCount", "1"), ("ClusterMaxCount", "3")]);
        assert_eq!(topics(&before, &cluster, true), [Topic::Vcpus, Topic::Offers].into());
        let first = topics(&BTreeMap::new(), &hosts, false);
        assert!(!first.contains(&Topic::Secrets), "the gate `secrets` asks for them");
    }
}
