//! What each nested stack is given, by name.

use super::external::{EXTERNAL_TASKS, told};
use super::{Additions, Composer, MASTER, Master, WORKER_SETS, WorkerSet, described};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Its value is the master stack's own name.
pub const MASTER_STACK_NAME: &str = "MasterStackName";
/// Its value is the URL of each worker set's queue: `default=https://… big=https://…`.
const QUEUE_URLS: &str = "QueueUrls";
pub(super) const INTERFACE: &str = "AWS::CloudFormation::Interface";

impl Composer {
    /// Passes every nested stack what it declares, and has it deleted with the master.
    pub(super) fn wire(&mut self, master: &mut Master, additions: &Additions) {
        let offered = self.offered(master, additions);
        for (id, mut stack) in master.stacks() {
            for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
                if stack.get(policy).is_none() {
                    stack[policy] = json!("Delete");
                }
            }
            if let Some(child) = self.child(&stack).cloned() {
                let declared = child["Parameters"].as_object().cloned().unwrap_or_default();
                self.nothing_unknown(&id, &stack, &declared);
                let mut promoted = Vec::new();
                for (name, declaration) in &declared {
                    if stack["Properties"]["Parameters"].get(name).is_some() {
                        continue;
                    }
                    let value = match offered.get(name).filter(|(offering, _)| *offering != id) {
                        _ if name == MASTER_STACK_NAME => json!({ "Ref": "AWS::StackName" }),
                        _ if name == WORKER_SETS => json!(described(&additions.worker_sets)),
                        _ if name == EXTERNAL_TASKS => told(&additions.external),
                        _ if name == QUEUE_URLS => queue_urls(&additions.worker_sets),
                        Some((offering, _)) => {
                            json!({ "Fn::GetAtt": [offering, format!("Outputs.{name}")] })
                        }
                        None => {
                            promoted.push((name, declaration));
                            json!({ "Ref": name })
                        }
                    };
                    stack["Properties"]["Parameters"][name] = value;
                }
                promote(master, &id, &child, &promoted);
            }
            master.section("Resources").insert(id, stack);
        }
    }

    /// Outputs of nested stacks that are always there, by name, where no two have it in common: logical
    /// id and description. Worker sets are of one kind, as are external tasks, so theirs are their own.
    pub(super) fn offered(
        &self,
        master: &mut Master,
        additions: &Additions,
    ) -> BTreeMap<String, (String, String)> {
        let mut offered: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for (id, stack) in master.stacks() {
            let set = additions.worker_sets.iter().any(|set| set.prefix == id);
            let external = additions.external.iter().any(|task| task.stack == id);
            if set || external || stack.get("Condition").is_some() {
                continue;
            }
            let outputs = self.child(&stack).and_then(|child| child["Outputs"].as_object());
            for (name, output) in outputs.into_iter().flatten() {
                if output.get("Condition").is_none() {
                    let description = output["Description"].as_str().unwrap_or_default().to_owned();
                    offered.entry(name.clone()).or_default().push((id.clone(), description));
                }
            }
        }
        let single = |(name, mut from): (String, Vec<_>)| (from.len() == 1).then(|| (name, from.remove(0)));
        offered.into_iter().filter_map(single).collect()
    }

    fn nothing_unknown(&mut self, id: &str, stack: &Value, declared: &serde_json::Map<String, Value>) {
        let given = stack["Properties"]["Parameters"].as_object().cloned().unwrap_or_default();
        for name in given.keys().filter(|name| !declared.contains_key(*name)) {
            let child = stack["Properties"]["TemplateURL"].as_str().unwrap_or_default();
            let message = format!("`{id}` passes `{name}`, which `templates/{child}` does not declare");
            let hint = "declare it there, or remove it here";
            self.problem("unknown_parameter", MASTER, message, hint);
        }
    }
}

fn queue_urls(sets: &[WorkerSet]) -> Value {
    let url = |set: &WorkerSet| json!({ "Fn::GetAtt": [set.prefix, "Outputs.QueueUrl"] });
    // CloudFormation joins no empty list.
    if sets.is_empty() {
        return json!("");
    }
    let pairs: Vec<Value> =
        sets.iter().map(|set| json!({ "Fn::Join": ["=", [set.name, url(set)]] })).collect();
    json!({ "Fn::Join": [" ", pairs] })
}

/// Declares parameters of a child in the master, in a group of the console of their own.
pub(super) fn promote(master: &mut Master, group: &str, child: &Value, promoted: &[(&String, &Value)]) {
    let mut new = Vec::new();
    for (name, declaration) in promoted {
        let parameters = master.section("Parameters");
        if !parameters.contains_key(*name) {
            parameters.insert((*name).clone(), (*declaration).clone());
            new.push((*name).clone());
        }
    }
    if new.is_empty() {
        return;
    }
    let labels = &child["Metadata"][INTERFACE]["ParameterLabels"];
    let metadata = master.section("Metadata").entry(INTERFACE).or_insert_with(|| json!({}));
    for name in new.iter().filter(|name| labels.get(*name).is_some()) {
        metadata["ParameterLabels"][name] = labels[name].clone();
    }
    let group = json!({ "Label": { "default": group }, "Parameters": new });
    match &mut metadata["ParameterGroups"] {
        Value::Array(groups) => groups.push(group),
        absent => *absent = json!([group]),
    }
}
