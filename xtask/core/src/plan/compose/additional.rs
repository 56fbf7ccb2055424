//! Additional templates: nested stacks of the user's own, which get the master's outputs that they
//! declare as parameters.

use super::wiring::MASTER_STACK_NAME;
use super::{ADDITIONAL, Composer, Master};
use crate::model::stack::STACK_TYPE;
use crate::model::text::pascal_case;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

impl Composer {
    /// A nested stack for each template directly in the folder; those below it are their children.
    pub(super) fn additional(&mut self, master: &mut Master, given: &BTreeMap<String, String>) {
        let own = |path: &&String| path.strip_prefix(ADDITIONAL).is_some_and(|rest| !rest.contains('/'));
        let paths: Vec<String> = self.templates.keys().filter(own).cloned().collect();
        let mut declared = BTreeSet::new();
        for path in paths {
            let template = self.templates[&path].clone();
            let parameters = template["Parameters"].as_object().cloned().unwrap_or_default();
            declared.extend(parameters.keys().cloned());
            let mut passed = serde_json::Map::new();
            for (name, declaration) in &parameters {
                let default = declaration.get("Default").is_some();
                if let Some(value) = self.argument(&path, name, default, master, given) {
                    passed.insert(name.clone(), value);
                }
            }
            let stem = path[ADDITIONAL.len()..].split('.').next().unwrap_or_default();
            let id = format!("Additional{}", pascal_case(stem));
            if master.section("Resources").contains_key(&id) {
                let message = format!("its stack would be `{id}`, as that of another template");
                self.problem("clash", &path, message, "rename the file");
            }
            let stack = json!({
                "Type": STACK_TYPE,
                "DeletionPolicy": "Delete",
                "UpdateReplacePolicy": "Delete",
                "Properties": { "TemplateURL": path, "Parameters": passed,
                    "Tags": [{ "Key": "component", "Value": "additional" }] },
            });
            master.section("Resources").insert(id, stack);
        }
        for name in given.keys().filter(|name| !declared.contains(*name)) {
            let message = format!("no additional template declares the parameter `{name}`");
            self.problem(
                "unknown_parameter",
                ADDITIONAL,
                message,
                "correct its name in `additional.parameters`, or remove it",
            );
        }
    }

    /// What a parameter is given: nothing where its default serves.
    fn argument(
        &mut self,
        path: &str,
        name: &str,
        default: bool,
        master: &mut Master,
        given: &BTreeMap<String, String>,
    ) -> Option<Value> {
        let output = master.section("Outputs").get(name).cloned();
        match (given.get(name), output) {
            (Some(_), Some(_)) => {
                let message =
                    format!("`{name}` is an output of the master stack and in `additional.parameters`");
                self.problem("clash", path, message, "remove it there, or rename the parameter here");
                None
            }
            (Some(value), None) => Some(json!(value)),
            (None, Some(output)) => Some(match output.get("Condition") {
                Some(condition) => {
                    json!({ "Fn::If": [condition, output["Value"], { "Ref": "AWS::NoValue" }] })
                }
                None => output["Value"].clone(),
            }),
            (None, None) if name == MASTER_STACK_NAME => Some(json!({ "Ref": "AWS::StackName" })),
            (None, None) if default => None,
            (None, None) => {
                let message = format!(
                    "nothing provides the parameter `{name}`: it is not an output of the master stack"
                );
                let hint = "name an output (cargo xtask package, templates/README.md), give it a default, or set it in `additional.parameters`";
                self.problem("unknown_parameter", path, message, hint);
                None
            }
        }
    }
}
