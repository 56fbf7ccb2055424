//! The engine's part of the master template: `engines/<engine>/engine.yaml`, merged in before anything else.

use super::{Composer, MASTER, Master};
use crate::model::engine::Engine;
use crate::plan::templates::resolve;
use serde_json::{Map, Value, json};

/// Where an engine's part of the master stands among the sources.
#[must_use]
pub fn fragment(engine: Engine) -> String {
    format!("engines/{}/engine.yaml", engine.word())
}

const INTERFACE: &str = "AWS::CloudFormation::Interface";

impl Composer {
    /// Adds every section of the fragment to the master; a name that both have is a problem.
    pub(super) fn engine(&mut self, master: &mut Master, engine: Engine) {
        let path = fragment(engine);
        let Some(part) = self.templates.get(&path).and_then(Value::as_object).cloned() else {
            let hint = format!("restore it, for instance: git checkout -- templates/{path}");
            return self.problem("missing", &path, "the engine has no templates here".to_owned(), hint);
        };
        for (section, value) in part {
            match value {
                Value::Object(metadata) if section == "Metadata" => merge_metadata(master, &metadata),
                Value::Object(entries) => self.merge(master, &path, &section, entries),
                _ => {}
            }
        }
    }

    fn merge(&mut self, master: &mut Master, path: &str, section: &str, entries: Map<String, Value>) {
        for (name, mut value) in entries {
            if section == "Resources" {
                from_root(&mut value, path);
            }
            if master.section(section).insert(name.clone(), value).is_some() {
                let message = format!("`{name}` is in `{section}` of `templates/{MASTER}` too");
                self.problem("clash", path, message, "rename one of the two");
            }
        }
    }
}

/// A child that is named relative to the fragment, named from the root of the templates.
fn from_root(resource: &mut Value, path: &str) {
    let Some(url) = resource.get_mut("Properties").and_then(|properties| properties.get_mut("TemplateURL"))
    else {
        return;
    };
    if let Some(child) = url.as_str().filter(|url| !url.contains("://")).and_then(|url| resolve(path, url)) {
        *url = json!(child);
    }
}

/// Groups and labels of parameters, for the console.
fn merge_metadata(master: &mut Master, metadata: &Map<String, Value>) {
    let part = &metadata.get(INTERFACE).cloned().unwrap_or_default();
    let whole = master.section("Metadata").entry(INTERFACE).or_insert_with(|| json!({}));
    for group in part["ParameterGroups"].as_array().into_iter().flatten() {
        match &mut whole["ParameterGroups"] {
            Value::Array(groups) => groups.push(group.clone()),
            absent => *absent = json!([group]),
        }
    }
    for (name, label) in part["ParameterLabels"].as_object().into_iter().flatten() {
        whole["ParameterLabels"][name] = label.clone();
    }
}
