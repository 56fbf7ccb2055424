//! Gate: nothing is replaced that a protected environment keeps from being deleted.
//!
//! CloudFormation makes the new database first and then cannot delete the old one: the update is called
//! complete, and the old one stays, outside the stack and paid for. Giving protection up in the same
//! update comes too late, since nothing says that it would be done before.

use super::{Facts, Verdict};
use crate::fail::Problem;
use std::collections::BTreeMap;

/// Parameters whose change replaces the database or the load balancer, and the keys they come from.
const REPLACING: [(&str, &str); 5] = [
    ("DatabaseEngine", "database.engine"),
    ("DatabaseSnapshot", "database.snapshot"),
    ("EntryScheme", "entry.load_balancer"),
    ("ExistingVpcId", "network.vpc_id"),
    ("VpcCidr", "network.vpc_cidr"),
];

pub(super) fn judge(facts: &Facts) -> Verdict {
    let problems = refused(&facts.file, &facts.before, &facts.after);
    Verdict::of("this deployment would replace protected resources", problems)
}

/// A problem for each such change from the parameters of the stack `before`; `file` is the environment file.
fn refused(file: &str, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Problem> {
    if before.get("Protected").is_none_or(|protected| protected != "true") {
        return Vec::new();
    }
    let changed = REPLACING.into_iter().filter_map(|(parameter, key)| {
        let (old, new) = (before.get(parameter)?, after.get(parameter)?);
        // Without a balancer there is none to replace.
        (old != new && !(parameter == "EntryScheme" && old == "none")).then(|| {
            let shown = |value: &str| if value.is_empty() { "none".to_owned() } else { format!("`{value}`") };
            let message = format!(
                "changes from {} to {}, which would replace protected resources",
                shown(old),
                shown(new)
            );
            let hint = "deploy with `protected = false` first, then this change, then protect it again";
            Problem::new("protected", format!("{file} `{key}`"), message, hint)
        })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(protected: &str, engine: &str, entry: &str) -> BTreeMap<String, String> {
        [
            ("Protected", protected),
            ("DatabaseEngine", engine),
            ("EntryScheme", entry),
            ("DatabaseMultiAz", engine),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn only_a_protected_stack_refuses_and_only_replacements() {
        let told = |before: &BTreeMap<String, String>, after: &BTreeMap<String, String>| {
            refused("environments/prod.toml", before, after)
                .into_iter()
                .map(|p| p.location)
                .collect::<Vec<_>>()
        };
        let old = parameters("true", "postgres", "none");
        let new = parameters("false", "mysql", "internal");
        assert_eq!(told(&old, &new), ["environments/prod.toml `database.engine`"]);
        assert!(told(&parameters("false", "postgres", "none"), &new).is_empty());
        assert!(
            told(&old, &parameters("true", "postgres", "internal")).is_empty(),
            "a new balancer replaces none"
        );
        let balanced = parameters("true", "postgres", "internal");
        assert_eq!(told(&balanced, &old), ["environments/prod.toml `entry.load_balancer`"]);
        assert!(told(&BTreeMap::new(), &new).is_empty(), "there is no stack yet");
    }
}
