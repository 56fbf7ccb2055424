//! The database schema of an Airflow: its version, and the migrations that lead to it.

use super::text::count;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// As the locked packages have it; no database is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The version of Airflow.
    pub airflow: String,
    /// Alembic's revisions by the table that the database keeps its own in, each after those that it follows: of
    /// Airflow itself, and of the FAB provider, which keeps the users.
    pub revisions: BTreeMap<String, Vec<String>>,
}

impl Schema {
    /// The last revision of each table.
    #[must_use]
    pub fn heads(&self) -> BTreeMap<String, String> {
        let last = |revisions: &Vec<String>| revisions.last().cloned();
        self.revisions.iter().filter_map(|(table, all)| Some((table.clone(), last(all)?))).collect()
    }

    /// How many of these revisions a database lacks that is at `heads`; none if it is somewhere else.
    fn beyond(&self, heads: &BTreeMap<String, String>) -> Option<usize> {
        let of = |(table, all): (&String, &Vec<String>)| match heads.get(table) {
            Some(head) => all.iter().position(|one| one == head).map(|at| all.len() - at - 1),
            None => Some(all.len()),
        };
        let known = heads.keys().all(|table| self.revisions.contains_key(table));
        if known { self.revisions.iter().map(of).sum() } else { None }
    }
}

/// What has to happen to a database between two releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Migration {
    /// The versions of Airflow; the first is unknown of releases that were recorded before there was such a fact.
    pub from: Option<String>,
    pub to: String,
    pub direction: Direction,
    /// How many migrations run; none if nobody can tell.
    pub revisions: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Up,
    /// Airflow undoes its migrations: only the newer version can.
    Down,
    /// Where the database is, no record tells: at worst nothing is left to do.
    Unknown,
    /// Neither version knows the other's revisions.
    Apart,
    /// The release was recorded before there was such a fact: nobody can tell whether anything has to be undone.
    Unrecorded,
}

/// Which way a migration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Up,
    Down,
}

/// What hosts and tasks are told of a migration; see `ductwork_airflow/release/told.py`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub direction: Way,
    pub heads: BTreeMap<String, String>,
    /// Where the database is saved first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<String>,
    /// All revisions, for whoever finds the migration interrupted; notes of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
}

impl Told {
    /// The schema that a migration had begun to bring the database to.
    #[must_use]
    pub fn begun(self) -> Option<Schema> {
        self.schema.filter(|_| self.direction == Way::Up)
    }
}

impl Migration {
    /// From this schema to a release that nobody knows the schema of.
    #[must_use]
    pub fn unrecorded(from: &Schema) -> Self {
        let (from, to) = (Some(from.airflow.clone()), "unknown".to_owned());
        Self { from, to, direction: Direction::Unrecorded, revisions: None }
    }

    /// None if both have the same heads.
    #[must_use]
    pub fn between(from: Option<&Schema>, to: &Schema) -> Option<Self> {
        let told = |direction, revisions| {
            let from = from.map(|from| from.airflow.clone());
            Some(Self { from, to: to.airflow.clone(), direction, revisions })
        };
        let Some(from) = from else { return told(Direction::Unknown, None) };
        if from.heads() == to.heads() {
            return None;
        }
        match (to.beyond(&from.heads()), from.beyond(&to.heads())) {
            (Some(up), _) => told(Direction::Up, Some(up)),
            (None, Some(down)) => told(Direction::Down, Some(down)),
            (None, None) => told(Direction::Apart, None),
        }
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.as_deref().unwrap_or("unknown");
        let to = &self.to;
        match (self.direction, self.revisions) {
            (Direction::Down, Some(down)) => {
                write!(f, "migrates the database back: {from} → {to}, {}", count(down, "revision"))
            }
            (Direction::Apart, _) => {
                write!(f, "cannot migrate the database: {from} → {to} have no revision in common")
            }
            (Direction::Unrecorded, _) => {
                write!(f, "may have to migrate the database back: {from} → {to}, revisions unknown")
            }
            (_, Some(up)) => write!(f, "migrates the database: {from} → {to}, {}", count(up, "revision")),
            (_, None) => write!(f, "may migrate the database: {from} → {to}, revisions unknown"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Airflow with these revisions, a letter each, and one of FAB.
    pub(crate) fn schema(airflow: &str, revisions: &str) -> Schema {
        let all = |text: &str| text.chars().map(String::from).collect();
        let revisions = [("alembic_version", revisions), ("alembic_version_fab", "f")];
        let revisions = revisions.map(|(table, text)| (table.to_owned(), all(text)));
        Schema { airflow: airflow.to_owned(), revisions: revisions.into() }
    }

    #[test]
    fn two_releases_tell_which_migrations_run() {
        let told = |from: &str, to: &str| {
            let migration = Migration::between(Some(&schema("3.2.1", from)), &schema("3.3.2", to));
            migration.map(|migration| migration.to_string())
        };
        assert_eq!(told("abc", "abc"), None);
        assert_eq!(told("xc", "abc"), None, "the same head: the older ones were made into one");
        assert_eq!(told("ab", "abcd").unwrap(), "migrates the database: 3.2.1 → 3.3.2, 2 revisions");
        assert_eq!(told("abc", "ab").unwrap(), "migrates the database back: 3.2.1 → 3.3.2, 1 revision");
        let apart = "cannot migrate the database: 3.2.1 → 3.3.2 have no revision in common";
        assert_eq!(told("abx", "aby").unwrap(), apart);
        let unknown = Migration::between(None, &schema("3.3.2", "ab")).unwrap();
        assert_eq!(unknown.to_string(), "may migrate the database: unknown → 3.3.2, revisions unknown");
    }

    #[test]
    fn a_provider_that_is_new_counts_with_all_its_migrations() {
        let (old, mut new) = (schema("3.2.1", "ab"), schema("3.2.1", "ab"));
        new.revisions.insert("alembic_version_more".to_owned(), vec!["m".to_owned(), "n".to_owned()]);
        let up = Migration::between(Some(&old), &new).unwrap();
        assert_eq!((up.direction, up.revisions), (Direction::Up, Some(2)));
        let gone = Migration::between(Some(&new), &old).unwrap();
        assert_eq!(gone.direction, Direction::Down);
    }
}
