//! What EC2 says of instances, instance types, zones, subnets and everything that has tags.

use super::{Ask, parsed, told};
use crate::doors::signed::{Answer as Signed, Refused};
use crate::model::account::{Answer, Demands, NetworkDemand, Offers, Subnet, Topic};
use roxmltree::Node;
use std::collections::{BTreeMap, BTreeSet};

/// The tags of one thing.
#[derive(Debug)]
pub(super) struct Tagged(BTreeMap<String, String>);

impl Tagged {
    fn of(item: Node) -> Self {
        let tags = under(item, "tagSet").map(|tag| (text(tag, "key"), text(tag, "value")));
        Self(tags.collect())
    }

    /// Whether it belongs to the environment itself.
    pub(super) fn is_of(&self, demands: &Demands) -> bool {
        let is = |key: &str, value: &String| self.0.get(key) == Some(value);
        is("project", &demands.project) && is("environment", &demands.environment)
    }
}

#[derive(Debug)]
pub(super) struct Instance {
    pub(super) kind: String,
    pub(super) is_spot: bool,
    pub(super) tags: Tagged,
}

impl Ask<'_> {
    /// Those that count: stopped ones do not.
    pub(super) async fn instances(&self) -> Signed<Vec<Instance>> {
        let running = filter(1, "instance-state-name", ["pending", "running"]);
        let pages = self.pages("DescribeInstances", running).await?;
        let instance = |item: Node| Instance {
            kind: text(item, "instanceType"),
            is_spot: text(item, "instanceLifecycle") == "spot",
            tags: Tagged::of(item),
        };
        each(&pages, "instancesSet", instance)
    }

    /// The vCPUs of each of these types that exists.
    pub(super) async fn vcpus_of(&self, types: &BTreeSet<String>) -> Signed<BTreeMap<String, u32>> {
        let wanted = filter(1, "instance-type", types);
        let pages = self.pages("DescribeInstanceTypes", wanted).await?;
        let found = each(&pages, "instanceTypeSet", |item| {
            let vcpus = item.descendants().find(|node| node.tag_name().name() == "defaultVCpus");
            (text(item, "instanceType"), vcpus.and_then(|node| node.text()?.trim().parse().ok()))
        })?;
        let asked = found.into_iter().filter(|(name, _)| types.contains(name));
        Ok(asked.filter_map(|(name, vcpus)| Some((name, vcpus?))).collect())
    }

    pub(super) async fn offers(&self) -> Option<Answer<Offers>> {
        if !self.wants(Topic::Offers) {
            return None;
        }
        let types: BTreeSet<&String> = self.demands.hosts.iter().flat_map(|one| &one.types).collect();
        let mut wanted = vec![("LocationType".to_owned(), "availability-zone".to_owned())];
        wanted.extend(filter(1, "instance-type", types));
        let (zones, pages) =
            tokio::join!(self.zones_of_hosts(), self.pages("DescribeInstanceTypeOfferings", wanted));
        let offers = || {
            let pair = |item: Node| (text(item, "instanceType"), text(item, "location"));
            let mut by_type: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (name, zone) in each(&pages?, "instanceTypeOfferingSet", pair)? {
                by_type.entry(name).or_default().insert(zone);
            }
            Ok(Offers { zones: zones?, by_type })
        };
        Some(told(offers()))
    }

    /// A new VPC takes the first zones.
    async fn zones_of_hosts(&self) -> Signed<Vec<String>> {
        match &self.demands.network {
            NetworkDemand::New { zones } => {
                let mut all = self.usable_zones().await?;
                all.truncate(*zones as usize);
                Ok(all)
            }
            NetworkDemand::Existing { subnets, .. } => {
                let found = self.subnets_of(subnets).await?;
                let zones: BTreeSet<String> = found.into_iter().map(|subnet| subnet.zone).collect();
                Ok(zones.into_iter().collect())
            }
        }
    }

    pub(super) async fn zones(&self) -> Option<Answer<Vec<String>>> {
        if self.wants(Topic::Zones) { Some(told(self.usable_zones().await)) } else { None }
    }

    /// As `Fn::GetAZs`: zones with a default subnet or, if no zone has one, all
    /// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getavailabilityzones.html>).
    async fn usable_zones(&self) -> Signed<Vec<String>> {
        let mut wanted = filter(1, "state", ["available"]);
        wanted.extend(filter(2, "zone-type", ["availability-zone"]));
        let default = filter(1, "default-for-az", ["true"]);
        let (zones, subnets) = tokio::join!(
            self.pages("DescribeAvailabilityZones", wanted),
            self.pages("DescribeSubnets", default),
        );
        let mut zones = each(&zones?, "availabilityZoneInfo", |item| text(item, "zoneName"))?;
        let defaults = each(&subnets?, "subnetSet", |item| text(item, "availabilityZone"))?;
        zones.retain(|zone| defaults.is_empty() || defaults.contains(zone));
        zones.sort();
        Ok(zones)
    }

    pub(super) async fn subnets(&self) -> Option<Answer<Vec<Subnet>>> {
        match &self.demands.network {
            NetworkDemand::Existing { subnets, public_subnets, .. } if self.wants(Topic::Subnets) => {
                let ids: Vec<String> = subnets.iter().chain(public_subnets).cloned().collect();
                Some(told(self.subnets_of(&ids).await))
            }
            _ => None,
        }
    }

    /// By a filter: subnets that do not exist are no error then.
    async fn subnets_of(&self, ids: &[String]) -> Signed<Vec<Subnet>> {
        let pages = self.pages("DescribeSubnets", filter(1, "subnet-id", ids)).await?;
        let subnet = |item: Node| Subnet {
            id: text(item, "subnetId"),
            vpc: text(item, "vpcId"),
            zone: text(item, "availabilityZone"),
        };
        Ok(each(&pages, "subnetSet", subnet)?.into_iter().filter(|one| ids.contains(&one.id)).collect())
    }

    /// By a filter: an image that does not exist is no error then.
    pub(super) async fn has_image(&self, id: &str) -> Signed<bool> {
        let mut wanted = filter(1, "image-id", [id]);
        wanted.extend(filter(2, "state", ["available"]));
        let pages = self.pages("DescribeImages", wanted).await?;
        Ok(each(&pages, "imagesSet", |item| text(item, "imageId"))?.iter().any(|found| found == id))
    }

    pub(super) async fn tagged(&self, action: &str, set: &str) -> Signed<Vec<Tagged>> {
        each(&self.pages(action, Vec::new()).await?, set, Tagged::of)
    }

    /// Every page of an answer.
    async fn pages(&self, action: &str, parameters: Vec<(String, String)>) -> Signed<Vec<String>> {
        let (mut pages, mut next) = (Vec::new(), String::new());
        loop {
            let mut parameters = parameters.clone();
            if !next.is_empty() {
                parameters.push(("NextToken".to_owned(), next));
            }
            let page = self.aws.signed.ec2(action, &parameters).await?;
            next = token(action, &page)?;
            pages.push(page);
            if next.is_empty() {
                return Ok(pages);
            }
        }
    }
}

/// One filter, with any of these values.
fn filter<T: ToString>(
    number: usize,
    name: &str,
    values: impl IntoIterator<Item = T>,
) -> Vec<(String, String)> {
    let mut parameters = vec![(format!("Filter.{number}.Name"), name.to_owned())];
    for (index, value) in values.into_iter().enumerate() {
        parameters.push((format!("Filter.{number}.Value.{}", index + 1), value.to_string()));
    }
    parameters
}

/// What leads to the next page, empty on the last one. An answer to anything else, such as that of a proxy, is none:
/// an empty list would stand for something that is missing.
fn token(action: &str, page: &str) -> Signed<String> {
    let document = parsed(page)?;
    let root = document.root_element();
    if root.tag_name().name() != format!("{action}Response") {
        return Err(Refused::Silent(format!("unexpected answer to {action}")));
    }
    Ok(text(root, "nextToken"))
}

/// The items of every list of that name.
fn each<T>(pages: &[String], set: &str, read: impl Fn(Node) -> T) -> Signed<Vec<T>> {
    let mut found = Vec::new();
    for page in pages {
        let document = parsed(page)?;
        let sets = document.descendants().filter(|node| node.tag_name().name() == set);
        found.extend(sets.flat_map(|set| set.children()).filter(Node::is_element).map(&read));
    }
    Ok(found)
}

fn under<'a, 'b>(item: Node<'a, 'b>, set: &str) -> impl Iterator<Item = Node<'a, 'b>> {
    let set = item.children().find(|node| node.tag_name().name() == set);
    set.into_iter().flat_map(|set| set.children()).filter(Node::is_element)
}

/// The text of a child, empty if there is none.
fn text(item: Node, name: &str) -> String {
    let child = item.children().find(|node| node.tag_name().name() == name);
    child.and_then(|node| node.text()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_of_every_reservation_with_their_market_and_tags() {
        let item = |kind: &str, more: &str| {
            format!(
                "<item><instancesSet><item><instanceType>{kind}</instanceType>{more}</item></instancesSet>\
                 <groupSet><item><groupId>sg-1</groupId></item></groupSet></item>"
            )
        };
        let tags = "<tagSet><item><key>project</key><value>p</value></item><item><key>environment</key>\
                    <value>dev</value></item></tagSet><instanceLifecycle>spot</instanceLifecycle>";
        let items = item("t3.small", "") + &item("m5.large", tags);
        let page = format!(
            "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <reservationSet>{items}</reservationSet><nextToken>more</nextToken></DescribeInstancesResponse>"
        );
        assert_eq!(token("DescribeInstances", &page).unwrap(), "more");
        let own = Demands { project: "p".to_owned(), environment: "dev".to_owned(), ..Demands::default() };
        let read = |item: Node| {
            (text(item, "instanceType"), text(item, "instanceLifecycle"), Tagged::of(item).is_of(&own))
        };
        let found = each(&[page], "instancesSet", read).unwrap();
        let expected = [("t3.small", "", false), ("m5.large", "spot", true)];
        assert_eq!(
            found,
            expected.map(|(kind, market, is_own)| (kind.to_owned(), market.to_owned(), is_own))
        );
    }

    #[test]
    fn an_answer_to_something_else_is_no_empty_list() {
        assert!(token("DescribeVpcs", "<html/>").is_err() && token("DescribeVpcs", "busy").is_err());
        assert_eq!(token("DescribeVpcs", "<DescribeVpcsResponse/>").unwrap(), "");
    }
}
