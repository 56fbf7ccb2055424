//! Airflow 3 over its REST API: what runs, what is broken, and a run to prove that tasks run.

use super::http::{Answer, Http, escaped};
use super::relay::Relay;
use crate::fail::{Fail, Result};
use crate::model::dags::NeedKind;
use crate::model::objects::Pool;
use crate::model::secret::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Task instances of every run of every DAG.
const TASKS: &str = "/api/v2/dags/~/dagRuns/~/taskInstances";

/// A session with a token. Blocking; callers on the async side use `spawn_blocking`.
#[derive(Clone, Debug)]
pub struct Airflow {
    way: Way,
    token: Option<Secret>,
}

/// How requests get there.
#[derive(Clone, Debug)]
enum Way {
    Address { url: String, http: Http },
    Bucket(Relay),
}

/// One DAG as Airflow knows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Dag {
    pub dag_id: String,
    pub bundle_name: Option<String>,
    pub bundle_version: Option<String>,
    pub relative_fileloc: Option<String>,
    pub file_token: String,
    pub is_stale: bool,
}

/// A file that the dag-processor could not import.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ImportError {
    pub filename: String,
    pub bundle_name: Option<String>,
    pub stack_trace: String,
}

/// One component in the health document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub name: String,
    pub healthy: bool,
    /// RFC 3339; none for components without one.
    pub heartbeat: Option<String>,
}

impl Airflow {
    #[must_use]
    pub fn new(url: &str) -> Self {
        let http = Http::new(Duration::from_secs(15));
        Self { way: Way::Address { url: url.trim_end_matches('/').to_owned(), http }, token: None }
    }

    /// Where its address cannot be reached. Nobody logs in: whoever may write to the bucket may deploy.
    #[must_use]
    pub fn through(relay: Relay) -> Self {
        Self { way: Way::Bucket(relay), token: None }
    }

    #[must_use]
    pub fn is_relayed(&self) -> bool {
        matches!(self.way, Way::Bucket(_))
    }

    /// Whether its address leads anywhere from here, if it is asked there; else why not.
    pub fn unreachable(&self) -> Option<String> {
        match &self.way {
            Way::Address { url, http } => http.unreachable(url),
            Way::Bucket(_) => None,
        }
    }

    /// For messages.
    fn name(&self, path: &str) -> String {
        match &self.way {
            Way::Address { url, .. } => format!("{url}{path}"),
            Way::Bucket(_) => format!("{path} (asked through S3)"),
        }
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let (url, http) = match &self.way {
            Way::Address { url, http } => (format!("{url}{path}"), http),
            Way::Bucket(relay) => return relay.ask(method, path, body),
        };
        let token = self.token.as_ref().map(Secret::expose);
        match (method, body) {
            ("GET", _) => http.get(&url, token),
            ("DELETE", _) => http.delete(&url, token),
            (_, body) => http.send(method, &url, token, body.unwrap_or(&Value::Null)),
        }
    }

    fn get(&self, path: &str) -> Result<Value> {
        accepted(&self.name(path), self.call("GET", path, None)?)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        accepted(&self.name(path), self.call(method, path, Some(body))?)
    }

    /// Gets a token for a user; the session keeps it.
    pub fn log_in(&mut self, user: &str, password: &Secret) -> Result<()> {
        let Way::Address { url, http } = &self.way else { return Ok(()) };
        let body = json!({ "username": user, "password": password.expose() });
        let url = format!("{url}/auth/token");
        let mut answer = http.send("POST", &url, None, &body)?;
        // What the server finds wrong with the form it shows as it came, password included.
        if !answer.body["detail"].is_string() {
            answer.body["detail"].take();
        }
        let answer = accepted(&url, answer)?;
        let token = answer["access_token"].as_str();
        let token = token.ok_or_else(|| Fail::failed(format!("`{url}` returned no token")))?;
        self.token = Some(Secret::new(token));
        Ok(())
    }

    /// The health document; Airflow answers 200 even where a component is dead, so it is read.
    pub fn health(&self) -> Result<Vec<Component>> {
        let value = self.get("/api/v2/monitor/health")?;
        let object = value.as_object().cloned().unwrap_or_default();
        let component = |(name, state): (String, Value)| {
            let heartbeat = state.as_object().and_then(|fields| {
                let key = format!("latest_{name}_heartbeat");
                fields.get(&key).and_then(Value::as_str).map(str::to_owned)
            });
            let healthy = state["status"] == "healthy";
            (!state["status"].is_null()).then_some(Component { name, healthy, heartbeat })
        };
        Ok(object.into_iter().filter_map(component).collect())
    }

    /// All DAGs of a bundle, stale ones included.
    pub fn dags(&self, bundle: &str) -> Result<Vec<Dag>> {
        let all: Vec<Dag> = self.pages("/api/v2/dags?exclude_stale=false&order_by=dag_id", "dags")?;
        Ok(all.into_iter().filter(|dag| dag.bundle_name.as_deref() == Some(bundle)).collect())
    }

    /// How many DAGs of a bundle are on a version of it.
    pub fn dags_on(&self, bundle: &str, version: &str) -> Result<u64> {
        let filters = format!("bundle_name={bundle}&bundle_version={version}&exclude_stale=true");
        let page = self.get(&format!("/api/v2/dags?{filters}&limit=1"))?;
        let total = page["total_entries"].as_u64();
        total.ok_or_else(|| Fail::failed("Airflow's list of dags has an unexpected shape"))
    }

    /// The import errors of a bundle.
    pub fn import_errors(&self, bundle: &str) -> Result<Vec<ImportError>> {
        let all: Vec<ImportError> = self.pages("/api/v2/importErrors?order_by=id", "import_errors")?;
        Ok(all.into_iter().filter(|error| error.bundle_name.as_deref() == Some(bundle)).collect())
    }

    fn pages<T: for<'de> Deserialize<'de>>(&self, path: &str, key: &str) -> Result<Vec<T>> {
        let mut items = Vec::new();
        loop {
            let page = self.get(&format!("{path}&limit=100&offset={}", items.len()))?;
            let rows: Vec<T> = serde_json::from_value(page[key].clone()).map_err(|e| {
                Fail::failed(format!("Airflow's list of {key} has an unexpected shape")).because(e)
            })?;
            let total = page["total_entries"].as_u64().unwrap_or_default();
            let last = rows.is_empty();
            items.extend(rows);
            if last || items.len() as u64 >= total {
                return Ok(items);
            }
        }
    }

    /// Tells the dag-processor to look at a file, which makes it refresh the file's bundle at once.
    pub fn parse_file(&self, file_token: &str) -> Result<()> {
        self.send("PUT", &format!("/api/v2/parseDagFile/{file_token}"), &Value::Null).map(drop)
    }

    /// Starts a run; the answer is its id.
    pub fn trigger(&self, dag: &str, conf: &Value) -> Result<String> {
        let body = json!({ "logical_date": null, "conf": conf });
        let run = self.send("POST", &format!("/api/v2/dags/{dag}/dagRuns"), &body)?;
        let id = run["dag_run_id"].as_str();
        id.map(str::to_owned).ok_or_else(|| Fail::failed(format!("Airflow did not start a run of `{dag}`")))
    }

    /// `queued`, `running`, `success` or `failed`.
    pub fn run_state(&self, dag: &str, run: &str) -> Result<String> {
        let value = self.get(&format!("/api/v2/dags/{dag}/dagRuns/{}", escaped(run)))?;
        Ok(value["state"].as_str().unwrap_or_default().to_owned())
    }

    /// How many task instances fit these filters.
    pub fn count_tasks(&self, filters: &str) -> Result<u32> {
        let page = self.get(&format!("{TASKS}?{filters}&limit=1"))?;
        let total = page["total_entries"].as_u64().and_then(|total| u32::try_from(total).ok());
        total.ok_or_else(|| Fail::failed("Airflow's list of task instances has an unexpected shape"))
    }

    /// Up to a hundred task instances that fit these filters, the last to end first, as `dag.task`.
    pub fn last_tasks(&self, filters: &str) -> Result<Vec<String>> {
        let page = self.get(&format!("{TASKS}?{filters}&order_by=-end_date&limit=100"))?;
        let rows = page["task_instances"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name = |row: &Value| Some(format!("{}.{}", row["dag_id"].as_str()?, row["task_id"].as_str()?));
        Ok(rows.iter().filter_map(name).collect())
    }

    /// Ids of DAGs with a queued or running run.
    pub fn dags_with_unfinished_runs(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Run {
            dag_id: String,
        }
        let path = "/api/v2/dags/~/dagRuns?state=queued&state=running&order_by=id";
        let runs: Vec<Run> = self.pages(path, "dag_runs")?;
        let mut ids: Vec<String> = runs.into_iter().map(|run| run.dag_id).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// Whether a DAG is paused; none if Airflow has never had it.
    pub fn is_paused(&self, dag: &str) -> Result<Option<bool>> {
        let found = self.find(&format!("/api/v2/dags/{}", escaped(dag)))?;
        Ok(found.and_then(|dag| dag["is_paused"].as_bool()))
    }

    /// Whether Airflow's database has a connection, variable or pool.
    pub fn has(&self, kind: NeedKind, name: &str) -> Result<bool> {
        Ok(self.find(&format!("/api/v2/{}s/{}", kind.word(), escaped(name)))?.is_some())
    }

    fn find(&self, path: &str) -> Result<Option<Value>> {
        let answer = self.call("GET", path, None)?;
        if answer.status == 404 { Ok(None) } else { accepted(&self.name(path), answer).map(Some) }
    }

    /// All pools by name.
    pub fn pools(&self) -> Result<BTreeMap<String, Pool>> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
            slots: i64,
            description: Option<String>,
            include_deferred: bool,
        }
        let rows: Vec<Row> = self.pages("/api/v2/pools?order_by=id", "pools")?;
        let pool = |Row { name, slots, description, include_deferred }| {
            (name, Pool { slots, description: description.unwrap_or_default(), include_deferred })
        };
        Ok(rows.into_iter().map(pool).collect())
    }

    pub fn create_pool(&self, name: &str, pool: &Pool) -> Result<()> {
        self.send("POST", "/api/v2/pools", &pool_body("name", name, pool)).map(drop)
    }

    pub fn change_pool(&self, name: &str, pool: &Pool) -> Result<()> {
        let path = format!("/api/v2/pools/{}", escaped(name));
        self.send("PATCH", &path, &pool_body("pool", name, pool)).map(drop)
    }

    pub fn delete_pool(&self, name: &str) -> Result<()> {
        let path = format!("/api/v2/pools/{}", escaped(name));
        accepted(&self.name(&path), self.call("DELETE", &path, None)?).map(drop)
    }

    /// What a task returned.
    pub fn returned(&self, dag: &str, run: &str, task: &str) -> Result<Value> {
        let run = escaped(run);
        let path = format!("/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value");
        let value = self.get(&path)?["value"].clone();
        // The entry comes as JSON in a string unless it is asked for deserialised.
        Ok(value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(value))
    }
}

/// Airflow takes the name under one key for a new pool, and under another for a change.
fn pool_body(key: &str, name: &str, pool: &Pool) -> Value {
    let Pool { slots, description, include_deferred } = pool;
    json!({ key: name, "slots": slots, "description": description, "include_deferred": include_deferred })
}

fn accepted(url: &str, answer: Answer) -> Result<Value> {
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let detail = &answer.body["detail"];
    let detail = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
    let fail = Fail::failed(format!("`{url}` answered {}", answer.status));
    Err(if answer.body["detail"].is_null() { fail } else { fail.cause(detail) })
}

#[cfg(test)]
#[path = "airflow_tests.rs"]
mod tests;
