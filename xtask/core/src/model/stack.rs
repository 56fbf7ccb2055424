//! A stack as the tool sees it: its state, its events, the end of an operation; no SDK types.

use crate::fail::{Fail, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The resource type of a nested stack, and of the row in which a stack speaks of itself.
pub const STACK_TYPE: &str = "AWS::CloudFormation::Stack";

/// A deployed stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFacts {
    pub name: String,
    pub arn: String,
    pub status: Status,
    pub reason: Option<String>,
    /// The root template as it was sent; none where the service has none (yet).
    pub template: Option<String>,
    pub parameters: BTreeMap<String, String>,
    pub outputs: BTreeMap<String, String>,
    /// Without the service's own `aws:` tags.
    pub tags: BTreeMap<String, String>,
    pub protection: Protection,
    /// Resources in a failed state, nested stacks included; looked up only for the states in which
    /// a decision needs them.
    pub stuck: Vec<Stuck>,
}

impl StackFacts {
    /// An output that this tool relies on.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Fail::failed(format!("the stack `{}` has no output `{name}`", self.name))
                .hint("restore `templates/master.yaml` from git, then deploy again")
        })
    }
}

/// Whether DeleteStack is refused for this stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    On,
    Off,
}

/// A resource that keeps its stack from getting on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Logical ids from the root stack down, joined by `/`.
    pub path: String,
    pub kind: String,
    pub status: String,
    pub reason: Option<String>,
    /// How `ContinueUpdateRollback` wants it named: `LogicalId` in the root stack,
    /// `NameOfTheNestedStack.LogicalId` below it.
    pub skip_name: String,
}

macro_rules! statuses {
    ($($variant:ident $word:literal,)*) => {
        /// Every state of a stack, from the API reference of `Stack`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Status { $($variant,)* }

        impl Status {
            pub const ALL: &[Status] = &[$(Status::$variant,)*];

            /// The service's own word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Status::$variant => $word,)* }
            }
        }
    };
}

statuses! {
    CreateInProgress "CREATE_IN_PROGRESS",
    CreateFailed "CREATE_FAILED",
    CreateComplete "CREATE_COMPLETE",
    RollbackInProgress "ROLLBACK_IN_PROGRESS",
    RollbackFailed "ROLLBACK_FAILED",
    RollbackComplete "ROLLBACK_COMPLETE",
    DeleteInProgress "DELETE_IN_PROGRESS",
    DeleteFailed "DELETE_FAILED",
    DeleteComplete "DELETE_COMPLETE",
    UpdateInProgress "UPDATE_IN_PROGRESS",
    UpdateCompleteCleanupInProgress "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    UpdateComplete "UPDATE_COMPLETE",
    UpdateFailed "UPDATE_FAILED",
    UpdateRollbackInProgress "UPDATE_ROLLBACK_IN_PROGRESS",
    UpdateRollbackFailed "UPDATE_ROLLBACK_FAILED",
    UpdateRollbackCompleteCleanupInProgress "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    UpdateRollbackComplete "UPDATE_ROLLBACK_COMPLETE",
    ReviewInProgress "REVIEW_IN_PROGRESS",
    ImportInProgress "IMPORT_IN_PROGRESS",
    ImportComplete "IMPORT_COMPLETE",
    ImportRollbackInProgress "IMPORT_ROLLBACK_IN_PROGRESS",
    ImportRollbackFailed "IMPORT_ROLLBACK_FAILED",
    ImportRollbackComplete "IMPORT_ROLLBACK_COMPLETE",
}

impl Status {
    /// Something still moves. A stack under review waits for a change set and counts as moving.
    #[must_use]
    pub fn in_progress(self) -> bool {
        self.word().ends_with("_IN_PROGRESS")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A state that this tool does not know.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownStatus(pub String);

impl fmt::Display for UnknownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown stack status `{}`", self.0)
    }
}

impl std::error::Error for UnknownStatus {}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> std::result::Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|status| status.word() == word);
        found.copied().ok_or_else(|| UnknownStatus(word.to_owned()))
    }
}

/// Milliseconds since 1970 by the service's clock; never compared with the clock of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    #[must_use]
    pub fn until(self, later: Moment) -> Duration {
        Duration::from_millis(u64::try_from(later.0 - self.0).unwrap_or(0))
    }
}

/// One line of a stack's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackEvent {
    pub id: String,
    pub at: Moment,
    /// The stack that says it.
    pub stack: String,
    /// Logical ids from the root stack down, joined by `/`; empty for the root stack itself.
    pub path: String,
    /// The service's identifier of the resource; empty before there is one.
    pub physical: String,
    pub kind: String,
    /// The service's own word, for instance `CREATE_FAILED`.
    pub status: String,
    pub reason: Option<String>,
}

impl StackEvent {
    /// The row in which a stack speaks of itself.
    #[must_use]
    pub fn is_own_row(&self) -> bool {
        self.kind == STACK_TYPE && self.physical == self.stack
    }

    #[must_use]
    pub fn failed(&self) -> bool {
        self.status.ends_with("_FAILED")
    }
}

/// What is done to a stack as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// `RollbackStack` or `ContinueUpdateRollback`.
    Rollback,
    /// Somebody else's, of whatever kind.
    Any,
}

/// The end of an operation, and all that was said on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    pub stack: String,
    pub status: Status,
    pub reason: Option<String>,
    /// By time, nested stacks included.
    pub events: Vec<StackEvent>,
    pub took: Duration,
}

impl Followed {
    /// Whether the stack is where the operation was to bring it.
    #[must_use]
    pub fn reached(&self, operation: Operation) -> bool {
        match operation {
            Operation::Create => self.status == Status::CreateComplete,
            Operation::Update => self.status == Status::UpdateComplete,
            Operation::Delete => self.status == Status::DeleteComplete,
            Operation::Rollback => {
                matches!(self.status, Status::UpdateRollbackComplete | Status::RollbackComplete)
            }
            Operation::Any => !self.status.in_progress(),
        }
    }
}

impl Followed {
    /// The resource that took longest from its first event to its last, nested stacks left out.
    #[must_use]
    pub fn slowest(&self) -> Option<(&str, Duration)> {
        let mut spans: BTreeMap<&str, (Moment, Moment)> = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.kind != STACK_TYPE) {
            let span = spans.entry(&event.path).or_insert((event.at, event.at));
            *span = (span.0.min(event.at), span.1.max(event.at));
        }
        let spans = spans.into_iter().map(|(path, (first, last))| (path, first.until(last)));
        spans.max_by_key(|(_, took)| *took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_23_states_and_each_is_found_by_its_word() {
        assert_eq!(Status::ALL.len(), 23);
        for status in Status::ALL {
            assert_eq!(status.word().parse(), Ok(*status));
        }
        assert!("CREATE_MAYBE".parse::<Status>().is_err());
    }

    #[test]
    fn only_words_that_say_so_are_in_progress() {
        assert!(Status::UpdateCompleteCleanupInProgress.in_progress());
        assert!(!Status::UpdateComplete.in_progress());
    }
}
