//! Collects what is wrong with one environment file, so that all of it is told at once.

use crate::fail::Problem;

/// Where in the file: a dotted key and, where it is written there, its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub key: String,
    pub line: Option<usize>,
}

/// Why a value is refused: the cause (lower case, no full stop) and the cure (an imperative).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub hint: String,
}

impl Wrong {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// The problems so far, each with its line to sort by.
#[derive(Debug)]
pub struct Problems {
    file: String,
    found: Vec<(Place, Problem)>,
}

impl Problems {
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    pub fn report(&mut self, kind: &str, place: &Place, wrong: Wrong) {
        let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
        let key = if place.key.is_empty() { String::new() } else { format!(" `{}`", place.key) };
        let whole = format!("{}{line}{key}", self.file);
        self.found.push((place.clone(), Problem::new(kind, whole, wrong.message, wrong.hint)));
    }

    /// A key that must be there. Silent where the key is there but already found wrong.
    pub fn missing(&mut self, key: &str, hint: impl Into<String>) {
        if !self.concerns(key) {
            let place = Place { key: key.to_owned(), line: None };
            self.report("missing_key", &place, Wrong::new("a required key is missing", hint));
        }
    }

    /// Whether something was found wrong with `key`, or with a table it would stand in.
    #[must_use]
    pub fn concerns(&self, key: &str) -> bool {
        let covers =
            |at: &str| key.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.found.iter().any(|(place, _)| !place.key.is_empty() && covers(&place.key))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them: in the order of the file, and what is missing in it last.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|(place, _)| place.line.unwrap_or(usize::MAX));
        self.found.into_iter().map(|(_, problem)| problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_found_wrong_is_not_also_missing() {
        let mut problems = Problems::new("f.toml");
        let place = Place { key: "aws".to_owned(), line: Some(3) };
        problems.report("wrong_type", &place, Wrong::new("is a string", "make it a table"));
        problems.missing("aws.account", "add it");
        problems.missing("awsome", "add it");
        let places: Vec<String> = problems.into_vec().into_iter().map(|p| p.location).collect();
        assert_eq!(places, ["f.toml:3 `aws`", "f.toml `awsome`"]);
    }
}
