//! What the services of the local cloud say they have, and how it is compared.

use crate::support::project::Project;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything by kind and id, as the services' own APIs describe it; see `cloud.py`.
pub struct Cloud(BTreeMap<String, BTreeMap<String, Value>>);

impl Cloud {
    #[track_caller]
    pub fn look(project: &Project) -> Self {
        let looked = project.python(&["xtask/tests/scenarios/cloud.py", "look"]).expect(0);
        Self(serde_json::from_value(looked.json()).unwrap())
    }

    /// What was not there `before`.
    pub fn since(&self, before: &Self) -> Self {
        let new = |kind: &String, all: &BTreeMap<String, Value>| {
            let old = &before.0[kind];
            all.iter()
                .filter(|(id, _)| !old.contains_key(*id))
                .map(|(id, v)| (id.clone(), v.clone()))
                .collect()
        };
        Self(self.0.iter().map(|(kind, all)| (kind.clone(), new(kind, all))).collect())
    }

    pub fn inventory(&self) -> BTreeSet<String> {
        self.0.iter().flat_map(|(kind, all)| all.keys().map(move |id| format!("{kind} {id}"))).collect()
    }

    #[track_caller]
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.get(kind).unwrap_or_else(|| panic!("cloud.py lists no {kind}")).values().collect()
    }

    #[track_caller]
    pub fn count(&self, kind: &str) -> usize {
        self.all(kind).len()
    }

    #[track_caller]
    pub fn none(&self, kinds: &[&str]) {
        for kind in kinds {
            assert!(self.all(kind).is_empty(), "{kind}: {:#?}", self.0[*kind]);
        }
    }

    /// The one of its kind.
    #[track_caller]
    pub fn only(&self, kind: &str) -> &Value {
        let all = self.all(kind);
        assert_eq!(all.len(), 1, "{kind}: {:?}", self.0[kind].keys());
        all[0]
    }

    #[track_caller]
    pub fn get(&self, kind: &str, id: &str) -> &Value {
        self.0[kind].get(id).unwrap_or_else(|| panic!("no {kind} `{id}` in {:?}", self.0[kind].keys()))
    }

    /// Those for which a condition holds.
    #[track_caller]
    pub fn those(&self, kind: &str, is: impl Fn(&Value) -> bool) -> Vec<&Value> {
        self.all(kind).into_iter().filter(|one| is(one)).collect()
    }

    /// The master stack of an environment.
    #[track_caller]
    pub fn master(&self, environment: &str) -> &Value {
        self.get("stacks", &format!("ductwork-{environment}"))
    }

    /// An output of the master stack of the environment `local`.
    #[track_caller]
    pub fn output(&self, name: &str) -> &str {
        let outputs = &self.master("local")["Outputs"];
        outputs[name].as_str().unwrap_or_else(|| panic!("no output {name} in {outputs:#}"))
    }

    /// An output that is a list with commas.
    #[track_caller]
    pub fn list(&self, name: &str) -> BTreeSet<&str> {
        self.output(name).split(',').collect()
    }

    /// The Auto Scaling group that an output names.
    #[track_caller]
    pub fn group(&self, output: &str) -> &Value {
        self.get("groups", self.output(output))
    }

    /// What the launch template of a group says.
    #[track_caller]
    pub fn launch(&self, group: &Value) -> &Value {
        let mixed = &group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"];
        let template = if group["LaunchTemplate"].is_object() { &group["LaunchTemplate"] } else { mixed };
        &self.get("launch_templates", text(&template["LaunchTemplateId"]))["Data"]
    }

    /// The role of `ApiServer`, `Scheduler`, or a worker set by its prefix.
    #[track_caller]
    pub fn role(&self, component: &str) -> &Value {
        let outputs = &self.master("local")["Outputs"];
        if let Some(name) = outputs[format!("{component}RoleName")].as_str() {
            return self.get("roles", name);
        }
        // What only the tool needs to know of a worker set is no output of the master.
        let id = text(&self.master("local")["Resources"][component]);
        let stack = self.those("stacks", |stack| stack["StackId"] == id);
        self.get("roles", text(&stack[0]["Outputs"]["WorkerRoleName"]))
    }

    /// Everything that the role of a component may do: its own policies and those attached to it.
    #[track_caller]
    pub fn rights(&self, component: &str) -> String {
        self.rights_of(self.role(component))
    }

    /// The same of any role.
    #[track_caller]
    pub fn rights_of(&self, role: &Value) -> String {
        let attached = role["Attached"].as_array().unwrap().iter().map(text);
        let own = attached.filter(|arn| !arn.contains(":aws:policy/"));
        let attached = own.map(|arn| self.get("policies", arn)["Document"].to_string());
        attached.chain([role["Inline"].to_string()]).collect::<Vec<_>>().join("\n")
    }

    /// A revision of a task definition that a release before has made.
    fn is_earlier(&self, kind: &str, one: &Value) -> bool {
        let newer = |other: &&Value| {
            other["family"] == one["family"] && other["revision"].as_i64() > one["revision"].as_i64()
        };
        kind == "task_definitions" && self.all(kind).iter().any(newer)
    }

    /// Taggable things without one of these tags.
    pub fn untagged(&self, wanted: &[(&str, Option<&str>)]) -> Vec<String> {
        let mut found = Vec::new();
        for (kind, all) in &self.0 {
            for (id, one) in all {
                let exempt = is_made_by_aws(kind, one) || self.is_earlier(kind, one);
                let Some(tags) = tags(one).filter(|_| !exempt) else { continue };
                // The tags of a stack do not reach launch templates.
                let reach = |(key, _): &&(&str, Option<&str>)| {
                    kind != "launch_templates" || !["team", "release"].contains(key)
                };
                let lacks = |(key, value): &&(&str, Option<&str>)| match (tags.get(*key), value) {
                    (None, _) => true,
                    (Some(given), Some(value)) => given != value,
                    (Some(_), None) => false,
                };
                let lacking: Vec<&str> =
                    wanted.iter().filter(reach).filter(lacks).map(|(key, _)| *key).collect();
                if !lacking.is_empty() {
                    found.push(format!("{kind} {id}: {}", lacking.join(", ")));
                }
            }
        }
        found
    }
}

/// What comes with a VPC by itself, and copies that a service makes.
fn is_made_by_aws(kind: &str, one: &Value) -> bool {
    let main = || one["Associations"].as_array().is_some_and(|all| all.iter().any(|a| a["Main"] == true));
    match kind {
        "security_groups" => one["GroupName"] == "default",
        "route_tables" => main(),
        "snapshots" | "cluster_snapshots" => true,
        _ => false,
    }
}

/// The tags of a thing in whatever form its service gives them; nothing where it says none at all.
pub fn tags(one: &Value) -> Option<BTreeMap<String, String>> {
    let tags = ["Tags", "TagList", "TagSet", "tags"].iter().find_map(|name| one.get(*name));
    let tags = tags.or_else(|| one["tagging"].get("TagSet"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(match tags {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        list => {
            let part = |tag: &Value, upper: &str, lower: &str| text(tag.get(upper).unwrap_or(&tag[lower]));
            let pair = |tag: &Value| (part(tag, "Key", "key"), part(tag, "Value", "value"));
            list.as_array()?.iter().map(pair).collect()
        }
    })
}

#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:#}"))
}

/// The ids in a list of objects.
#[track_caller]
pub fn ids<'a>(list: &'a Value, key: &str) -> BTreeSet<&'a str> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list:#}"));
    list.iter().map(|one| text(&one[key])).collect()
}

/// Everything in `expected` is so in `actual`; objects may hold more, lists may not.
#[track_caller]
pub fn has(actual: &Value, expected: &Value) {
    let mut wrong = Vec::new();
    differ("", actual, expected, &mut wrong);
    assert!(wrong.is_empty(), "{}\nin {actual:#}", wrong.join("\n"));
}

fn differ(path: &str, actual: &Value, expected: &Value, wrong: &mut Vec<String>) {
    match (actual, expected) {
        (Value::Object(given), Value::Object(wanted)) => {
            for (key, value) in wanted {
                differ(&format!("{path}.{key}"), given.get(key).unwrap_or(&Value::Null), value, wrong);
            }
        }
        (Value::Array(given), Value::Array(wanted)) if given.len() == wanted.len() => {
            for (index, (one, other)) in given.iter().zip(wanted).enumerate() {
                differ(&format!("{path}[{index}]"), one, other, wrong);
            }
        }
        _ if actual == expected => {}
        _ => wrong.push(format!("{path} is {actual}, not {expected}")),
    }
}
