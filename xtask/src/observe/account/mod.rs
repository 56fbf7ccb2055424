//! Asks the account what an environment needs of it. Everything is asked at the same time; what AWS refuses to
//! tell is a fact of its own, never a failure.

mod ec2;
mod names;
mod quotas;
mod rights;

pub use names::image_id;

use super::secrets;
use crate::doors::aws::Aws;
use crate::doors::signed::{Answer as Signed, Refused};
use crate::model::account::{Account, Answer, Demands, NeededSecret, NetworkDemand, Topic};
use roxmltree::Document;
use std::collections::BTreeSet;

/// Asks for those of the topics that the environment has a demand in.
pub async fn read(aws: &Aws, demands: Demands, topics: &BTreeSet<Topic>) -> Account {
    let ask = Ask { aws, demands: &demands, topics };
    let (
        (on_demand, spot),
        (fargate, fargate_spot),
        offers,
        zones,
        addresses,
        vpcs,
        subnets,
        certificate,
        hosted_zone,
        secrets,
        image,
        rights,
        service_roles,
    ) = tokio::join!(
        ask.vcpus(),
        ask.fargate(),
        ask.offers(),
        ask.zones(),
        ask.addresses(),
        ask.vpcs(),
        ask.subnets(),
        ask.certificate(),
        ask.hosted_zone(),
        ask.secrets(),
        ask.image(),
        ask.rights(),
        ask.service_roles(),
    );
    Account {
        on_demand,
        spot,
        fargate,
        fargate_spot,
        offers,
        zones,
        addresses,
        vpcs,
        subnets,
        certificate,
        hosted_zone,
        secrets,
        image,
        rights,
        service_roles,
        demands,
    }
}

struct Ask<'a> {
    aws: &'a Aws,
    demands: &'a Demands,
    topics: &'a BTreeSet<Topic>,
}

/// The words with which a refusal is told.
fn told<T>(answer: Signed<T>) -> Answer<T> {
    answer.map_err(|refused| refused.to_string())
}

/// What the service does not know is absent.
fn optional<T>(answer: Signed<T>, absent: &str) -> Signed<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(refused) if refused.code() == absent => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// An answer in XML.
fn parsed(xml: &str) -> Signed<Document<'_>> {
    Document::parse(xml).map_err(|error| Refused::Silent(format!("unexpected answer: {error}")))
}

fn senseless(what: &str) -> Refused {
    Refused::Silent(format!("unexpected answer: it has no {what}"))
}

impl Ask<'_> {
    fn wants(&self, topic: Topic) -> bool {
        let is_new = matches!(self.demands.network, NetworkDemand::New { .. });
        self.topics.contains(&topic)
            && match topic {
                Topic::Vcpus | Topic::Offers | Topic::Image => !self.demands.hosts.is_empty(),
                Topic::Fargate => !self.demands.tasks.is_empty(),
                Topic::Zones | Topic::Vpcs => is_new,
                Topic::Subnets => !is_new,
                Topic::Addresses => self.demands.addresses > 0,
                Topic::Certificate => self.demands.certificate.is_some(),
                Topic::HostedZone => self.demands.hosted_zone.is_some(),
                Topic::Secrets => !self.demands.secrets.is_empty(),
                // Only the local cloud has none of these roles, nor anybody's rights.
                Topic::Rights | Topic::ServiceRoles => !self.demands.service_roles.is_empty(),
            }
    }

    async fn secrets(&self) -> Option<Answer<Vec<NeededSecret>>> {
        if !self.wants(Topic::Secrets) {
            return None;
        }
        let found = secrets::states(self.aws, self.demands.secrets.clone()).await;
        Some(found.map_err(|fail| fail.to_string()))
    }
}
