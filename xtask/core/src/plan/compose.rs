//! The master template of an environment, made from `templates/master.yaml` and its engine's part: children
//! wired by name, a nested stack for each worker set, the environment's own policies and additional templates.
//!
//! A child's parameter that the master does not pass is looked up by its name: the output of that name of
//! a child without a condition, else a parameter of the master, declared as the child declares it. So a
//! new parameter is written down once, in the template that uses it. The result is JSON, with children
//! still named by relative path; [`super::templates`] packages it.

mod additional;
mod engine;
mod external;
mod limits;
mod wiring;

use super::templates::Sources;
use super::{cfn, yaml};
use crate::config::ECS_EXECUTOR;
use crate::fail::{Fail, Problem, Result};
use crate::model::engine::Engine;
use crate::model::stack::STACK_TYPE;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub use engine::fragments;
pub use external::{ExternalTask, ImageSource};

pub const MASTER: &str = "master.yaml";
/// Where the additional templates stand among the sources.
pub const ADDITIONAL: &str = "additional/";
/// The place of a problem as people know it: among the sources, additional templates have a folder of their
/// own, in the project the one that the environment file names.
#[must_use]
pub fn as_written(place: &str, folder: Option<&str>) -> String {
    let rest = place.strip_prefix("templates/").and_then(|rest| rest.strip_prefix(ADDITIONAL));
    match (rest, folder) {
        (Some(rest), Some(folder)) => format!("{folder}/{rest}"),
        _ => place.to_owned(),
    }
}

/// The nested stack that is repeated for each worker set, and the beginning of its outputs' names.
const WORKER: &str = "Worker";
/// The output with what hosts need to know of all worker sets, and the parameter by which a child gets it.
const WORKER_SETS: &str = "WorkerSets";
/// The nested stack whose outputs name the roles of the other components.
const IDENTITY: &str = "Identity";

/// What an environment adds to the master template.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    pub engine: Engine,
    /// Whether ECS manages the instances that tasks run on; of the engine `ecs-ec2` only.
    pub managed_instances: bool,
    pub worker_sets: Vec<WorkerSet>,
    pub external: Vec<ExternalTask>,
    pub policies: Vec<Policy>,
    /// Values for parameters of additional templates.
    pub given: BTreeMap<String, String>,
}

/// A worker set: `WorkerBig`, what its stack is given, and what hosts are told.
#[derive(Clone, Debug)]
pub struct WorkerSet {
    pub name: String,
    pub prefix: String,
    pub parameters: BTreeMap<String, String>,
    pub settings: Value,
}

/// A policy of the user's own for the role of a component.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `ApiServer`, `Scheduler`, the prefix of a worker set or the stack of an external task.
    pub component: String,
    /// The file, for messages and the policy's name.
    pub path: String,
    pub document: Vec<u8>,
}

/// The sources with the composed master in place of the written one; all problems together.
pub fn compose(mut sources: Sources, additions: &Additions) -> Result<Sources> {
    let mut composer = Composer { templates: BTreeMap::new(), made: Vec::new(), problems: Vec::new() };
    for (path, bytes) in &sources {
        composer.read(path, bytes);
    }
    let Some(master) = composer.templates.get(MASTER).and_then(Value::as_object).cloned() else {
        // Missing or no YAML: packaging says so, with its line.
        return Ok(sources);
    };
    let mut master = Master(master);
    composer.engine(&mut master, additions, &sources);
    composer.workers(&mut master, additions);
    composer.external(&mut master, additions);
    composer.wire(&mut master, additions);
    composer.outputs(&mut master, additions);
    composer.policies(&mut master, additions);
    composer.additional(&mut master, &additions.given);
    composer.limits(&mut master, additions);
    if !composer.problems.is_empty() {
        return Err(Fail::problems("the templates do not fit together", composer.problems));
    }
    for path in &composer.made {
        sources.insert(path.clone(), written(composer.templates[path].clone())?);
    }
    sources.insert(MASTER.to_owned(), written(Value::Object(master.0))?);
    sources.retain(|path, _| is_used(path, additions.engine));
    Ok(sources)
}

/// As JSON, which is YAML.
fn written(template: Value) -> Result<Vec<u8>> {
    let text = serde_json::to_string_pretty(&sorted(template));
    text.map(String::into_bytes).map_err(|error| Fail::bug("no JSON").because(error))
}

/// Templates of other engines are none of this environment's, and the parts of its own are in the master now.
fn is_used(path: &str, engine: Engine) -> bool {
    let Some(rest) = path.strip_prefix("engines/") else { return true };
    let is_fragment =
        || path == engine::MANAGED || Engine::ALL.into_iter().flat_map(fragments).any(|one| one == path);
    rest.split('/').next() == Some(engine.folder()) && !is_fragment()
}

struct Composer {
    templates: BTreeMap<String, Value>,
    /// The templates among them that are in no file.
    made: Vec<String>,
    problems: Vec<Problem>,
}

impl Composer {
    /// A template that is not YAML is left to packaging, which refuses it.
    fn read(&mut self, path: &str, bytes: &[u8]) {
        let Some(tree) = std::str::from_utf8(bytes).ok().and_then(|text| yaml::parse(text).ok()) else {
            return;
        };
        match cfn::value(&tree) {
            Ok(value) => drop(self.templates.insert(path.to_owned(), value)),
            Err((line, message)) => {
                let place = format!("templates/{path}:{line}");
                let hint = "write it out as plain YAML";
                self.problems.push(Problem::new("not_a_template", place, message, hint));
            }
        }
    }

    fn problem(&mut self, kind: &str, place: &str, message: String, hint: impl Into<String>) {
        self.problems.push(Problem::new(kind, format!("templates/{place}"), message, hint.into()));
    }

    /// The template of a nested stack; nothing where it is named by a URL.
    fn child(&self, stack: &Value) -> Option<&Value> {
        self.templates.get(stack["Properties"]["TemplateURL"].as_str()?)
    }

    /// `Worker` once for each worker set, with the set's own values.
    fn workers(&self, master: &mut Master, additions: &Additions) {
        let Some(worker) = master.section("Resources").remove(WORKER) else { return };
        let declared = self.child(&worker).map(|child| child["Parameters"].clone()).unwrap_or_default();
        for set in &additions.worker_sets {
            let mut stack = worker.clone();
            for (name, value) in &set.parameters {
                if declared.get(name).is_some() && stack["Properties"]["Parameters"].get(name).is_none() {
                    stack["Properties"]["Parameters"][name] = json!(value);
                }
            }
            master.section("Resources").insert(set.prefix.clone(), stack);
        }
    }

    /// Outputs of worker sets, of children, and the list of worker sets.
    fn outputs(&self, master: &mut Master, additions: &Additions) {
        let written: Vec<_> = master.section("Outputs").clone().into_iter().collect();
        for (name, output) in written {
            if !reads(&output, WORKER) {
                continue;
            }
            master.section("Outputs").remove(&name);
            let rest = name.strip_prefix(WORKER).unwrap_or(&name);
            for set in &additions.worker_sets {
                let output = renamed(&output, WORKER, &set.prefix);
                master.section("Outputs").insert(format!("{}{rest}", set.prefix), output);
            }
        }
        for (name, (id, description)) in self.offered(master, additions) {
            let output = json!({ "Description": description, "Value": { "Fn::GetAtt": [id, format!("Outputs.{name}")] } });
            master.section("Outputs").entry(name).or_insert(output);
        }
        let sets = json!({
            "Description": "Queue, concurrency and scaling of each worker set, as JSON.",
            "Value": described(&additions.worker_sets),
        });
        master.section("Outputs").insert(WORKER_SETS.to_owned(), sets);
    }

    fn policies(&mut self, master: &mut Master, additions: &Additions) {
        for (index, policy) in additions.policies.iter().enumerate() {
            let document: Option<Value> = serde_json::from_slice(&policy.document).ok();
            let Some(document) = document.filter(|document| document.get("Statement").is_some()) else {
                let message = "is not a policy document, a JSON object with `Statement`";
                let hint = "see IAM's JSON policy reference, or remove it from the environment file";
                self.problems.push(Problem::new("bad_policy", &policy.path, message, hint));
                continue;
            };
            let set = additions.worker_sets.iter().any(|set| set.prefix == policy.component);
            let external = additions.external.iter().any(|task| task.stack == policy.component);
            let role = if external {
                json!([policy.component, "Outputs.RoleName"])
            } else if set {
                json!([policy.component, "Outputs.WorkerRoleName"])
            } else if policy.component == ECS_EXECUTOR {
                json!([ECS_EXECUTOR, "Outputs.RoleName"])
            } else {
                json!([IDENTITY, format!("Outputs.{}RoleName", policy.component)])
            };
            let file = policy.path.rsplit('/').next().unwrap_or_default();
            let resource = json!({
                "Type": "AWS::IAM::RolePolicy",
                "Properties": {
                    "PolicyName": file.strip_suffix(".json").unwrap_or(file),
                    "PolicyDocument": document,
                    "RoleName": { "Fn::GetAtt": role },
                },
            });
            let id = format!("{}Policy{}", policy.component, index + 1);
            if master.section("Resources").insert(id.clone(), resource).is_some() {
                let message = format!("its resource would be `{id}`, as that of a worker set");
                self.problems.push(Problem::new("clash", &policy.path, message, "rename the worker set"));
            }
        }
    }
}

/// What components are told of all worker sets, as JSON.
fn described(sets: &[WorkerSet]) -> String {
    let sets = sets.iter().map(|set| (set.name.clone(), set.settings.clone())).collect();
    sorted(Value::Object(sets)).to_string()
}

/// The master template while it is being composed.
struct Master(Map<String, Value>);

impl Master {
    fn section(&mut self, name: &str) -> &mut Map<String, Value> {
        let section = self.0.entry(name).or_insert_with(|| json!({}));
        if !section.is_object() {
            *section = json!({});
        }
        match section {
            Value::Object(map) => map,
            _ => unreachable!("it was made an object just now"),
        }
    }

    /// Logical id and resource of every nested stack, by id.
    fn stacks(&mut self) -> Vec<(String, Value)> {
        let resources = self.section("Resources").iter();
        let stacks = resources.filter(|(_, resource)| resource["Type"] == STACK_TYPE);
        let mut stacks: Vec<_> = stacks.map(|(id, resource)| (id.clone(), resource.clone())).collect();
        stacks.sort_by(|a, b| a.0.cmp(&b.0));
        stacks
    }
}

/// The same with the keys of all objects in order: one environment, one text, whatever `serde_json` keeps.
fn sorted(mut value: Value) -> Value {
    value.sort_all_objects();
    value
}

/// Whether an attribute of the resource `id` is read anywhere in `value`.
fn reads(value: &Value, id: &str) -> bool {
    match value {
        Value::Object(map) => {
            map.get("Fn::GetAtt").is_some_and(|call| call[0] == id)
                || map.values().any(|inner| reads(inner, id))
        }
        Value::Array(items) => items.iter().any(|item| reads(item, id)),
        _ => false,
    }
}

/// `value` with every attribute of `from` read of `to` instead.
fn renamed(value: &Value, from: &str, to: &str) -> Value {
    match value {
        Value::Object(map) => {
            let pair = |(key, inner): (&String, &Value)| {
                let inner = if key == "Fn::GetAtt" && inner[0] == from {
                    json!([to, inner[1]])
                } else {
                    renamed(inner, from, to)
                };
                (key.clone(), inner)
            };
            Value::Object(map.iter().map(pair).collect())
        }
        Value::Array(items) => items.iter().map(|item| renamed(item, from, to)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
