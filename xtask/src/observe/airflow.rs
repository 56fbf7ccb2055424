//! Reads a running Airflow: where it is reached, who may ask it, and whether its components are healthy.

use crate::doors::airflow::{Airflow, Component};
use crate::doors::aws::{self, Aws};
use crate::doors::env;
use crate::doors::pace::{AIRFLOW, Pace};
use crate::doors::relay::Relay;
use crate::doors::store::Store;
use crate::fail::{Fail, Result};
use crate::model::cloud::Cloud;
use crate::model::names::outputs;
use crate::model::secret::Secret;
use crate::model::watched::Tasks;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Where this tool reaches Airflow, if the stack has an address.
#[must_use]
pub fn url(
    cloud: Cloud,
    outputs: &BTreeMap<String, String>,
    parameters: &BTreeMap<String, String>,
) -> Option<String> {
    if let Some(url) = env::airflow_url() {
        return Some(url);
    }
    match (cloud, parameters.get("AirflowPort")) {
        (Cloud::Local, Some(port)) => Some(format!("http://127.0.0.1:{port}")),
        _ => outputs.get(outputs::AIRFLOW_URL).cloned(),
    }
}

/// A name and password, from Secrets Manager.
#[derive(Debug)]
pub struct Login {
    pub username: String,
    pub password: Secret,
}

/// The login that the secret holds.
pub async fn login(aws: &Aws, arn: &str) -> Result<Login> {
    #[derive(Deserialize)]
    struct Document {
        username: String,
        password: String,
    }
    let answer = aws.secrets.get_secret_value().secret_id(arn).send().await;
    let answer = answer.map_err(|e| aws::failure("Secrets Manager", "cannot read the password", e))?;
    let text = answer.secret_string().unwrap_or_default();
    // The parser's own message could quote the secret, so it is left out.
    let document: Document = serde_json::from_str(text).map_err(|_| {
        Fail::failed(format!("the secret `{arn}` is not JSON with a user name and a password"))
    })?;
    Ok(Login { username: document.username, password: Secret::new(document.password) })
}

/// Runs a blocking call of the REST door outside the async world.
pub async fn ask<T: Send + 'static>(
    airflow: &Airflow,
    call: impl FnOnce(&Airflow) -> Result<T> + Send + 'static,
) -> Result<T> {
    let airflow = airflow.clone();
    let joined = tokio::task::spawn_blocking(move || call(&airflow)).await;
    joined.map_err(|e| Fail::bug("a request to Airflow was interrupted").because(e))?
}

/// What is asked where.
pub struct Reached {
    /// Nobody has logged in yet.
    pub airflow: Airflow,
    /// Why its address leads nowhere from here, if it does not: then requests go through the artifact bucket.
    pub instead: Option<String>,
}

/// Looks whether Airflow can be reached at its address.
pub async fn reach(url: &str, store: &Store) -> Result<Reached> {
    let direct = Airflow::new(url);
    let instead = ask(&direct, |airflow| Ok(airflow.unreachable())).await?;
    let airflow = if instead.is_some() { Airflow::through(Relay::new(store)) } else { direct };
    Ok(Reached { airflow, instead })
}

/// What people are told of it, once.
#[must_use]
pub fn told(url: &str, why: &str) -> String {
    format!("Airflow cannot be reached from here at `{url}` ({why}): verified through S3 by its API servers")
}

/// A session with a token.
pub async fn session(airflow: &Airflow, login: Login) -> Result<Airflow> {
    let mut airflow = airflow.clone();
    let joined = tokio::task::spawn_blocking(move || {
        airflow.log_in(&login.username, &login.password).map(|()| airflow)
    });
    joined.await.map_err(|e| Fail::bug("a request to Airflow was interrupted").because(e))?
}

/// What every component says of itself.
pub async fn health(airflow: &Airflow) -> Result<Vec<Component>> {
    ask(airflow, Airflow::health).await
}

/// Ids of the DAGs with a queued or running run.
pub async fn unfinished(airflow: &Airflow) -> Result<BTreeSet<String>> {
    Ok(ask(airflow, Airflow::dags_with_unfinished_runs).await?.into_iter().collect())
}

/// How tasks ended that fit the filters. Airflow is asked in two requests, each of which waits for its turn.
pub async fn ended(airflow: &Airflow, pace: &Pace, filters: &str) -> Result<Tasks> {
    let count = async |state: &str| {
        let filters = format!("state={state}&{filters}");
        pace.turn(AIRFLOW).await;
        ask(airflow, move |airflow| airflow.count_tasks(&filters)).await
    };
    Ok(Tasks { failed: count("failed").await?, succeeded: count("success").await? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_airflow_is_reached_on_this_machine() {
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let outputs = map(outputs::AIRFLOW_URL, "https://a.example");
        let parameters = map("AirflowPort", "8080");
        assert_eq!(url(Cloud::Aws, &outputs, &parameters).unwrap(), "https://a.example");
        assert_eq!(url(Cloud::Local, &outputs, &parameters).unwrap(), "http://127.0.0.1:8080");
        assert_eq!(url(Cloud::Local, &outputs, &BTreeMap::new()).unwrap(), "https://a.example");
        assert_eq!(url(Cloud::Aws, &BTreeMap::new(), &parameters), None);
    }
}
