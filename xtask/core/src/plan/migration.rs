//! What a deployment does to the schema of the database: whether a migration is in it, which way, and what saves the
//! data before.

use super::deployment::{Facts, Step};
use crate::model::release::{Release, Runtime, StackSpec};
use crate::model::schema::{Direction, Migration, Schema};

/// A migration with everything that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    pub release: String,
    pub to: Schema,
    /// The code that migrates, and for a downgrade what comes back afterwards.
    pub runtime: Runtime,
    /// Whether Airflow's own host or task dumps the database first, since RDS cannot.
    pub dumps: bool,
}

/// What a database was saved as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// A snapshot of RDS, by its name.
    Snapshot(String),
    /// A dump in the artifact bucket, by its key.
    Dump(String),
}

impl Saved {
    #[must_use]
    pub fn name(&self) -> &str {
        let (Saved::Snapshot(name) | Saved::Dump(name)) = self;
        name
    }

    /// How the database comes back, in the words to type. Nothing does it by itself: what was written since is lost.
    #[must_use]
    pub fn restore(&self, environment: &str) -> String {
        match self {
            Saved::Snapshot(name) => format!(
                "or restore the database, which loses what was written since: set `snapshot = \"{name}\"` under \
                 `[database]` in environments/{environment}.toml of the earlier commit, then: cargo xtask deploy --env \
                 {environment}"
            ),
            Saved::Dump(key) => format!(
                "or restore the database, which loses what was written since: cargo xtask run --env {environment} -- \
                 python -m ductwork_airflow.release.dump restore {key}"
            ),
        }
    }
}

/// None if the environment has no database yet, and if the code that uses it stays.
#[must_use]
pub(super) fn of(release: &Release, facts: &Facts) -> Option<Migration> {
    facts.previous.as_ref()?;
    let running = &facts.running;
    let other = running.runtime != Some(release.runtime);
    let Some(to) = &release.schema else {
        let from = running.begun.as_ref().or(running.schema.as_ref())?;
        return other.then(|| Migration::unrecorded(from));
    };
    // An interrupted deployment may have migrated the database beyond this release.
    let begun = running.begun.as_ref().and_then(|begun| Migration::between(Some(begun), to));
    if let Some(back) = begun.filter(|it| matches!(it.direction, Direction::Down | Direction::Apart)) {
        return Some(back);
    }
    let migration = Migration::between(running.schema.as_ref(), to)?;
    let known = running.schema.is_some();
    (known || other).then_some(migration)
}

/// The steps of a migration by where they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// While the code that runs is still the newer one.
    pub first: Vec<Step>,
    /// Once the stack is that of the release.
    pub after_stack: Vec<Step>,
}

/// What saves the data is made once: a failed deployment goes back without another one.
pub(super) fn steps(migration: Option<&Migration>, release: &Release, facts: &Facts) -> Steps {
    let (Some(migration), Some(to)) = (migration, &release.schema) else { return Steps::default() };
    let goes_back = facts.previous.as_ref().is_some_and(|previous| previous.id() == release.id());
    // The database that is there: the stack of the release may be about to change it.
    let engine = snapshotted(facts.running.stack.as_ref().unwrap_or(&release.stack));
    let id = release.id().to_owned();
    let moving = Moving {
        release: id.clone(),
        to: to.clone(),
        runtime: release.runtime,
        dumps: engine.is_none() && !goes_back,
    };
    let snapshot =
        engine.filter(|_| !goes_back).map(|engine| Step::Snapshot { engine: engine.to_owned(), release: id });
    let moving = Box::new(moving);
    match migration.direction {
        Direction::Down => Steps {
            first: snapshot.into_iter().chain([Step::Downgrade(moving)]).collect(),
            ..Steps::default()
        },
        Direction::Up | Direction::Unknown => Steps {
            after_stack: snapshot.into_iter().chain([Step::Migration(moving)]).collect(),
            ..Steps::default()
        },
        // A gate refuses it.
        Direction::Apart | Direction::Unrecorded => Steps::default(),
    }
}

/// The engine of a database that RDS makes snapshots of. On a local cloud, a snapshot would hold nothing.
fn snapshotted(stack: &StackSpec) -> Option<&str> {
    let value = |name: &str| stack.parameters.get(name).map(String::as_str);
    value("DatabaseEngine").filter(|engine| *engine != "existing" && value("Local") != Some("true"))
}

#[cfg(test)]
#[path = "migration_tests.rs"]
mod tests;
