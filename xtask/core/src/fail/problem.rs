//! One thing wrong with an input: where, what, and the cure. Collected, never thrown one by one.

use serde::{Deserialize, Serialize};

/// Serialised as in the command-line contract of `plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A short machine word such as `unknown_key` or `import_error`.
    pub kind: String,
    /// File and key, file and line, or the name of the thing.
    #[serde(rename = "where")]
    pub location: String,
    /// The cause, lower case, no full stop.
    pub message: String,
    /// The cure, an imperative.
    pub hint: String,
}

impl Problem {
    pub fn new(
        kind: &str,
        location: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { kind: kind.to_owned(), location: location.into(), message: message.into(), hint: hint.into() }
    }
}

/// Problems with one cause: what is said once, and where it is found.
#[derive(Debug)]
pub struct Group<'a> {
    pub problem: &'a Problem,
    pub locations: Vec<&'a str>,
}

impl Group<'_> {
    /// What a person reads of it; many files can have the same fault.
    #[must_use]
    pub fn text(&self) -> String {
        let (first, more) = self.locations.split_at(self.locations.len().min(LOCATIONS));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        format!("{}{more}: {}", first.join(", "), self.problem.message)
    }
}

/// What fits a screen, and the number of problems beyond that. The most frequent cause comes first, causes
/// that are equally frequent in the order in which they were found.
#[must_use]
pub fn screen<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> (Vec<Group<'a>>, usize) {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for problem in problems {
        let same = |group: &&mut Group<'a>| {
            (&group.problem.message, &group.problem.hint) == (&problem.message, &problem.hint)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.locations.push(&problem.location),
            None => groups.push(Group { problem, locations: vec![&problem.location] }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.locations.len()));
    let beyond = groups.split_off(groups.len().min(CAUSES));
    (groups, beyond.iter().map(|group| group.locations.len()).sum())
}

/// A screen has this many causes, each with this many locations; the JSON form has all of them.
const CAUSES: usize = 10;
const LOCATIONS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: std::ops::Range<usize>, message: &str) -> Vec<Problem> {
        files.map(|file| Problem::new("import_error", format!("dags/{file}.py"), message, "cure")).collect()
    }

    #[test]
    fn problems_with_one_cause_are_told_once_the_most_frequent_first() {
        let problems = [found(0..1, "one"), found(1..6, "many"), found(6..8, "two")].concat();
        let (groups, beyond) = screen(&problems);
        let texts: Vec<String> = groups.iter().map(Group::text).collect();
        assert_eq!(
            texts,
            [
                "dags/1.py, dags/2.py, dags/3.py and 2 more: many",
                "dags/6.py, dags/7.py: two",
                "dags/0.py: one"
            ]
        );
        assert_eq!(beyond, 0);
    }

    #[test]
    fn what_does_not_fit_a_screen_is_counted() {
        let mut problems: Vec<Problem> =
            (0..CAUSES + 2).flat_map(|cause| found(0..1, &cause.to_string())).collect();
        problems.extend(found(1..2, "0"));
        let (groups, beyond) = screen(&problems);
        assert_eq!((groups.len(), beyond), (CAUSES, 2));
        assert_eq!(groups[0].problem.message, "0");
    }
}
