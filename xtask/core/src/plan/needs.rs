//! What DAGs name and a release does not bring: to be looked for in the environment.

use super::pools::is_leaving;
use crate::model::dags::{Need, NeedKind};
use crate::model::objects::{Objects, Pool};
use std::collections::BTreeMap;

/// The mail server of the environment, which Airflow is given by its settings.
const MAIL: &str = "smtp_default";

/// Those that neither the objects of the release nor the environment variables of tasks are.
#[must_use]
pub fn undeclared(needs: Vec<Need>, objects: &Objects, variables: &BTreeMap<String, String>) -> Vec<Need> {
    let has = |Need { kind, name, .. }: &Need| {
        let variable = |prefix: &str| variables.contains_key(&format!("{prefix}{}", name.to_uppercase()));
        match kind {
            NeedKind::Connection => {
                name == MAIL || objects.connections.contains_key(name) || variable("AIRFLOW_CONN_")
            }
            NeedKind::Variable => objects.variables.contains_key(name) || variable("AIRFLOW_VAR_"),
            NeedKind::Pool => objects.pools.contains_key(name),
        }
    };
    needs.into_iter().filter(|need| !has(need)).collect()
}

/// Whether Airflow will still have a pool when the release is there: one that this tool made and the release does not
/// declare goes with it.
#[must_use]
pub fn keeps_pool(name: &str, found: &BTreeMap<String, Pool>) -> bool {
    found.get(name).is_some_and(|pool| !is_leaving(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_release_brings_is_not_looked_for() {
        let need = |kind, name: &str| Need { kind, name: name.to_owned(), dags: Vec::new() };
        let mut objects = Objects::default();
        objects.connections.insert("ours".to_owned(), Default::default());
        objects.pools.insert("ours".to_owned(), Pool::default());
        let variables = BTreeMap::from([("AIRFLOW_VAR_LAKE".to_owned(), "x".to_owned())]);
        let all = vec![
            need(NeedKind::Connection, "ours"),
            need(NeedKind::Connection, "other"),
            need(NeedKind::Connection, MAIL),
            need(NeedKind::Variable, "ours"),
            need(NeedKind::Variable, "lake"),
            need(NeedKind::Pool, "ours"),
        ];
        let left = undeclared(all, &objects, &variables);
        assert_eq!(left, [need(NeedKind::Connection, "other"), need(NeedKind::Variable, "ours")]);
    }

    #[test]
    fn a_pool_that_goes_with_the_release_is_not_there() {
        let pool = |description: &str| Pool { description: description.to_owned(), ..Pool::default() };
        let found = BTreeMap::from([
            ("by_hand".to_owned(), pool("mine")),
            ("ours".to_owned(), pool("x [airflow/objects.toml]")),
        ]);
        assert_eq!(["by_hand", "ours", "none"].map(|name| keeps_pool(name, &found)), [true, false, false]);
    }
}
