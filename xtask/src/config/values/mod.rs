//! Values that have been checked: whoever holds one need not look at it again.
//!
//! What cannot be known without asking AWS (does this subnet exist, is this size offered here) is not
//! decided here; what its form alone gives away is.

mod arn;
mod choice;
mod cidr;
mod cron;
mod ec2;
mod people;
mod place;
mod text;
mod worker;

pub use arn::{CertificateArn, HostedZoneId, PolicyArn, SecretArn, Snapshot};
pub use choice::{Architecture, BrokerKind, DatabaseEngine, Engine, LoadBalancer, LoginMethod, Nat, Pace};
pub use cidr::{Cidr, VpcCidr};
pub use cron::{Cron, TimeZone};
pub use ec2::{CacheNodeType, InstanceClass, InstanceType, Size, SubnetId, VpcId};
pub use people::{Address, Domain, GoogleClientId, Repository, Role};
pub use place::{Account, Endpoint, Region};
pub use text::{AirflowKey, EnvironmentName, ProjectName, Url, parameter, tag};
pub use worker::{DocumentPath, FolderPath, Queue, WorkerSetName};

/// A checked text: shown and serialised as it is, a `&str` where one is wanted; made only by the `parse` beside it.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use checked_text;

/// Whether `text` is lower-case letters, digits and inner hyphens, beginning with a letter.
fn is_slug(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.ends_with('-')
}
