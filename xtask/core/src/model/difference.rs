//! What changes from one set of named values to the next.

use serde::Serialize;
use std::collections::BTreeMap;

/// Names by what happens to them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Difference {
    #[must_use]
    pub fn between<V: PartialEq>(old: &BTreeMap<String, V>, new: &BTreeMap<String, V>) -> Self {
        let names = |wanted: &dyn Fn(&String, &V) -> bool, of: &BTreeMap<String, V>| {
            of.iter().filter(|(name, value)| wanted(name, value)).map(|(name, _)| name.clone()).collect()
        };
        Self {
            added: names(&|name, _| !old.contains_key(name), new),
            changed: names(&|name, value| old.get(name).is_some_and(|was| was != value), new),
            removed: names(&|name, _| !new.contains_key(name), old),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_is_told() {
        let map = |pairs: &[(&str, u8)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let diff = Difference::between(
            &map(&[("same", 1), ("gone", 1), ("other", 1)]),
            &map(&[("same", 1), ("other", 2), ("new", 1)]),
        );
        let one = |name: &str| vec![name.to_owned()];
        assert_eq!(diff, Difference { added: one("new"), changed: one("other"), removed: one("gone") });
    }
}
