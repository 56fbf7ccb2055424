//! What an environment needs of its AWS account, and what the account says of it; no SDK types.

mod calls;

use super::engine::Engine;
use std::collections::{BTreeMap, BTreeSet};

pub use calls::Calls;

/// Everything that an account can lack. Made from the environment file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Tags on everything that belongs to the environment itself.
    pub project: String,
    pub environment: String,
    pub region: String,
    pub account: String,
    /// The names of the artifact bucket and of the master stack.
    pub bucket: String,
    pub stack: String,
    pub engine: Engine,
    /// Those that AWS's services need.
    pub service_roles: Vec<ServiceRole>,
    pub hosts: Vec<HostDemand>,
    /// Whether the deployment replaces hosts of worker sets; another one may.
    pub replaces: bool,
    /// On Fargate.
    pub tasks: Vec<TaskDemand>,
    pub network: NetworkDemand,
    pub addresses: u32,
    /// The host name in `airflow.url`.
    pub host: Option<String>,
    /// The ARN of a certificate that exists.
    pub certificate: Option<String>,
    /// The ID of the hosted zone that gets the record of the host name.
    pub hosted_zone: Option<String>,
    /// Whether the stack requests a certificate and validates it in the hosted zone.
    pub requests_certificate: bool,
    /// For each secret that people create: the file and key that need it, and its name or ARN. Airflow's
    /// objects need some as well, so the environment file does not know them all.
    pub secrets: Vec<(String, String)>,
    /// Of engines with hosts.
    pub image: Option<ImageDemand>,
}

/// The image of the hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageDemand {
    /// The key of the environment file that decides it.
    pub key: &'static str,
    /// Its ID (`ami-…`), or the parameter that holds it.
    pub name: String,
}

impl ImageDemand {
    #[must_use]
    pub fn is_id(&self) -> bool {
        self.name.starts_with("ami-")
    }

    /// What to do if nobody lets us read the parameter. Clusters run no other image than that of ECS.
    #[must_use]
    pub fn way_around(&self) -> &'static str {
        if self.name.starts_with("/aws/service/ecs/") {
            "allow `ssm:GetParameter` for it"
        } else {
            "allow `ssm:GetParameter` for it, or set `hosts.image` to the ID of an image"
        }
    }
}

/// A role that only a service of AWS can assume; it makes its own at first use, if whoever uses it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRole {
    pub service: &'static str,
    pub name: &'static str,
}

/// Hosts of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostDemand {
    /// The key of the environment file: `hosts.scheduler`, `workers.default`.
    pub key: String,
    /// The instance type and its alternatives.
    pub types: Vec<String>,
    /// The hosts that a deployment starts.
    pub first: Hosts,
    /// Those that a rollout lets go on for a time, while as many are launched in their stead.
    pub going_on: Hosts,
    /// The hosts at most.
    pub most: Hosts,
}

/// Tasks of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskDemand {
    /// The key of the environment file: `services.scheduler`, `workers.default`.
    pub key: String,
    /// The CPU units of each.
    pub units: u32,
    /// The tasks that a deployment starts.
    pub first: Hosts,
    /// The tasks at most.
    pub most: Hosts,
}

/// A number of hosts or tasks by market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    pub on_demand: u32,
    pub spot: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkDemand {
    /// The stack creates a VPC with this number of zones.
    New {
        zones: u32,
    },
    Existing {
        vpc: String,
        subnets: Vec<String>,
        public_subnets: Vec<String>,
    },
}

impl Default for NetworkDemand {
    fn default() -> Self {
        Self::New { zones: 2 }
    }
}

/// Something to ask the account for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Vcpus,
    Fargate,
    Offers,
    Zones,
    Addresses,
    Vpcs,
    Subnets,
    Certificate,
    HostedZone,
    Secrets,
    Image,
    Rights,
    ServiceRoles,
}

impl Topic {
    pub const ALL: [Self; 13] = [
        Self::Vcpus,
        Self::Fargate,
        Self::Offers,
        Self::Zones,
        Self::Addresses,
        Self::Vpcs,
        Self::Subnets,
        Self::Certificate,
        Self::HostedZone,
        Self::Secrets,
        Self::Image,
        Self::Rights,
        Self::ServiceRoles,
    ];

    #[must_use]
    pub fn all() -> BTreeSet<Self> {
        Self::ALL.into()
    }
}

/// What the account says, or why it could not be asked.
pub type Answer<T> = Result<T, String>;

/// Facts of an account. What was not asked, because nothing depends on it, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub demands: Demands,
    pub on_demand: Option<Answer<Vcpus>>,
    pub spot: Option<Answer<Vcpus>>,
    /// The vCPUs that all tasks on Fargate may have, on demand and on Spot.
    pub fargate: Option<Answer<u32>>,
    pub fargate_spot: Option<Answer<u32>>,
    pub offers: Option<Answer<Offers>>,
    /// The zones that `Fn::GetAZs` lists.
    pub zones: Option<Answer<Vec<String>>>,
    pub addresses: Option<Answer<Quota>>,
    pub vpcs: Option<Answer<Quota>>,
    /// Those of the demanded subnets that exist.
    pub subnets: Option<Answer<Vec<Subnet>>>,
    pub certificate: Option<Answer<Option<Certificate>>>,
    pub hosted_zone: Option<Answer<Option<HostedZone>>>,
    pub secrets: Option<Answer<Vec<NeededSecret>>>,
    /// Whether the image, or the parameter that holds its ID, is there.
    pub image: Option<Answer<bool>>,
    /// Calls that the caller may not make.
    pub rights: Option<Answer<Vec<Denied>>>,
    pub service_roles: Option<Answer<ServiceRoles>>,
}

/// A call that IAM denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    pub action: String,
    pub resource: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRoles {
    pub missing: Vec<ServiceRole>,
    /// Whether the caller may not let the services make them.
    pub denied: bool,
}

/// A limit of the account in one region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub limit: u32,
    /// By everything that does not belong to the environment.
    pub used: u32,
}

/// vCPUs of one market. Only instances that are pending or running count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vcpus {
    pub quota: Quota,
    /// By instance type; one that does not exist is absent.
    pub of_type: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// The zones in which hosts are started.
    pub zones: Vec<String>,
    /// By instance type, the zones of the region that offer it.
    pub by_type: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub vpc: String,
    pub zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// ACM's own word: `ISSUED`, `PENDING_VALIDATION` …
    pub status: String,
    /// Host names, the first part of which can be `*`.
    pub names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedZone {
    /// Without the dot at the end.
    pub name: String,
    pub private: bool,
}

/// A secret that only people can create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededSecret {
    /// The file and key that ask for it.
    pub location: String,
    /// Its name or ARN.
    pub id: String,
    pub state: SecretState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    Usable,
    Missing,
    /// Scheduled for deletion: nobody can read it any more.
    Deleted,
    /// Nobody can read it, since its KMS key is in this state.
    Locked {
        key: String,
        state: String,
    },
}

/// The quota of vCPUs of standard families (A, C, D, H, I, M, R, T, Z); other families have their own
/// (<https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>).
#[must_use]
pub fn is_standard(instance_type: &str) -> bool {
    let letters = instance_type.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
    let own = ["dl", "hpc", "inf", "mac", "trn"];
    letters.starts_with(['a', 'c', 'd', 'h', 'i', 'm', 'r', 't', 'z']) && !own.contains(&letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_with_a_quota_of_their_own() {
        for standard in ["t3.medium", "m7i-flex.large", "c7gn.large", "im4gn.large", "z1d.large", "a1.large"]
        {
            assert!(is_standard(standard), "{standard}");
        }
        for other in
            ["g5.xlarge", "p5.48xlarge", "inf2.xlarge", "trn1.2xlarge", "u-6tb1.metal", "dl1.24xlarge"]
        {
            assert!(!is_standard(other), "{other}");
        }
    }
}
