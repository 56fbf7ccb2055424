//! What differs between the composed templates of two releases, resource by resource and into nested stacks, as a
//! plan shows changes. It compares texts: whether a value changes that another resource has, only CloudFormation knows.

use super::{cfn, yaml};
use crate::fail::{Fail, Result};
use crate::model::change::{Change, ChangeAction, Evidence, Fate, Replacement};
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::stack::STACK_TYPE;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The texts of templates by their digests.
pub type Texts = BTreeMap<Digest, String>;

/// Sections whose entries are compared one by one like resources, and what one of them is called.
const SECTIONS: [(&str, &str); 5] = [
    ("Parameters", "parameter"),
    ("Mappings", "mapping"),
    ("Conditions", "condition"),
    ("Rules", "rule"),
    ("Outputs", "output"),
];

/// From the templates below `old` to those below `new`.
///
/// # Errors
/// A template that is missing from `texts`, or is none.
pub fn between(old: &Digest, new: &Digest, texts: &Texts) -> Result<Vec<Change>> {
    Differ { texts }.stacks("", Some(old), Some(new))
}

struct Differ<'a> {
    texts: &'a Texts,
}

impl Differ<'_> {
    fn read(&self, digest: Option<&Digest>) -> Result<Value> {
        let Some(digest) = digest else { return Ok(Value::Null) };
        let what = || format!("the template {digest}");
        let text = self.texts.get(digest).ok_or_else(|| Fail::failed(format!("{} is missing", what())))?;
        let tree = yaml::parse(text).map_err(|wrong| (wrong.line, wrong.message));
        let told = |(line, message)| Fail::failed(format!("{}: line {line}: {message}", what()));
        tree.and_then(|tree| cfn::value(&tree)).map_err(told)
    }

    fn stacks(&self, path: &str, old: Option<&Digest>, new: Option<&Digest>) -> Result<Vec<Change>> {
        if old == new {
            return Ok(Vec::new());
        }
        let (old, new) = (self.read(old)?, self.read(new)?);
        let mut changes = Vec::new();
        let nothing = Map::new();
        let of = |template: &'_ Value, section: &str| -> Map<String, Value> {
            template[section].as_object().unwrap_or(&nothing).clone()
        };
        for (section, kind) in SECTIONS {
            let (before, after) = (of(&old, section), of(&new, section));
            for id in ids(&before, &after) {
                let (before, after) = (before.get(&id), after.get(&id));
                changes.extend((before != after).then(|| change(path, &id, kind, before, after)));
            }
        }
        let (before, after) = (of(&old, "Resources"), of(&new, "Resources"));
        for id in ids(&before, &after) {
            changes.extend(self.resource(path, &id, before.get(&id), after.get(&id))?);
        }
        Ok(changes)
    }

    fn resource(
        &self,
        path: &str,
        id: &str,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Result<Option<Change>> {
        if old == new {
            return Ok(None);
        }
        let kind = new.or(old).and_then(|resource| resource["Type"].as_str()).unwrap_or_default();
        let mut told = change(path, id, kind, old, new);
        told.reasons = reasons(old, new);
        if kind == STACK_TYPE {
            // What is given to a worker set is written here alone.
            let given = told.reasons.iter().position(|reason| reason == "Parameters");
            if let Some(at) = given {
                told.reasons.splice(at..=at, given_values(old, new));
            }
            told.nested = self.stacks(&told.path, child(old).as_ref(), child(new).as_ref())?;
        }
        Ok(Some(told))
    }
}

/// The parameters of a nested stack that differ, with their values where the template has them.
fn given_values(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let of = |resource: Option<&Value>| {
        resource.and_then(|one| one["Properties"]["Parameters"].as_object()).cloned().unwrap_or_default()
    };
    let (before, after) = (of(old), of(new));
    let side = |value: Option<&Value>| match value {
        None => Some("none".to_owned()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
        Some(_) => None,
    };
    let told = |name: String| match (before.get(&name), after.get(&name)) {
        (old, new) if old == new => None,
        (old, new) => Some(match (side(old), side(new)) {
            (Some(old), Some(new)) => format!("{name}: {old} → {new}"),
            _ => name,
        }),
    };
    ids(&before, &after).into_iter().filter_map(told).collect()
}

fn ids(old: &Map<String, Value>, new: &Map<String, Value>) -> BTreeSet<String> {
    old.keys().chain(new.keys()).cloned().collect()
}

/// The template of a nested stack, by the digest in its address.
fn child(resource: Option<&Value>) -> Option<Digest> {
    names::children(&resource?["Properties"]["TemplateURL"].to_string()).into_iter().next()
}

fn change(path: &str, id: &str, kind: &str, old: Option<&Value>, new: Option<&Value>) -> Change {
    let path = if path.is_empty() { id.to_owned() } else { format!("{path}/{id}") };
    let action = match (old, new) {
        (None, _) => ChangeAction::Add,
        (_, None) => ChangeAction::Remove,
        _ => ChangeAction::Modify,
    };
    let policy = old.and_then(|old| old["DeletionPolicy"].as_str()).unwrap_or_default();
    let fate = match policy {
        "Retain" | "RetainExceptOnCreate" => Fate::Retained,
        "Snapshot" => Fate::Snapshot,
        _ => Fate::Deleted,
    };
    Change {
        path,
        kind: kind.to_owned(),
        action,
        replacement: Replacement::Never,
        fate,
        reasons: Vec::new(),
        evidence: Evidence::Known,
        nested: Vec::new(),
    }
}

/// The properties that differ, and the other attributes of the resource; none of one that is new or gone.
fn reasons(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) else { return Vec::new() };
    let nothing = Map::new();
    let properties = |resource: &Map<String, Value>| {
        resource.get("Properties").and_then(Value::as_object).unwrap_or(&nothing).clone()
    };
    let (before, after) = (properties(old), properties(new));
    let differs = |old: &Map<String, Value>, new: &Map<String, Value>| {
        ids(old, new).into_iter().filter(|key| old.get(key) != new.get(key)).collect::<Vec<_>>()
    };
    let attributes = differs(old, new).into_iter().filter(|key| key != "Properties");
    differs(&before, &after).into_iter().chain(attributes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::flatten;

    fn put(texts: &mut Texts, text: &str) -> Digest {
        let digest = Digest::of(text.as_bytes());
        texts.insert(digest, text.to_owned());
        digest
    }

    fn parent(child: &Digest, more: &str) -> String {
        let url = names::child_url(child);
        format!(
            "Resources:\n  Database:\n    Type: {STACK_TYPE}\n    Properties:\n      TemplateURL: {url}\n{more}"
        )
    }

    const INSTANCE: &str = "Resources:\n  Instance:\n    Type: AWS::RDS::DBInstance\n    DeletionPolicy: Snapshot\n    \
                            Properties:\n      MultiAZ: !If [Ha, true, false]\n";

    #[test]
    fn changes_are_found_in_nested_stacks_with_the_properties_that_differ() {
        let mut texts = Texts::new();
        let child = put(&mut texts, INSTANCE);
        let other = put(
            &mut texts,
            &INSTANCE
                .replace("MultiAZ: !If [Ha, true, false]", "MultiAZ: true\n      Port: 5433")
                .replace("Snapshot", "Retain"),
        );
        let queue = "  Queue:\n    Type: AWS::SQS::Queue\nOutputs:\n  Name:\n    Value: x\n";
        let old = put(&mut texts, &parent(&child, ""));
        let new = put(&mut texts, &parent(&other, queue));
        let told = between(&old, &new, &texts).unwrap();
        let rows: Vec<(&str, &str, String)> = flatten(&told)
            .iter()
            .map(|one| (one.path.as_str(), one.action.word(), one.reasons.join(" ")))
            .collect();
        let expected = [
            ("Name", "add", ""),
            ("Database", "modify", "TemplateURL"),
            ("Database/Instance", "modify", "MultiAZ Port DeletionPolicy"),
            ("Queue", "add", ""),
        ];
        assert_eq!(rows, expected.map(|(path, action, why)| (path, action, why.to_owned())));
        let back = between(&new, &old, &texts).unwrap();
        assert_eq!(flatten(&back)[3].action, ChangeAction::Remove);
        assert_eq!(flatten(&back)[2].fate, Fate::Retained);
    }

    #[test]
    fn what_is_given_to_a_nested_stack_is_told_with_its_values() {
        let mut texts = Texts::new();
        let child = put(&mut texts, INSTANCE);
        let given = |size: &str, subnets: &str| {
            let text =
                format!("      Parameters:\n        Size: '{size}'\n        Subnets: !Ref {subnets}\n");
            parent(&child, &text)
        };
        let (old, new) = (put(&mut texts, &given("4", "A")), put(&mut texts, &given("3", "B")));
        let told = between(&old, &new, &texts).unwrap();
        assert_eq!(told[0].reasons, ["Size: 4 → 3", "Subnets"]);
        assert!(told[0].nested.is_empty());
    }

    #[test]
    fn comments_and_the_order_are_no_change_and_equal_templates_are_not_read() {
        let mut texts = Texts::new();
        let old = put(&mut texts, "Resources:\n  A: {Type: X}\n  B: {Type: Y}\n");
        let new = put(&mut texts, "# note\nResources:\n  B:\n    Type: Y\n  A:\n    Type: X\n");
        assert_eq!(between(&old, &new, &texts).unwrap(), []);
        assert_eq!(between(&old, &old, &Texts::new()).unwrap(), []);
        let fail = between(&old, &Digest::of(b"gone"), &texts).unwrap_err();
        assert!(fail.message().ends_with("is missing"), "{fail}");
    }

    #[test]
    fn a_nested_stack_that_comes_or_goes_shows_what_is_in_it() {
        let mut texts = Texts::new();
        let child = put(&mut texts, INSTANCE);
        let with = put(&mut texts, &parent(&child, ""));
        let without = put(&mut texts, "Resources: {}\n");
        let told = between(&with, &without, &texts).unwrap();
        let all = flatten(&told);
        let rows: Vec<_> = all.iter().map(|one| (one.path.as_str(), one.action, one.fate)).collect();
        let expected = [
            ("Database", ChangeAction::Remove, Fate::Deleted),
            ("Database/Instance", ChangeAction::Remove, Fate::Snapshot),
        ];
        assert_eq!(rows, expected);
    }
}
