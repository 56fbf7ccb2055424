//! Which commit of this project a release is made of, and whether it is made of that alone.

use super::git::short;

/// Part of a release's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub id: String,
    /// Who wrote it, `Ada Lovelace <ada@example.com>`. Records of before have none.
    pub author: Option<String>,
    /// Whether files of the release differed from it.
    pub dirty: bool,
}

/// What records of before have behind the id of a commit.
const SUFFIX: &str = "-dirty";

impl Commit {
    /// As a record has it; earlier ones had the mark in the id.
    #[must_use]
    pub fn recorded(id: &str, author: Option<String>, dirty: bool) -> Self {
        let (id, marked) = id.strip_suffix(SUFFIX).map_or((id, false), |id| (id, true));
        Self { id: id.to_owned(), author, dirty: dirty || marked }
    }

    /// `1a2b3c4 by Ada Lovelace <ada@example.com>, with changes that are in no commit`
    #[must_use]
    pub fn shown(&self) -> String {
        let by = self.author.as_deref().map(|author| format!(" by {author}")).unwrap_or_default();
        let dirty = if self.dirty { ", with changes that are in no commit" } else { "" };
        format!("{}{by}{dirty}", short(&self.id))
    }
}

/// The files of a release as git sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub commit: Commit,
    /// Those that differ from the commit, or that it lacks.
    pub changed: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_earlier_records_is_read() {
        let old = Commit::recorded("1a2b3c4d5e-dirty", None, false);
        assert_eq!(old, Commit { id: "1a2b3c4d5e".to_owned(), author: None, dirty: true });
        assert_eq!(old.shown(), "1a2b3c4, with changes that are in no commit");
        let new = Commit::recorded("1a2b3c4d5e", Some("Ada <a@example.com>".to_owned()), false);
        assert_eq!(new.shown(), "1a2b3c4 by Ada <a@example.com>");
    }
}
