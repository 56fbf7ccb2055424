//! `airflow/objects.toml`: connections, variables and pools of Airflow, common ones and those of single
//! environments. What an environment says goes before what is common, field by field.

mod check;
mod written;

use super::problems::{Location, Problems, Refusal, Reported};
use super::words::nearest;
use crate::fail::Problem;
use crate::model::objects::{Connection, Objects, Pool, Variable};
use std::collections::BTreeMap;
use written::File;

/// Where the objects are described.
pub const FILE: &str = "airflow/objects.toml";

/// The objects of `environment`, which is one of `known`.
///
/// # Errors
/// Every problem of the file, in the order of its lines, whatever environment it belongs to.
pub fn objects(text: &str, environment: &str, known: &[String]) -> Result<Objects, Vec<Problem>> {
    let mut problems = Problems::new(FILE);
    let written = File::parse(text, &mut problems);
    let objects = written.and_then(|file| complete(&file, environment, known, &mut problems));
    problems.finish(objects)
}

/// Pools as far as they are written.
#[derive(Clone, Debug, Default)]
struct PartOfPool {
    slots: Option<u32>,
    description: Option<String>,
    include_deferred: Option<bool>,
}

/// The checked objects of one part of the file, each with where it is written.
#[derive(Debug, Default)]
struct Checked {
    connections: BTreeMap<String, (Location, Connection)>,
    variables: BTreeMap<String, Variable>,
    pools: BTreeMap<String, (Location, PartOfPool)>,
}

fn complete(
    file: &File,
    environment: &str,
    known: &[String],
    problems: &mut Problems,
) -> Result<Objects, Reported> {
    let common = check::set(&file.common, problems);
    let mut own = Checked::default();
    for (name, set) in &file.environments {
        if !known.contains(&name.value) {
            let hint = match nearest(&name.value, known) {
                Some(near) => format!("rename it to `environments.{near}`, or remove it"),
                None => "remove it, or create the environment file first".to_owned(),
            };
            let message =
                format!("there is no environment `{0}`: no file `environments/{0}.toml`", name.value);
            problems.report("unknown_environment", &name.location, Refusal::new(message, hint));
        }
        let checked = check::set(set, problems);
        if name.value == environment {
            own = checked;
        }
    }
    Ok(merged(common, own, problems))
}

fn merged(common: Checked, own: Checked, problems: &mut Problems) -> Objects {
    let Checked { mut connections, mut variables, mut pools } = common;
    for (id, (location, connection)) in own.connections {
        let (_, before) = connections.remove(&id).unwrap_or_default();
        connections.insert(id, (location, connection.or(before)));
    }
    variables.extend(own.variables);
    for (name, (location, pool)) in own.pools {
        let (_, before) = pools.remove(&name).unwrap_or_default();
        pools.insert(name, (location, pool.or(before)));
    }
    Objects {
        connections: connections.into_iter().map(|(id, one)| (id, typed(one, problems))).collect(),
        variables,
        pools: pools.into_iter().map(|(name, one)| (name, sized(one, problems))).collect(),
    }
}

impl PartOfPool {
    fn or(self, other: Self) -> Self {
        Self {
            slots: self.slots.or(other.slots),
            description: self.description.or(other.description),
            include_deferred: self.include_deferred.or(other.include_deferred),
        }
    }
}

/// A connection of no type is of no use, unless its secret says the type.
fn typed((location, connection): (Location, Connection), problems: &mut Problems) -> Connection {
    if connection.conn_type.is_none() && connection.secret.is_none() {
        let hint = "add its type, as in `conn_type = \"postgres\"`";
        problems.report("missing_key", &location, Refusal::new("`conn_type` is missing", hint));
    }
    connection
}

fn sized((location, pool): (Location, PartOfPool), problems: &mut Problems) -> Pool {
    if pool.slots.is_none() {
        let hint = "say how many tasks may run in it at a time, as in `slots = 4`";
        problems.report("missing_key", &location, Refusal::new("`slots` is missing", hint));
    }
    Pool {
        slots: i64::from(pool.slots.unwrap_or_default()),
        description: pool.description.unwrap_or_default(),
        include_deferred: pool.include_deferred.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
