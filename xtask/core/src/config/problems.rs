//! Collects everything that is wrong with one environment file, so that all of it can be reported at once.

use crate::fail::Problem;

/// A position in the file. A key that is not written there has no line; a syntax error has a line and no key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// Dotted, such as `hosts.scheduler.count`.
    pub key: String,
    pub line: Option<usize>,
}

impl Location {
    /// A key that is not in the file.
    #[must_use]
    pub fn missing(key: &str) -> Self {
        Self { key: key.to_owned(), line: None }
    }
}

/// Why a value is refused: the cause (lower case, no full stop) and the cure (an imperative).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub message: String,
    pub hint: String,
}

impl Refusal {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Proof that a problem has been reported, which only [`Problems::report`] and [`Problems::missing`]
/// give: an `Err(Reported)` never leaves the user without an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported(());

/// The problems found so far.
#[derive(Debug)]
pub struct Problems {
    file: String,
    found: Vec<(Location, Problem)>,
}

impl Problems {
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    pub fn report(&mut self, kind: &str, location: &Location, refusal: Refusal) -> Reported {
        let line = location.line.map(|line| format!(":{line}")).unwrap_or_default();
        let key = if location.key.is_empty() { String::new() } else { format!(" `{}`", location.key) };
        let full = format!("{}{line}{key}", self.file);
        self.found.push((location.clone(), Problem::new(kind, full, refusal.message, refusal.hint)));
        Reported(())
    }

    /// The file that explains the keys of the one that is read.
    #[must_use]
    pub fn guide(&self) -> &'static str {
        if self.file.starts_with("environments/") { "environments/dev.toml" } else { "README.md" }
    }

    /// Reports a required key as missing, unless a problem with it or its table has been reported already.
    pub fn missing(&mut self, key: &str, hint: impl Into<String>) -> Reported {
        if !self.concerns(key) {
            let refusal = Refusal::new("required key is missing", hint);
            self.report("missing_key", &Location::missing(key), refusal);
        }
        Reported(())
    }

    /// Whether a problem has been reported with `key` or with a table that contains it.
    fn concerns(&self, key: &str) -> bool {
        let covers =
            |at: &str| key.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.found.iter().any(|(location, _)| !location.key.is_empty() && covers(&location.key))
    }

    /// The value if nothing at all is wrong; otherwise every problem in the order of the file, those
    /// without a line last.
    ///
    /// # Errors
    /// Every problem reported so far.
    pub fn finish<T>(mut self, value: Result<T, Reported>) -> Result<T, Vec<Problem>> {
        match value {
            Ok(value) if self.found.is_empty() => Ok(value),
            _ => {
                self.found.sort_by_key(|(location, _)| location.line.unwrap_or(usize::MAX));
                Err(self.found.into_iter().map(|(_, problem)| problem).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_found_wrong_is_not_also_missing() {
        let mut problems = Problems::new("f.toml");
        let location = Location { key: "aws".to_owned(), line: Some(3) };
        problems.report("wrong_type", &location, Refusal::new("is a string", "make it a table"));
        problems.missing("aws.account", "add it");
        problems.missing("awsome", "add it");
        let found = problems.finish(Ok(())).unwrap_err();
        let locations: Vec<String> = found.into_iter().map(|problem| problem.location).collect();
        assert_eq!(locations, ["f.toml:3 `aws`", "f.toml `awsome`"]);
    }

    #[test]
    fn without_a_problem_the_value_comes_back() {
        assert_eq!(Problems::new("f.toml").finish(Ok(7)), Ok(7));
    }
}
