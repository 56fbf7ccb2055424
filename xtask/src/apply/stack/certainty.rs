//! Which changes of a change set are known, and which only follow from values that the service does not know yet.
//!
//! While a change set is made, a nested stack's parameter that is wired from a sibling which changes has no value.
//! The service compares the old value with a token in its place, so the property seems to change, and the resource
//! to be replaced, even where the value will be the old one. It reports this as a `Static` reference to the
//! parameter, and the parameter's value in the change set is the token.

use crate::model::change::{Evidence, Replacement};
use crate::model::stack::STACK_TYPE;
use aws_sdk_cloudformation::types as sdk;
use std::collections::BTreeSet;

/// What stands for a value that the service does not know.
const TOKENS: [&str; 2] = ["{{IntrinsicFunction:", "{{changeSet:KNOWN_AFTER_APPLY}}"];

/// Whether a text of the service names a value that it does not know.
pub(super) fn has_token(text: &str) -> bool {
    TOKENS.iter().any(|token| text.contains(token))
}

/// The changes of one stack.
pub(super) struct Level {
    resources: Vec<sdk::ResourceChange>,
    /// Parameters without a value.
    tokens: BTreeSet<String>,
    /// Resources that are only replaced if unknown values change.
    doubtful: BTreeSet<String>,
}

impl Level {
    pub fn new(resources: Vec<sdk::ResourceChange>, parameters: &[sdk::Parameter]) -> Self {
        let unknown = parameters.iter().filter(|one| one.parameter_value().is_some_and(has_token));
        let tokens = unknown.filter_map(|one| one.parameter_key().map(str::to_owned)).collect();
        let mut level = Self { resources, tokens, doubtful: BTreeSet::new() };
        level.spread();
        level
    }

    pub fn resources(&self) -> &[sdk::ResourceChange] {
        &self.resources
    }

    /// What refers to a resource whose replacement is in doubt is in doubt as well.
    fn spread(&mut self) {
        loop {
            let doubtful = self.resources.iter().filter(|one| self.replacement(one) == Replacement::Unknown);
            let ids: BTreeSet<String> =
                doubtful.filter_map(|one| one.logical_resource_id().map(str::to_owned)).collect();
            if ids == self.doubtful {
                return;
            }
            self.doubtful = ids;
        }
    }

    /// A nested stack is updated in place whatever changes in it, says the reference of its type; what is
    /// replaced inside is told there.
    pub fn replacement(&self, resource: &sdk::ResourceChange) -> Replacement {
        let told = match resource.replacement() {
            _ if resource.resource_type() == Some(STACK_TYPE) => return Replacement::Never,
            Some(sdk::Replacement::True) => Replacement::Always,
            Some(sdk::Replacement::Conditional) => Replacement::Maybe,
            _ => return Replacement::Never,
        };
        let replacing: Vec<_> = resource.details().iter().filter(|detail| replaces(detail)).collect();
        let known = replacing.iter().filter(|detail| self.is_known(detail));
        match known.filter_map(|detail| detail.target()?.requires_recreation()).max_by_key(|need| rank(need))
        {
            // Another type or a deletion policy needs no detail.
            None if replacing.is_empty() => told,
            None => Replacement::Unknown,
            Some(sdk::RequiresRecreation::Always) => told,
            Some(_) => Replacement::Maybe,
        }
    }

    /// The tags of the stack change with each release, and say nothing about the rest.
    pub fn evidence(&self, resource: &sdk::ResourceChange) -> Evidence {
        let telling = |detail: &&sdk::ResourceChangeDetail| !is_of_tags(detail);
        let mut details = resource.details().iter().filter(telling).peekable();
        if details.peek().is_none() || details.any(|detail| self.is_known(detail)) {
            Evidence::Known
        } else {
            Evidence::Unknown
        }
    }

    fn is_known(&self, detail: &sdk::ResourceChangeDetail) -> bool {
        let cause = detail.causing_entity().unwrap_or_default();
        let unknown = match detail.change_source() {
            Some(sdk::ChangeSource::ParameterReference) => self.tokens.contains(cause),
            Some(sdk::ChangeSource::ResourceReference | sdk::ChangeSource::ResourceAttribute) => {
                self.doubtful.contains(cause.split('.').next().unwrap_or_default())
            }
            _ => false,
        };
        !unknown && detail.evaluation() != Some(&sdk::EvaluationType::Dynamic)
    }
}

fn replaces(detail: &sdk::ResourceChangeDetail) -> bool {
    let need = detail.target().and_then(sdk::ResourceTargetDefinition::requires_recreation);
    need.is_some_and(|need| rank(need) > 0)
}

fn rank(need: &sdk::RequiresRecreation) -> u8 {
    match need {
        sdk::RequiresRecreation::Always => 2,
        sdk::RequiresRecreation::Conditionally => 1,
        _ => 0,
    }
}

fn is_of_tags(detail: &sdk::ResourceChangeDetail) -> bool {
    detail.target().and_then(|target| target.attribute()) == Some(&sdk::ResourceAttribute::Tags)
}

#[cfg(test)]
#[path = "certainty_tests.rs"]
mod tests;
