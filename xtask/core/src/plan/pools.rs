//! What has to be done so that Airflow has the pools of a release. Those that people made stay as they are.

use crate::config::OBJECTS;
use crate::fail::Problem;
use crate::model::objects::Pool;
use std::collections::BTreeMap;

type Pools = BTreeMap<String, Pool>;

/// One call to Airflow, with the pool as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolChange {
    Create(String, Pool),
    Change(String, Pool),
    Delete(String),
}

/// The way from the pools that Airflow has to those that are wanted.
///
/// # Errors
/// A pool of that name is there already, and somebody else made it.
pub fn changes(wanted: &Pools, found: &Pools) -> Result<Vec<PoolChange>, Vec<Problem>> {
    let ours = |name: &String| found.get(name).is_some_and(is_ours);
    let taken = wanted.keys().filter(|name| found.contains_key(*name) && !ours(name));
    let problems: Vec<Problem> = taken.map(|name| problem(name)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let change = |(name, pool): (&String, &Pool)| {
        let pool = marked(pool);
        match found.get(name) {
            None => Some(PoolChange::Create(name.clone(), pool)),
            Some(now) if *now != pool => Some(PoolChange::Change(name.clone(), pool)),
            Some(_) => None,
        }
    };
    let gone = found.keys().filter(|name| ours(name) && !wanted.contains_key(*name));
    let gone = gone.cloned().map(PoolChange::Delete);
    Ok(wanted.iter().filter_map(change).chain(gone).collect())
}

/// The end of the description of every pool that this tool made: Airflow itself remembers which these are,
/// whatever becomes of a deployment.
fn mark() -> String {
    format!("[{OBJECTS}]")
}

/// Whether a pool that the release does not declare is deleted with it.
pub(super) fn is_leaving(pool: &Pool) -> bool {
    is_ours(pool)
}

fn is_ours(pool: &Pool) -> bool {
    pool.description.ends_with(&mark())
}

fn marked(pool: &Pool) -> Pool {
    let description = format!("{} {}", pool.description, mark()).trim_start().to_owned();
    Pool { description, ..pool.clone() }
}

fn problem(name: &str) -> Problem {
    let message = format!("Airflow has a pool `{name}` that was not made from this file");
    let hint = "delete that pool in Airflow (Admin, Pools), or give this one another name";
    Problem::new("foreign_pool", format!("{OBJECTS} `pools.{name}`"), message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(list: &[(&str, i64, &str)]) -> Pools {
        let pool = |(name, slots, description): &(&str, i64, &str)| {
            let description = (*description).to_owned();
            ((*name).to_owned(), Pool { slots: *slots, description, include_deferred: false })
        };
        list.iter().map(pool).collect()
    }

    #[test]
    fn pools_are_created_changed_and_deleted_and_those_of_people_stay() {
        let found = pools(&[
            ("default_pool", 128, "Default pool"),
            ("gone", 1, "[airflow/objects.toml]"),
            ("other", 1, "x [airflow/objects.toml]"),
            ("same", 1, "x [airflow/objects.toml]"),
            ("by_hand", 1, "see airflow/objects.toml"),
        ]);
        let wanted = pools(&[("new", 1, ""), ("other", 2, "x"), ("same", 1, "x")]);
        let made = |name: &str, slots, description: &str| {
            (name.to_owned(), pools(&[(name, slots, description)]).remove(name).unwrap())
        };
        let (new, new_pool) = made("new", 1, "[airflow/objects.toml]");
        let (other, other_pool) = made("other", 2, "x [airflow/objects.toml]");
        let expected = vec![
            PoolChange::Create(new, new_pool),
            PoolChange::Change(other, other_pool),
            PoolChange::Delete("gone".to_owned()),
        ];
        assert_eq!(changes(&wanted, &found), Ok(expected));
    }

    #[test]
    fn every_pool_that_somebody_else_made_is_told() {
        let found = pools(&[("a", 1, ""), ("b", 1, "mine"), ("c", 1, "[airflow/objects.toml]")]);
        let problems = changes(&pools(&[("a", 1, ""), ("b", 1, ""), ("c", 1, "")]), &found).unwrap_err();
        let locations: Vec<&str> = problems.iter().map(|problem| problem.location.as_str()).collect();
        assert_eq!(locations, ["airflow/objects.toml `pools.a`", "airflow/objects.toml `pools.b`"]);
    }
}
