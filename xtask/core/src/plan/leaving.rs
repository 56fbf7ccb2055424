//! How an environment leaves the hosts of its cluster (`ecs-ec2`) for another engine: in two updates of its stack.
//!
//! ECS lets no capacity provider leave a cluster while a service or a task uses it, and CloudFormation would take it
//! away before it touches the services. So the new stack comes first with the hosts of the old one, and nothing is
//! started on them any more; without them only once they are empty. If either update fails, what it began with goes
//! on: hosts that still have tasks are never lost.

use super::templates::Packaged;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::release::StackSpec;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A parameter that only stacks with such hosts have.
const OF_HOSTS: &str = "ClusterMaxCount";
/// The nested stack with the hosts, or with what tasks run on instead.
const CAPACITY: &str = "Capacity";
const PROVIDER: &str = "Outputs.CapacityProvider";
/// What services run on instead, as all clusters with hosts have it. Only Fargate's services ask.
const FARGATE: &str = "FARGATE";

/// Whether a stack with these parameters has hosts of a cluster that it is to have no more.
#[must_use]
pub fn leaves(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> bool {
    before.contains_key(OF_HOSTS) && !after.contains_key(OF_HOSTS)
}

/// The new stack with the hosts of the deployed one, on which none of its services runs. Of a stack that is that
/// already it is the same once more.
pub fn transition(
    deployed: &str,
    before: &BTreeMap<String, String>,
    root: &Packaged,
    spec: &StackSpec,
) -> Result<(Packaged, StackSpec)> {
    let (old, mut new) = (template(deployed)?, template(&root.body)?);
    elsewhere(&mut new);
    let kept = keep(&old, &mut new);
    let body = serde_json::to_string_pretty(&new).map_err(|error| Fail::bug("no JSON").because(error))?;
    let mut parameters = spec.parameters.clone();
    for name in kept {
        if let Some(value) = before.get(&name) {
            parameters.entry(name).or_insert_with(|| value.clone());
        }
    }
    let packaged = Packaged { path: root.path.clone(), digest: Digest::of(body.as_bytes()), body };
    let spec = StackSpec { template: packaged.digest, parameters };
    Ok((packaged, spec))
}

/// Composed masters are JSON.
fn template(body: &str) -> Result<Value> {
    let hint = "deploy with `engine = \"ecs-ec2\"` once, then change the engine";
    let read = serde_json::from_str(body);
    read.map_err(|error| Fail::failed("the deployed template is not of this tool").because(error).hint(hint))
}

/// Services that would ask what they run on are told.
fn elsewhere(value: &mut Value) {
    if value["Fn::GetAtt"] == json!([CAPACITY, PROVIDER]) {
        *value = json!(FARGATE);
        return;
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(elsewhere),
        Value::Array(items) => items.iter_mut().for_each(elsewhere),
        _ => {}
    }
}

/// Takes the hosts over, with whatever of the old template they need and the new one lacks; the names of all that.
fn keep(old: &Value, new: &mut Value) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    if let Some(hosts) = old["Resources"].get(CAPACITY) {
        new["Resources"][CAPACITY] = hosts.clone();
        kept.insert(CAPACITY.to_owned());
        take(hosts, old, new, &mut kept);
    }
    for (name, output) in entries(old, "Outputs") {
        let mut names = BTreeSet::new();
        mentioned(output, &mut names);
        let of_kept = names.iter().all(|name| kept.contains(name) || old["Resources"].get(name).is_none());
        if of_kept && names.iter().any(|name| kept.contains(name)) && new["Outputs"].get(name).is_none() {
            new["Outputs"][name] = output.clone();
        }
    }
    kept
}

fn take(value: &Value, old: &Value, new: &mut Value, kept: &mut BTreeSet<String>) {
    let mut names = BTreeSet::new();
    mentioned(value, &mut names);
    for section in ["Resources", "Parameters", "Conditions", "Mappings"] {
        for name in &names {
            let Some(found) = old[section].get(name).filter(|_| new[section].get(name).is_none()) else {
                continue;
            };
            new[section][name] = found.clone();
            kept.insert(name.clone());
            take(found, old, new, kept);
        }
    }
}

fn entries<'a>(template: &'a Value, section: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    template[section].as_object().into_iter().flat_map(Map::iter)
}

/// Whatever could be a name: each text, and each part of it in `${…}` before a dot.
fn mentioned(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            names.insert(text.clone());
            let inner = text.split("${").skip(1).filter_map(|rest| rest.split(['}', '.']).next());
            names.extend(inner.map(str::to_owned));
        }
        Value::Object(map) => map.values().for_each(|inner| mentioned(inner, names)),
        Value::Array(items) => items.iter().for_each(|inner| mentioned(inner, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn packaged(template: &Value) -> Packaged {
        let body = template.to_string();
        Packaged { path: "master.yaml".to_owned(), digest: Digest::of(body.as_bytes()), body }
    }

    /// A stack with hosts, as far as it matters.
    fn hosts() -> Value {
        json!({
            "Parameters": { "ClusterMaxCount": { "Type": "Number" }, "Insights": { "Type": "String" }, "Zone": {} },
            "Resources": {
                "Cluster": { "Properties": { "Parameters": { "Insights": { "Ref": "Insights" } } } },
                "Capacity": { "Properties": { "TemplateURL": "hosts", "Parameters": {
                    "ClusterName": { "Fn::GetAtt": ["Cluster", "Outputs.ClusterName"] },
                    "ClusterMaxCount": { "Ref": "ClusterMaxCount" },
                } } },
                "Scheduler": { "Properties": { "Parameters": {
                    "CapacityProvider": { "Fn::GetAtt": ["Capacity", "Outputs.CapacityProvider"] },
                } } },
            },
            "Outputs": {
                "ClusterName": { "Value": { "Fn::GetAtt": ["Cluster", "Outputs.ClusterName"] } },
                "Group": { "Value": { "Fn::GetAtt": ["Capacity", "Outputs.Group"] } },
                "SchedulerService": { "Value": { "Fn::GetAtt": ["Scheduler", "Outputs.Service"] } },
                "Zone": { "Value": { "Ref": "Zone" } },
            },
        })
    }

    fn fargate() -> Value {
        let mut template = hosts();
        template["Resources"]["Capacity"] = json!({ "Properties": { "TemplateURL": "fargate" } });
        template["Parameters"].as_object_mut().unwrap().remove("ClusterMaxCount");
        template["Outputs"].as_object_mut().unwrap().remove("Group");
        template
    }

    /// What an update to `target` goes through, from the stack with hosts.
    fn through(deployed: &Value, target: &Value) -> (Value, BTreeMap<String, String>) {
        let before = texts(&[("ClusterMaxCount", "4"), ("Insights", "enabled"), ("Zone", "a")]);
        let root = packaged(target);
        let spec = StackSpec { template: root.digest, parameters: texts(&[("Zone", "b")]) };
        let (made, spec) = transition(&deployed.to_string(), &before, &root, &spec).unwrap();
        assert_eq!((spec.template, made.path.as_str()), (made.digest, "master.yaml"));
        (serde_json::from_str(&made.body).unwrap(), spec.parameters)
    }

    #[test]
    fn services_go_first_and_the_hosts_stay_as_they_are() {
        let (made, parameters) = through(&hosts(), &fargate());
        assert_eq!(made["Resources"]["Capacity"], hosts()["Resources"]["Capacity"]);
        assert_eq!(made["Resources"]["Scheduler"]["Properties"]["Parameters"]["CapacityProvider"], "FARGATE");
        assert_eq!(made["Outputs"]["Group"], hosts()["Outputs"]["Group"]);
        assert_eq!(parameters, texts(&[("ClusterMaxCount", "4"), ("Zone", "b")]));
        assert_eq!(through(&made, &fargate()), (made, parameters), "begun once more, it is the same");
    }

    #[test]
    fn an_engine_without_a_cluster_keeps_that_of_the_hosts() {
        let target = json!({ "Parameters": { "Zone": {} }, "Resources": { "Host": {} }, "Outputs": {} });
        let (made, parameters) = through(&hosts(), &target);
        let names =
            |section: &str| entries(&made, section).map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>();
        assert_eq!(names("Resources"), BTreeSet::from(["Capacity", "Cluster", "Host"]));
        assert_eq!(names("Outputs"), BTreeSet::from(["ClusterName", "Group"]));
        assert_eq!(parameters, texts(&[("ClusterMaxCount", "4"), ("Insights", "enabled"), ("Zone", "b")]));
        assert_eq!(through(&made, &target), (made, parameters), "begun once more, it is the same");
    }

    #[test]
    fn only_leaving_the_hosts_of_a_cluster_takes_two_updates() {
        let (hosts, none) = (texts(&[("ClusterMaxCount", "4")]), BTreeMap::new());
        assert!(leaves(&hosts, &none));
        assert!(!leaves(&none, &hosts) && !leaves(&hosts, &hosts) && !leaves(&none, &none));
    }
}
