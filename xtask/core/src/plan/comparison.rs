//! Two recorded releases beside each other: what is different about the second one.

use super::contents::{Contents, VARIABLES};
use crate::model::change::Change;
use crate::model::dags::{DagDiff, Turn};
use crate::model::digest::Digest;
use crate::model::release::Release;
use crate::model::schema::Migration;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names with what they mean before and after, where that differs.
pub type Turns = BTreeMap<String, Turn>;

#[derive(Clone, Debug)]
pub struct Comparison {
    pub from: Release,
    pub to: Release,
    /// Parameters of the master stack; of one that holds an object, its keys.
    pub parameters: Turns,
    pub contents: Contents,
    pub migration: Option<Migration>,
    /// Or why they cannot be compared; so are those that follow.
    pub dags: Result<DagDiff, String>,
    pub templates: Result<Vec<Change>, String>,
    /// Python packages with their versions, and the base of an image.
    pub packages: Result<Turns, String>,
}

impl Comparison {
    /// Whether both are the same in all that can be compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.artifacts().is_empty()
            && self.from.objects == self.to.objects
            && self.from.stack == self.to.stack
    }

    /// The artifacts that are others.
    #[must_use]
    pub fn artifacts(&self) -> BTreeMap<&'static str, (Option<Digest>, Option<Digest>)> {
        let of = |release: &Release| {
            [
                ("bundle", Some(release.bundle)),
                ("host revision", release.runtime.host_revision()),
                ("image", release.image),
                ("templates", Some(release.stack.template)),
            ]
        };
        let both = of(&self.from).into_iter().zip(of(&self.to));
        both.filter(|(old, new)| old.1 != new.1).map(|(old, new)| (old.0, (old.1, new.1))).collect()
    }
}

/// The names whose values differ.
#[must_use]
pub fn turns(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Turns {
    let names = old.keys().chain(new.keys());
    let turn = |name: &String| {
        let turn = Turn { before: old.get(name).cloned(), after: new.get(name).cloned() };
        (turn.before != turn.after).then(|| (name.clone(), turn))
    };
    names.filter_map(turn).collect()
}

/// The parameters of a release. What is one text to CloudFormation can be many settings to people. Environment
/// variables are compared by their names alone, as in a plan.
#[must_use]
pub fn parameters(release: &Release) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, value) in release.stack.parameters.iter().filter(|(name, _)| *name != VARIABLES) {
        match serde_json::from_str(value) {
            Ok(Value::Object(map)) => found.extend(map.into_iter().map(|(key, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (format!("{name} {key}"), value)
            })),
            _ => drop(found.insert(name.clone(), value.clone())),
        }
    }
    found
}

/// The versions in a lock of Python packages.
#[must_use]
pub fn locked(text: &str) -> BTreeMap<String, String> {
    let pin = |line: &str| {
        let (name, rest) = line.split_once("==")?;
        let version = rest.split([' ', ';', '\\']).next()?;
        (!name.starts_with(['#', ' '])).then(|| (name.to_owned(), version.to_owned()))
    };
    text.lines().filter_map(pin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_lock_tells_its_versions() {
        let lock =
            "# a note==1\nattrs==25.1.0 \\\n    --hash=sha256:00\nwin==1.0 ; sys_platform == 'win32' \\\n";
        assert_eq!(locked(lock), map(&[("attrs", "25.1.0"), ("win", "1.0")]));
    }

    #[test]
    fn only_what_differs_is_told_with_both_values() {
        let told =
            turns(&map(&[("a", "1"), ("b", "1"), ("c", "1")]), &map(&[("a", "1"), ("b", "2"), ("d", "1")]));
        let shown: Vec<(&str, Option<&str>, Option<&str>)> = told
            .iter()
            .map(|(name, turn)| (name.as_str(), turn.before.as_deref(), turn.after.as_deref()))
            .collect();
        assert_eq!(shown, [("b", Some("1"), Some("2")), ("c", Some("1"), None), ("d", None, Some("1"))]);
    }
}
