//! What has changed in lock files.

use super::Output;
use crate::model::difference::Difference;
use crate::model::text::count;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

type Versions = BTreeMap<String, String>;

#[derive(Debug, Serialize)]
pub struct Locks {
    locks: Vec<Lock>,
}

#[derive(Debug, Serialize)]
struct Lock {
    file: String,
    packages: usize,
    changes: Vec<Change>,
}

/// A package with the versions before and now; it has one of them at least.
#[derive(Debug, Serialize)]
struct Change {
    package: String,
    before: Option<String>,
    now: Option<String>,
}

impl Locks {
    /// As in the document.
    #[must_use]
    pub fn files(&self) -> serde_json::Value {
        serde_json::json!(self.locks)
    }

    /// Of each file its name, what it locked before and what it locks now.
    #[must_use]
    pub fn new(locks: impl Iterator<Item = (String, Versions, Versions)>) -> Self {
        let lock = |(file, before, after): (String, Versions, Versions)| {
            let Difference { added, changed, removed } = Difference::between(&before, &after);
            let change = |package: String| Change {
                before: before.get(&package).cloned(),
                now: after.get(&package).cloned(),
                package,
            };
            let changes = added.into_iter().chain(changed).chain(removed).map(change).collect();
            Lock { file, packages: after.len(), changes }
        };
        Self { locks: locks.map(lock).collect() }
    }
}

impl Output for Locks {
    fn text(&self) -> String {
        let mut text = String::new();
        for Lock { file, packages, changes } in &self.locks {
            let changed =
                if changes.is_empty() { "unchanged".to_owned() } else { count(changes.len(), "change") };
            let _ = writeln!(text, "{file}: {}, {changed}", count(*packages, "package"));
            for Change { package, before, now } in changes {
                let _ = match (before, now) {
                    (None, Some(now)) => writeln!(text, "  + {package} {now}"),
                    (Some(before), Some(now)) => writeln!(text, "  ~ {package} {before} → {now}"),
                    (before, _) => writeln!(text, "  - {package} {}", before.as_deref().unwrap_or_default()),
                };
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_told_by_package() {
        let versions = |pairs: &[(&str, &str)]| -> Versions {
            pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
        };
        let first = (
            "airflow/requirements.lock".to_owned(),
            versions(&[("a", "1"), ("b", "1"), ("c", "1")]),
            versions(&[("a", "1"), ("b", "2"), ("d", "1")]),
        );
        let second = ("airflow/image.lock".to_owned(), versions(&[("e", "1")]), versions(&[("e", "1")]));
        let text = Locks::new([first, second].into_iter()).text();
        insta::assert_snapshot!(text, @r"
        airflow/requirements.lock: 3 packages, 3 changes
          + d 1
          ~ b 1 → 2
          - c 1
        airflow/image.lock: 1 package, unchanged
        ");
    }
}
