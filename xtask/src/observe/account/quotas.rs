//! Quotas of Service Quotas, and how much of them is used by what does not belong to the environment.

use super::ec2::Tagged;
use super::{Ask, optional, senseless, told};
use crate::doors::signed::{Answer as Signed, Service};
use crate::model::account::{Answer, Hosts, Quota, Topic, Vcpus, is_standard};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// vCPUs of standard families, on demand and Spot
/// (<https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>), elastic IP addresses, VPCs
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>).
const ON_DEMAND: (&str, &str) = ("ec2", "L-1216C47A");
const SPOT: (&str, &str) = ("ec2", "L-34B43A08");
const ADDRESSES: (&str, &str) = ("ec2", "L-0263D0A3");
const VPCS: (&str, &str) = ("vpc", "L-F678F1CE");
/// vCPUs of all tasks, on demand and Spot (<https://docs.aws.amazon.com/general/latest/gr/ecs-service.html>).
const FARGATE: (&str, &str) = ("fargate", "L-3032A538");
const FARGATE_SPOT: (&str, &str) = ("fargate", "L-36FBB829");

/// vCPUs in use by others, by market.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Used {
    on_demand: u32,
    spot: u32,
}

impl Ask<'_> {
    /// Running instances of the whole region count, without the environment's own, which the demands include.
    pub(super) async fn vcpus(&self) -> (Option<Answer<Vcpus>>, Option<Answer<Vcpus>>) {
        if !self.wants(Topic::Vcpus) {
            return (None, None);
        }
        let has = |hosts: fn(&Hosts) -> u32| self.demands.hosts.iter().any(|one| hosts(&one.most) > 0);
        let (used, on_demand, spot) = tokio::join!(
            self.used(),
            async { if has(|hosts| hosts.on_demand) { Some(self.limit(ON_DEMAND).await) } else { None } },
            async { if has(|hosts| hosts.spot) { Some(self.limit(SPOT).await) } else { None } },
        );
        let market = |limit: Option<Signed<u32>>, of: fn(&Used) -> u32| {
            limit.map(|limit| {
                let (used, of_type) = told(used.clone())?;
                Ok(Vcpus { quota: Quota { limit: told(limit)?, used: of(&used) }, of_type })
            })
        };
        (market(on_demand, |used| used.on_demand), market(spot, |used| used.spot))
    }

    /// What tasks on Fargate may have, by market, of those that the environment has tasks in.
    pub(super) async fn fargate(&self) -> (Option<Answer<u32>>, Option<Answer<u32>>) {
        let asked = self.wants(Topic::Fargate);
        let has =
            |tasks: fn(&Hosts) -> u32| asked && self.demands.tasks.iter().any(|one| tasks(&one.most) > 0);
        tokio::join!(
            async { if has(|tasks| tasks.on_demand) { Some(told(self.limit(FARGATE).await)) } else { None } },
            async { if has(|tasks| tasks.spot) { Some(told(self.limit(FARGATE_SPOT).await)) } else { None } },
        )
    }

    async fn used(&self) -> Signed<(Used, BTreeMap<String, u32>)> {
        let instances = self.instances().await?;
        let others: Vec<_> = instances.into_iter().filter(|one| !one.tags.is_of(self.demands)).collect();
        let wanted = self.demands.hosts.iter().flat_map(|one| one.types.clone());
        let types: BTreeSet<String> = others.iter().map(|one| one.kind.clone()).chain(wanted).collect();
        let of_type = self.vcpus_of(&types).await?;
        let sum = |spot: bool| {
            let counted = others.iter().filter(|one| one.is_spot == spot && is_standard(&one.kind));
            counted.filter_map(|one| of_type.get(&one.kind)).sum()
        };
        let used = Used { on_demand: sum(false), spot: sum(true) };
        Ok((used, of_type))
    }

    pub(super) async fn addresses(&self) -> Option<Answer<Quota>> {
        if !self.wants(Topic::Addresses) {
            return None;
        }
        let (limit, found) =
            tokio::join!(self.limit(ADDRESSES), self.tagged("DescribeAddresses", "addressesSet"));
        Some(self.others(limit, found))
    }

    pub(super) async fn vpcs(&self) -> Option<Answer<Quota>> {
        if !self.wants(Topic::Vpcs) {
            return None;
        }
        let (limit, found) = tokio::join!(self.limit(VPCS), self.tagged("DescribeVpcs", "vpcSet"));
        Some(self.others(limit, found))
    }

    fn others(&self, limit: Signed<u32>, found: Signed<Vec<Tagged>>) -> Answer<Quota> {
        let others = told(found)?.into_iter().filter(|tags| !tags.is_of(self.demands)).count();
        Ok(Quota { limit: told(limit)?, used: u32::try_from(others).unwrap_or(u32::MAX) })
    }

    /// The account's own value or, where it never got one, AWS's default.
    async fn limit(&self, (service, code): (&str, &str)) -> Signed<u32> {
        let input = json!({ "ServiceCode": service, "QuotaCode": code });
        let ask = async |operation: &str| {
            let target = format!("ServiceQuotasV20190624.{operation}");
            self.aws.signed.json(Service::Quotas, &target, &input).await
        };
        let applied = optional(ask("GetServiceQuota").await, "NoSuchResourceException")?;
        let answer = match applied {
            Some(answer) => answer,
            None => ask("GetAWSDefaultServiceQuota").await?,
        };
        let value = answer["Quota"]["Value"].as_f64().ok_or_else(|| senseless("quota"))?;
        // Quotas are whole numbers that are written as decimals.
        Ok(format!("{value:.0}").parse().unwrap_or(u32::MAX))
    }
}
