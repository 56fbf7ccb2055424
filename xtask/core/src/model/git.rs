//! Which commit of a git repository the DAGs of a release are of.

use serde::{Deserialize, Serialize};

/// Part of a release's record: what was asked for, and what it was when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSource {
    pub url: String,
    #[serde(rename = "ref")]
    pub reference: String,
    pub path: String,
    pub commit: String,
}

impl GitSource {
    /// The commit as people read it.
    #[must_use]
    pub fn short(&self) -> &str {
        short(&self.commit)
    }

    /// `main at 1a2b3c4`; of a commit that was named by its id, the id alone.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.reference == self.commit {
            self.short().to_owned()
        } else {
            format!("{} at {}", self.reference, self.short())
        }
    }

    /// A file of the bundle, as git names a file of a commit: `git show 1a2b3c4:dags/a.py`.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        let folder = if self.path == "." { String::new() } else { format!("{}/", self.path) };
        format!("{}:{folder}{name}", self.short())
    }
}

/// The first digits of a commit's id, as many as git shows.
#[must_use]
pub fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// Whether this is the whole id of a commit: a SHA-1, or a SHA-256 in repositories of that format.
#[must_use]
pub fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_git_names_them() {
        let source = |path: &str, reference: &str| GitSource {
            url: "u".to_owned(),
            reference: reference.to_owned(),
            path: path.to_owned(),
            commit: "1a2b3c4d".to_owned(),
        };
        assert_eq!(source("dags", "main").file("a.py:3"), "1a2b3c4:dags/a.py:3");
        assert_eq!(source(".", "main").file("a.py"), "1a2b3c4:a.py");
        assert_eq!(source(".", "main").shown(), "main at 1a2b3c4");
        assert_eq!(source(".", "1a2b3c4d").shown(), "1a2b3c4");
    }
}
