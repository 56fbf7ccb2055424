//! The engine's parts of the master template, merged in before anything else: `engine.yaml` of its folder,
//! and further files where engines have the folder in common.

use super::{Additions, Composer, MASTER, Master};
use crate::fail::Problem;
use crate::model::engine::Engine;
use crate::plan::templates::{Sources, parsed, problem_at, resolve};
use crate::plan::yaml::Node;
use serde_json::{Map, Value, json};

/// Where an engine's parts of the master stand among the sources, in the order in which they are merged.
#[must_use]
pub fn fragments(engine: Engine) -> Vec<String> {
    let more: &[&str] = match engine {
        Engine::Ec2 => &[],
        Engine::Fargate => &["executor", "services", "fargate"],
        Engine::EcsEc2 => &["executor", "services", "hosts"],
    };
    let files = std::iter::once(&"engine").chain(more);
    files.map(|file| format!("engines/{}/{file}.yaml", engine.folder())).collect()
}

/// What `ecs-ec2` runs tasks on: hosts of the environment, or those that ECS manages.
const HOSTS: &str = "engines/ecs/hosts.yaml";
pub(super) const MANAGED: &str = "engines/ecs/managed.yaml";

const INTERFACE: &str = "AWS::CloudFormation::Interface";

impl Composer {
    /// Adds every section of the engine's fragments to the master.
    pub(super) fn engine(&mut self, master: &mut Master, additions: &Additions, sources: &Sources) {
        for path in fragments(additions.engine) {
            let path = if additions.managed_instances && path == HOSTS { MANAGED } else { &path };
            self.fragment(master, path, sources);
        }
    }

    /// A name that is in the master already is a problem.
    fn fragment(&mut self, master: &mut Master, path: &str, sources: &Sources) {
        let Some(bytes) = sources.get(path) else {
            let hint = format!("restore it, for instance: git checkout -- templates/{path}");
            return self.problem("missing", path, "the engine has no templates here".to_owned(), hint);
        };
        let tree = match parsed(path, bytes) {
            Ok(tree) => tree,
            Err(problem) => return self.problems.push(problem),
        };
        // Where it is missing now, reading it has told why.
        let Some(part) = self.templates.get(path).cloned() else { return };
        let Value::Object(part) = part else {
            let message = "the file holds no sections such as `Resources`".to_owned();
            return self.problems.push(not_a_template(path, tree.line, message));
        };
        for (section, value) in part {
            match value {
                Value::Object(metadata) if section == "Metadata" => merge_metadata(master, &metadata),
                Value::Object(entries) => self.merge(master, (path, &tree), &section, entries),
                Value::String(_) => {} // the version of the format, a description
                _ => {
                    let message = format!("`{section}` has no names with values below it");
                    let line = tree.get(&section).map_or(0, |node| node.line);
                    self.problems.push(not_a_template(path, line, message));
                }
            }
        }
    }

    fn merge(
        &mut self,
        master: &mut Master,
        (path, tree): (&str, &Node),
        section: &str,
        entries: Map<String, Value>,
    ) {
        for (name, mut value) in entries {
            if section == "Resources" {
                from_root(&mut value, path);
            }
            if master.section(section).insert(name.clone(), value).is_some() {
                let message = format!("`{name}` is in `{section}` of `templates/{MASTER}` too");
                let line = line_of(tree, section, &name);
                self.problems.push(problem_at("clash", path, line, message, "rename one of the two"));
            }
        }
    }
}

fn not_a_template(path: &str, line: usize, message: String) -> Problem {
    problem_at(
        "not_a_template",
        path,
        line,
        message,
        "see `templates/README.md`, or restore the file from git",
    )
}

/// The line of a name in a section.
fn line_of(tree: &Node, section: &str, name: &str) -> usize {
    let entries = tree.get(section).map(Node::entries).unwrap_or_default();
    entries.iter().find(|(key, _)| key.text() == Some(name)).map_or(0, |(key, _)| key.line)
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
