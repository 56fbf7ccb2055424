//! The one error type: what went wrong, why, and how to cure it. It decides the exit code.
//!
//! `message` is lower case without a full stop, values in backticks; every hint is an imperative
//! with a runnable command where there is one.

mod problem;

pub use problem::{Group, Problem, screen};
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

pub type Result<T, E = Fail> = std::result::Result<T, E>;

/// The kinds of failure and, by [`Kind::code`], the exit codes of the command-line contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The work failed; nothing is half-done.
    Failed,
    /// The command line, a file, the machine or a gate stands in the way; nothing was touched.
    Usage,
    /// `plan --check` found changes.
    Changes,
    /// A gate failed and the previous release is back.
    RolledBack,
    /// A gate failed and so did the rollback.
    RollbackFailed,
    /// Another deployment holds the lease.
    Locked,
    /// A bug in this tool.
    Bug,
    /// Ctrl-C.
    Interrupted,
    /// A command that was run for somebody ended with this code, and has said why.
    Command(u8),
}

impl Kind {
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Changes => 3,
            Kind::RolledBack => 4,
            Kind::RollbackFailed => 5,
            Kind::Locked => 6,
            Kind::Bug => 70,
            Kind::Interrupted => 130,
            Kind::Command(code) => code,
        }
    }

    /// The word in the JSON form.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::Changes => "changes",
            Kind::RolledBack => "rolled_back",
            Kind::RollbackFailed => "rollback_failed",
            Kind::Locked => "locked",
            Kind::Bug => "bug",
            Kind::Interrupted => "interrupted",
            Kind::Command(_) => "command",
        }
    }
}

/// An error with its chain of causes, hints, and the problems of the input that it stands for, if any.
#[derive(Debug)]
pub struct Fail {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    causes: Vec<Cause>,
    hints: Vec<String>,
    /// A cure for want of a better one.
    last_resort: Option<String>,
    problems: Vec<Problem>,
}

/// One link of the chain: words of ours, or the error of a library with its own sources.
#[derive(Debug)]
enum Cause {
    Words(String),
    Error(Box<dyn Error + Send + Sync>),
}

impl Fail {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            last_resort: None,
            problems: Vec::new(),
        };
        Self { inner: Box::new(inner) }
    }

    /// The work failed (exit 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// Bad usage or configuration (exit 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A bug here (exit 70).
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Kind::Bug, message)
    }

    /// All problems of one input, reported together (exit 2).
    #[must_use]
    pub fn problems(message: impl Into<String>, problems: Vec<Problem>) -> Self {
        let mut fail = Self::usage(message);
        fail.inner.problems = problems;
        fail
    }

    /// The problems that this failure stands for; or itself, if something else went wrong.
    pub fn into_problems(self) -> Result<Vec<Problem>> {
        if self.inner.problems.is_empty() { Err(self) } else { Ok(self.inner.problems) }
    }

    /// The same with itself as a problem of this place, if something else went wrong.
    #[must_use]
    pub fn as_problems(self, location: &str) -> Vec<Problem> {
        self.into_problems().unwrap_or_else(|fail| {
            let causes: String = fail.causes().iter().map(|cause| format!(": {cause}")).collect();
            let message = format!("{}{causes}", fail.message());
            vec![Problem::new("failed", location, message, fail.hints().join("; "))]
        })
    }

    /// Rewrites the locations of its problems.
    #[must_use]
    pub fn at(mut self, locate: impl Fn(&str) -> String) -> Self {
        for problem in &mut self.inner.problems {
            problem.location = locate(&problem.location);
        }
        self
    }

    /// Adds the error underneath, which keeps its own sources.
    #[must_use]
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.inner.causes.push(Cause::Error(Box::new(cause)));
        self
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.inner.causes.push(Cause::Words(cause.into()));
        self
    }

    /// Adds a cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hints.push(hint.into());
        self
    }

    /// A cure that is told if nobody knows a better one.
    #[must_use]
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.last_resort = Some(hint.into());
        self
    }

    /// Adds problems found elsewhere, so that nobody cures one only to be shown the next.
    #[must_use]
    pub fn and(mut self, problems: Vec<Problem>) -> Self {
        if !problems.is_empty() {
            let number = problems.len();
            let noun = if number == 1 { "problem" } else { "problems" };
            self.inner.message += &format!("; and {number} {noun} elsewhere");
            self.inner.problems.extend(problems);
        }
        self
    }

    /// The same error under another kind: what failed inside a rollout is still what failed.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.inner.kind = kind;
        self
    }

    /// Says what was being done; the old message becomes the first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.inner.message, message.into());
        self.inner.causes.insert(0, Cause::Words(inner));
        self
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The chain in words, each cause once.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for cause in &self.inner.causes {
            match cause {
                Cause::Words(text) => words.push(text.clone()),
                Cause::Error(error) => words.extend(sources(error.as_ref()).map(ToString::to_string)),
            }
        }
        words.dedup();
        words
    }

    /// The error of this type underneath, if there is one.
    #[must_use]
    pub fn underlying<E: Error + 'static>(&self) -> Option<&E> {
        self.inner.causes.iter().find_map(|cause| match cause {
            Cause::Words(_) => None,
            Cause::Error(error) => sources(error.as_ref()).find_map(|error| error.downcast_ref::<E>()),
        })
    }

    #[must_use]
    pub fn hints(&self) -> &[String] {
        if self.inner.hints.is_empty() { self.inner.last_resort.as_slice() } else { &self.inner.hints }
    }

    #[must_use]
    pub fn all_problems(&self) -> &[Problem] {
        &self.inner.problems
    }

    #[must_use]
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.inner.kind.code())
    }
}

/// An error and everything below it.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        for cause in self.causes() {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

/// Says what was being done when an error of a library came up.
pub trait Context<T> {
    /// The error becomes a failure of the work (exit 1).
    fn failed(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Error + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn failed(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Fail::failed(message()).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let kinds = [
            (Kind::Failed, 1),
            (Kind::Usage, 2),
            (Kind::Changes, 3),
            (Kind::RolledBack, 4),
            (Kind::RollbackFailed, 5),
            (Kind::Locked, 6),
            (Kind::Bug, 70),
            (Kind::Interrupted, 130),
        ];
        for (kind, code) in kinds {
            assert_eq!(kind.code(), code, "{kind:?}");
        }
    }

    #[test]
    fn errors_underneath_keep_their_type_and_their_sources() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let inner = "x".parse::<i32>().unwrap_err();
        let fail = Fail::failed("top").because(Outer(inner.clone())).cause("words");
        assert_eq!(fail.causes(), ["outer".to_owned(), inner.to_string(), "words".to_owned()]);
        let fail = fail.context("whatever was being done");
        assert!(fail.underlying::<Outer>().is_some() && fail.underlying::<fmt::Error>().is_none());
    }

    #[test]
    fn only_a_failure_with_problems_stands_for_them() {
        let problem = Problem::new("k", "l", "m", "h");
        assert_eq!(Fail::problems("p", vec![problem.clone()]).into_problems().unwrap(), [problem]);
        assert_eq!(Fail::failed("f").into_problems().unwrap_err().message(), "f");
    }

    #[test]
    fn context_keeps_the_old_message_as_first_cause() {
        let fail = Fail::failed("inner").cause("deeper").context("outer");
        assert_eq!(fail.to_string(), "outer: inner: deeper");
    }
}
