//! Networks: subnets and their ways out, gateways, endpoints, and who reaches whom.

use crate::cloud::{Cloud, has, ids, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where packets for the internet go from a subnet: `igw-…`, `nat-…`, or nowhere.
fn way_out<'a>(cloud: &'a Cloud, subnet: &str) -> &'a str {
    let of = |table: &Value| {
        table["Associations"].as_array().is_some_and(|all| all.iter().any(|a| a["SubnetId"] == subnet))
    };
    let tables = cloud.those("route_tables", of);
    assert_eq!(tables.len(), 1, "route tables of {subnet}");
    let routes = tables[0]["Routes"].as_array().unwrap();
    let Some(route) = routes.iter().find(|route| route["DestinationCidrBlock"] == "0.0.0.0/0") else {
        return "";
    };
    route["NatGatewayId"].as_str().or(route["GatewayId"].as_str()).unwrap_or_default()
}

fn zone<'a>(cloud: &'a Cloud, subnet: &str) -> &'a str {
    text(&cloud.get("subnets", subnet)["AvailabilityZone"])
}

/// The three outputs that name what a list holds; those without a value are a dash.
fn one_by_one<'a>(cloud: &'a Cloud, output: &str) -> BTreeSet<&'a str> {
    (1..=3).map(|number| cloud.output(&format!("{output}{number}"))).filter(|value| *value != "-").collect()
}

/// An own network over `zones` zones with `nats` NAT gateways.
pub fn own(cloud: &Cloud, zones: usize, nats: usize) {
    has(cloud.get("vpcs", cloud.output("VpcId")), &json!({ "CidrBlock": "10.0.0.0/16" }));
    assert_eq!(cloud.output("VpcId"), text(&cloud.only("vpcs")["VpcId"]));
    let (private, public, hosts) =
        (cloud.list("SubnetIds"), cloud.list("PublicSubnetIds"), cloud.list("HostSubnetIds"));
    for subnets in [&private, &public] {
        let over: BTreeSet<&str> = subnets.iter().map(|subnet| zone(cloud, subnet)).collect();
        assert_eq!((subnets.len(), over.len()), (zones, zones), "{subnets:?}");
    }
    assert!(private.is_disjoint(&public));
    assert_eq!(one_by_one(cloud, "SubnetId"), private);
    for subnet in &public {
        assert!(way_out(cloud, subnet).starts_with("igw-"), "{subnet}");
    }
    assert_eq!(cloud.count("nat_gateways"), nats);
    assert_eq!(cloud.count("addresses"), nats);
    if nats == 0 {
        assert_eq!(hosts, public, "hosts need a way out");
        assert!(private.iter().all(|subnet| way_out(cloud, subnet).is_empty()));
        assert_eq!((cloud.output("NatAddresses"), one_by_one(cloud, "NatRange")), ("-", BTreeSet::new()));
        return;
    }
    assert_eq!(hosts, private);
    let used: BTreeSet<&str> = private.iter().map(|subnet| way_out(cloud, subnet)).collect();
    assert_eq!(used.len(), nats, "{used:?}");
    for subnet in &private {
        let nat = cloud.get("nat_gateways", way_out(cloud, subnet));
        let own = zone(cloud, text(&nat["SubnetId"]));
        assert!(nats == 1 || own == zone(cloud, subnet), "{subnet} goes through zone {own}");
    }
    let addresses: BTreeSet<String> =
        cloud.all("addresses").iter().map(|address| format!("{}/32", text(&address["PublicIp"]))).collect();
    assert_eq!(cloud.list("NatAddresses"), addresses.iter().map(String::as_str).collect());
    assert_eq!(one_by_one(cloud, "NatRange"), cloud.list("NatAddresses"));
}

/// The endpoint of S3 costs nothing and is always there; the others are an option.
pub fn endpoints(cloud: &Cloud, interfaces: bool) {
    let of = |kind: &'static str| cloud.those("endpoints", move |one| one["VpcEndpointType"] == kind);
    let gateways = of("Gateway");
    assert_eq!(gateways.len(), 1);
    assert!(text(&gateways[0]["ServiceName"]).ends_with(".s3"));
    assert_eq!(!of("Interface").is_empty(), interfaces);
    for endpoint in of("Interface") {
        has(endpoint, &json!({ "PrivateDnsEnabled": true }));
        // The agent of Systems Manager has moved to `ssmmessages`.
        assert!(!text(&endpoint["ServiceName"]).ends_with(".ec2messages"));
    }
}

pub fn flow_logs(cloud: &Cloud) {
    let vpc = cloud.output("VpcId");
    has(cloud.only("flow_logs"), &json!({ "ResourceId": vpc, "TrafficType": "ALL" }));
}

/// Permissions of a security group as (first port, last port, source) for TCP.
fn lets_in<'a>(cloud: &'a Cloud, group: &str) -> BTreeSet<(i64, i64, &'a str)> {
    let group = cloud.get("security_groups", group);
    let mut found = BTreeSet::new();
    for rule in group["IpPermissions"].as_array().unwrap() {
        assert_eq!(rule["IpProtocol"], "tcp", "{}: {rule:#}", group["GroupName"]);
        let ranges = rule["IpRanges"].as_array().into_iter().flatten().map(|range| text(&range["CidrIp"]));
        let groups = rule["UserIdGroupPairs"].as_array().into_iter().flatten().map(|g| text(&g["GroupId"]));
        let lists = rule["PrefixListIds"].as_array().into_iter().flatten();
        let lists = lists.map(|list| &cloud.get("prefix_lists", text(&list["PrefixListId"]))["Entries"]);
        let listed = lists.flat_map(|entries| ids(entries, "Cidr"));
        for source in ranges.chain(groups).chain(listed) {
            found.insert((rule["FromPort"].as_i64().unwrap(), rule["ToPort"].as_i64().unwrap(), source));
        }
    }
    found
}

/// Who reaches a security group at a port.
pub fn reach<'a>(cloud: &'a Cloud, group: &str, port: i64) -> BTreeSet<&'a str> {
    lets_in(cloud, group)
        .into_iter()
        .filter(|(from, to, _)| (*from..=*to).contains(&port))
        .map(|(_, _, source)| source)
        .collect()
}

/// Least reach: the world never, outsiders only where they come in, data stores only from components.
pub fn reach_is_least(cloud: &Cloud, port: u16, outsiders: &[&str], balancer: Option<&str>) {
    let port = i64::from(port);
    let group = |name: &str| cloud.output(&format!("{name}SecurityGroupId"));
    let hosts = [group("ApiServer"), group("Scheduler"), group("Worker")];
    let names = ["ApiServer", "Scheduler", "Worker", "Database", "Cache", "Files", "LoadBalancer"];
    for name in names {
        for (from, to, source) in lets_in(cloud, group(name)) {
            assert_ne!(source, "0.0.0.0/0", "{name}");
            assert!(to - from < 100, "{name} opens {from} to {to} to {source}");
        }
    }
    let api = reach(cloud, group("ApiServer"), port);
    if let Some(scheme) = balancer {
        // Hosts reach a balancer on the internet from the addresses of the NAT gateways.
        let outside = scheme == "internet-facing";
        let nats = cloud.list("NatAddresses").into_iter().filter(|_| outside);
        let wanted: BTreeSet<&str> = outsiders.iter().copied().chain(hosts).chain(nats).collect();
        for entry in [80, 443] {
            assert_eq!(reach(cloud, group("LoadBalancer"), entry), wanted, "port {entry}");
        }
        // Components that find it by Cloud Map do not go by way of the balancer.
        let direct = if cloud.count("discovered") > 0 { &hosts[1..] } else { &[] };
        let peers = direct.iter().copied().chain([group("LoadBalancer")]);
        assert_eq!(api, peers.collect(), "nobody else reaches the api-server");
    } else {
        let [_, scheduler, worker] = hosts;
        assert_eq!(api, outsiders.iter().copied().chain([scheduler, worker]).collect());
    }
    for stores in ["Database", "Cache", "Files"] {
        for (_, _, source) in lets_in(cloud, group(stores)) {
            assert!(hosts.contains(&source), "{stores} is open to {source}");
        }
    }
}

/// As AWS would have it, packets of those who may connect get to the API server of the environment `dev`:
/// by an address that it takes, through an internet gateway and its security groups. Hosts get there too.
pub fn is_reached_at_its_address(cloud: &Cloud, allowed: &str, port: u16) {
    let outputs = &cloud.master("dev")["Outputs"];
    let address = cloud.only("addresses");
    assert_eq!(outputs["AddressAllocationId"], address["AllocationId"]);
    let name = format!("ec2-{}.compute-1.amazonaws.com", text(&address["PublicIp"]).replace('.', "-"));
    assert_eq!(outputs["AddressName"], json!(name));
    assert_eq!(outputs["AirflowUrl"], json!(format!("http://{name}:{port}")));
    assert_eq!(outputs["ApiServerDeploymentGroup"], "-", "the scheduler's host runs the API server");
    let host = cloud.get("groups", text(&outputs["SchedulerAutoScalingGroup"]));
    for subnet in text(&host["VPCZoneIdentifier"]).split(',') {
        assert!(way_out(cloud, subnet).starts_with("igw-"), "{subnet} has no way in or out");
    }
    let guards = cloud.launch(host)["SecurityGroupIds"].as_array().unwrap();
    let peers: BTreeSet<&str> =
        guards.iter().flat_map(|guard| reach(cloud, text(guard), i64::from(port))).collect();
    assert!(peers.contains(allowed), "{allowed} is not let in: {peers:?}");
    for component in ["Worker", "Scheduler"] {
        let hosts = outputs[format!("{component}SecurityGroupId")].as_str().unwrap();
        assert!(peers.contains(hosts), "{component} is not let in: {peers:?}");
    }
    let role = cloud.get("roles", text(&outputs["SchedulerRoleName"]));
    let rights = role["Inline"].to_string();
    assert!(
        rights.contains("ec2:AssociateAddress") && rights.contains(text(&address["AllocationId"])),
        "{rights}"
    );
}

/// All hosts and stores live in a network that was there before, of which nothing was changed.
pub fn existing(cloud: &Cloud, private: &[String]) {
    cloud.none(&["vpcs", "subnets", "internet_gateways", "nat_gateways", "addresses"]);
    let outputs = &cloud.master("second")["Outputs"];
    let [first, second, third] = ["SubnetId1", "SubnetId2", "SubnetId3"].map(|name| text(&outputs[name]));
    assert_eq!([first, second, third], [&private[0], &private[1], "-"]);
    let private: BTreeSet<&str> = private.iter().map(String::as_str).collect();
    for group in cloud.all("groups") {
        let subnets: BTreeSet<&str> = text(&group["VPCZoneIdentifier"]).split(',').collect();
        assert_eq!(subnets, private);
    }
    for stores in cloud.all("database_subnets") {
        assert_eq!(ids(&stores["Subnets"], "SubnetIdentifier"), private);
    }
}
