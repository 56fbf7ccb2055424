//! Which changes nobody makes without having been asked.

use crate::model::change::{Change, ChangeAction, Fate, Replacement, flatten};
use std::collections::BTreeMap;

/// Whether the environment file asks for a confirmation of every change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Open,
    Protected,
}

/// Its replacement is another revision beside it, and nothing stops: services are moved by the rollout.
const REVISED: &str = "AWS::ECS::TaskDefinition";

/// Why somebody must agree to these changes, one reason each; nothing where nobody needs to. A replacement counts
/// if it is known: where values are not, CloudFormation announces many that never happen.
#[must_use]
pub fn needs_consent(changes: &[Change], guard: Guard) -> Vec<String> {
    let guarded = (guard == Guard::Protected).then(|| "the environment is protected".to_owned());
    let risky = flatten(changes).into_iter().filter_map(|change| {
        let what = match (change.action, change.replacement) {
            (ChangeAction::Modify, _) if change.kind == REVISED => return None,
            (ChangeAction::Remove, _) => "removes",
            (_, Replacement::Always) => "replaces",
            (_, Replacement::Maybe) => "may replace",
            (_, Replacement::Never | Replacement::Unknown) => return None,
        };
        Some(format!("{what} {} ({}){}", change.path, change.kind, fate(change)))
    });
    guarded.into_iter().chain(risky).collect()
}

/// Why somebody must agree to these parameters, whatever a change set shows.
#[must_use]
pub fn for_parameters(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    [moves(before, after), another_broker(before, after)].into_iter().flatten().collect()
}

/// Another VPC replaces nearly everything, but a change set cannot know it: children of the stack get the subnets from one
/// another.
fn moves(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Option<String> {
    let vpc = |parameters: &BTreeMap<String, String>| match parameters.get("ExistingVpcId") {
        Some(id) if !id.is_empty() => id.clone(),
        _ => "a VPC of its own".to_owned(),
    };
    let (old, new) = (vpc(before), vpc(after));
    let moved = !before.is_empty() && old != new;
    moved.then(|| format!("moves from {old} to {new}: the database and all hosts are replaced"))
}

/// Of another broker: CloudFormation deletes the old one before schedulers and workers know the new one, and what it
/// removes does not say what becomes of tasks.
fn another_broker(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Option<String> {
    let (old, new) = (before.get("BrokerKind")?, after.get("BrokerKind")?);
    (old != new).then(|| {
        format!(
            "replaces the broker {old} by {new}: the old one goes some minutes before schedulers and workers use the \
             new one; until then no task begins, one that is queued comes later or fails, those that run go on"
        )
    })
}

fn fate(change: &Change) -> &'static str {
    match change.fate {
        Fate::Deleted => "",
        Fate::Retained => ", the old one stays in the account",
        Fate::Snapshot => ", a snapshot stays",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::Evidence;

    fn change(path: &str, action: ChangeAction, replacement: Replacement, fate: Fate) -> Change {
        let kind = "AWS::SQS::Queue".to_owned();
        Change {
            path: path.to_owned(),
            kind,
            action,
            replacement,
            fate,
            reasons: Vec::new(),
            evidence: Evidence::Known,
            nested: Vec::new(),
        }
    }

    #[test]
    fn additions_and_changes_in_place_ask_nobody_but_in_a_protected_environment() {
        let changes = [
            change("A", ChangeAction::Add, Replacement::Never, Fate::Deleted),
            change("B", ChangeAction::Modify, Replacement::Never, Fate::Deleted),
        ];
        assert!(needs_consent(&changes, Guard::Open).is_empty());
        assert_eq!(needs_consent(&changes, Guard::Protected), ["the environment is protected"]);
    }

    #[test]
    fn another_revision_of_a_task_definition_asks_nobody() {
        let mut task = change("T", ChangeAction::Modify, Replacement::Always, Fate::Retained);
        assert_eq!(needs_consent(&[task.clone()], Guard::Open).len(), 1, "a queue");
        task.kind = "AWS::ECS::TaskDefinition".to_owned();
        assert!(needs_consent(&[task.clone()], Guard::Open).is_empty());
        task.action = ChangeAction::Remove;
        assert_eq!(needs_consent(&[task], Guard::Open).len(), 1, "a service that goes");
    }

    #[test]
    fn another_vpc_asks_although_no_change_set_says_what_it_replaces() {
        let of = |id: &str| BTreeMap::from([("ExistingVpcId".to_owned(), id.to_owned())]);
        assert_eq!(moves(&of("vpc-1"), &of("vpc-1")), None);
        assert_eq!(moves(&BTreeMap::new(), &of("vpc-1")), None, "a stack without parameters");
        let told = moves(&of("vpc-1"), &of("vpc-2")).unwrap();
        assert_eq!(told, "moves from vpc-1 to vpc-2: the database and all hosts are replaced");
        assert!(moves(&of(""), &of("vpc-2")).unwrap().starts_with("moves from a VPC of its own to vpc-2"));
    }

    #[test]
    fn another_broker_asks_and_says_what_becomes_of_tasks() {
        let of = |kind: &str| BTreeMap::from([("BrokerKind".to_owned(), kind.to_owned())]);
        assert_eq!(another_broker(&of("sqs"), &of("sqs")), None);
        assert_eq!(another_broker(&BTreeMap::new(), &of("sqs")), None, "there was none");
        let told = for_parameters(&of("valkey-service"), &of("sqs")).concat();
        assert!(
            told.starts_with("replaces the broker valkey-service by sqs: the old one goes some minutes"),
            "{told}"
        );
    }

    #[test]
    fn removals_and_replacements_ask_at_any_depth() {
        let mut parent = change("P", ChangeAction::Modify, Replacement::Never, Fate::Deleted);
        parent.nested = vec![
            change("P/A", ChangeAction::Remove, Replacement::Never, Fate::Retained),
            change("P/B", ChangeAction::Modify, Replacement::Always, Fate::Snapshot),
            change("P/C", ChangeAction::Modify, Replacement::Maybe, Fate::Deleted),
            change("P/D", ChangeAction::Modify, Replacement::Unknown, Fate::Deleted),
        ];
        insta::assert_snapshot!(needs_consent(&[parent], Guard::Open).join("\n"), @"
        removes P/A (AWS::SQS::Queue), the old one stays in the account
        replaces P/B (AWS::SQS::Queue), a snapshot stays
        may replace P/C (AWS::SQS::Queue)
        ");
    }
}
