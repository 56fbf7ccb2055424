//! What to do with a stack: from its state and the difference between what is and what should be.
//!
//! Everything is compared before a change set is made: CloudFormation looks at every nested stack on
//! each update, and failed empty change sets pile up until creating one more is refused.

use super::templates::{self, Packaged};
use crate::fail::Problem;
use crate::model::names::RELEASE_TAG;
use crate::model::stack::{Protection, StackFacts, Status, Stuck};
use std::collections::BTreeMap;

/// How the stack should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired<'a> {
    pub template: &'a Packaged,
    /// Those that are not named have their default.
    pub parameters: BTreeMap<String, String>,
    /// A changed stack tag touches every resource that can be tagged: none may change by itself.
    pub tags: BTreeMap<String, String>,
    pub protection: Protection,
}

/// What to do next. After `Wait` and everything that moves the stack, look and decide again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackAction {
    /// The stack is as it should be.
    None,
    /// Make a change set that creates it.
    Create,
    /// Make a change set that updates it.
    Update,
    /// Follow what is under way to its end.
    Wait,
    /// Delete what is left of a stack that never came up, then create it.
    DeleteThenCreate,
    /// `RollbackStack`: back to the last state that worked.
    Rollback,
    /// `ContinueUpdateRollback`; should it get stuck again, once more without these resources.
    ContinueRollback { skip: Vec<Stuck> },
    /// Nothing that this tool may do.
    Refuse,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub action: StackAction,
    /// Why, in a few words for the person who deploys.
    pub reason: String,
    /// What must be agreed to before; none where nobody needs to be asked.
    pub consent: Option<String>,
    /// Termination protection to set once the stack is as it should be; it needs no change set.
    pub protection: Option<Protection>,
}

impl Decision {
    pub(super) fn new(action: StackAction, reason: impl Into<String>) -> Self {
        Self { action, reason: reason.into(), consent: None, protection: None }
    }

    fn with_consent(mut self, consent: impl Into<String>) -> Self {
        self.consent = Some(consent.into());
        self
    }

    /// Whether neither a change set nor any other call is needed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.action == StackAction::None && self.protection.is_none()
    }
}

/// The decision for a stack that exists or not.
///
/// # Errors
/// Parameters that do not fit the template.
pub fn decide(desired: &Desired, facts: Option<&StackFacts>) -> Result<Decision, Vec<Problem>> {
    let parameters = complete(desired)?;
    let Some(facts) = facts else {
        let decision = Decision::new(StackAction::Create, "there is no such stack");
        return Ok(Decision { protection: Some(desired.protection).filter(is_on), ..decision });
    };
    let mut decision = by_status(facts, || differences(desired, &parameters, facts));
    decision.protection = match decision.action {
        StackAction::None | StackAction::Update if desired.protection != facts.protection => {
            Some(desired.protection)
        }
        StackAction::Create | StackAction::DeleteThenCreate => Some(desired.protection).filter(is_on),
        _ => None,
    };
    Ok(decision)
}

fn is_on(protection: &Protection) -> bool {
    *protection == Protection::On
}

/// The parameters with the template's defaults; those that do not fit the template, as problems.
fn complete(desired: &Desired) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let declared = templates::parameters(&desired.template.body);
    let place = format!("templates/{}", desired.template.path);
    let unknown = desired.parameters.keys().filter(|name| !declared.contains_key(*name)).map(|name| {
        let message = format!("there is no parameter `{name}`");
        Problem::new("unknown_parameter", &place, message, "declare it, or do not set it")
    });
    let given = |name: &String| desired.parameters.contains_key(name);
    let missing =
        declared.iter().filter(|(name, default)| default.is_none() && !given(name)).map(|(name, _)| {
            let message = format!("the parameter `{name}` has no default and no value");
            Problem::new("missing_parameter", &place, message, "give it a default, or a value")
        });
    let problems: Vec<Problem> = unknown.chain(missing).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let defaults = declared.into_iter().filter_map(|(name, default)| Some((name, default?)));
    let mut complete: BTreeMap<String, String> = defaults.collect();
    complete.extend(desired.parameters.clone());
    Ok(complete)
}

/// What differs, in words. An SSM parameter is compared by its name, not by the value behind it: a
/// new AMI that AWS publishes comes with the next change of ours, never by surprise.
fn differences(desired: &Desired, parameters: &BTreeMap<String, String>, facts: &StackFacts) -> Vec<String> {
    let mut found = Vec::new();
    let deployed = facts.template.as_deref();
    if !deployed.is_some_and(|deployed| templates::same(deployed, &desired.template.body)) {
        found.push("the templates".to_owned());
    }
    found.extend(different("parameter", parameters, &facts.parameters));
    let lasting = |tags: &BTreeMap<String, String>| {
        let mut tags = tags.clone();
        tags.remove(RELEASE_TAG);
        tags
    };
    found.extend(different("tag", &lasting(&desired.tags), &lasting(&facts.tags)));
    found
}

fn different(what: &str, a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> =
        a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| format!("{what} `{name}`")).collect()
}

/// The table of states. `differences` is only asked for where the stack can be updated.
fn by_status(facts: &StackFacts, differences: impl FnOnce() -> Vec<String>) -> Decision {
    use Status as S;
    match facts.status {
        S::CreateComplete
        | S::UpdateComplete
        | S::UpdateRollbackComplete
        | S::ImportComplete
        | S::ImportRollbackComplete => update(&differences()),
        // A shell: a change set was made for it and not executed. Another can be made right away.
        S::ReviewInProgress => Decision::new(StackAction::Create, "the stack was prepared but never created"),
        S::CreateInProgress
        | S::RollbackInProgress
        | S::DeleteInProgress
        | S::UpdateInProgress
        | S::UpdateCompleteCleanupInProgress
        | S::UpdateRollbackInProgress
        | S::UpdateRollbackCompleteCleanupInProgress
        | S::ImportInProgress
        | S::ImportRollbackInProgress => {
            Decision::new(StackAction::Wait, format!("an operation is in progress: {}", facts.status))
        }
        // The service takes only a delete in these states. In the first nothing is left to lose.
        S::RollbackComplete => delete(facts, "its creation failed and was undone"),
        S::RollbackFailed => {
            with_leftovers(delete(facts, "its creation failed and could not be undone"), facts)
        }
        S::CreateFailed => with_leftovers(delete(facts, "its creation failed"), facts),
        S::DeleteFailed => with_leftovers(delete(facts, "its deletion got stuck"), facts),
        S::DeleteComplete => Decision::new(StackAction::Create, "the stack was deleted"),
        // Only operations with rollback switched off end here: not ours. An update would have to keep
        // it off, so back to the last good state first.
        S::UpdateFailed => {
            Decision::new(StackAction::Rollback, "an update failed with rollback switched off")
                .with_consent("roll the stack back to its last good state, then update it")
        }
        S::UpdateRollbackFailed => continue_rollback(&facts.stuck),
        S::ImportRollbackFailed => {
            Decision::new(StackAction::Refuse, "an import failed and could not be undone")
        }
    }
}

fn update(differences: &[String]) -> Decision {
    match differences {
        [] => Decision::new(StackAction::None, "nothing changed"),
        found => Decision::new(StackAction::Update, format!("changed: {}", found.join(", "))),
    }
}

/// A protected stack is not deleted behind its owner's back, not even an empty one.
fn delete(facts: &StackFacts, reason: &str) -> Decision {
    match facts.protection {
        Protection::Off => Decision::new(StackAction::DeleteThenCreate, reason),
        Protection::On => Decision::new(
            StackAction::Refuse,
            format!("{reason}, and termination protection keeps it from being deleted"),
        ),
    }
}

fn with_leftovers(decision: Decision, facts: &StackFacts) -> Decision {
    if decision.action == StackAction::Refuse {
        return decision;
    }
    let left: Vec<&str> = facts.stuck.iter().map(|stuck| stuck.path.as_str()).collect();
    let what = match left.as_slice() {
        [] => "delete what is left of the stack".to_owned(),
        left => format!("delete what is left of the stack, with {}", left.join(", ")),
    };
    decision.with_consent(format!("{what}, then create it"))
}

/// Only resources that failed to go back may be skipped; CloudFormation then takes them to be as the
/// template says, whatever they are. So it is tried without skipping first.
fn continue_rollback(stuck: &[Stuck]) -> Decision {
    let skip: Vec<Stuck> = stuck.iter().filter(|stuck| stuck.status == "UPDATE_FAILED").cloned().collect();
    let list: Vec<String> = skip
        .iter()
        .map(|stuck| match &stuck.reason {
            Some(reason) => format!("{} ({reason})", stuck.path),
            None => stuck.path.clone(),
        })
        .collect();
    let consent = match list.as_slice() {
        [] => "continue the rollback, then update the stack".to_owned(),
        list => format!(
            "continue the rollback, if need be leaving these as they are: {}; then update the stack",
            list.join(", ")
        ),
    };
    Decision::new(StackAction::ContinueRollback { skip }, "an update failed and could not be undone")
        .with_consent(consent)
}

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
