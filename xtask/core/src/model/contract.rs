//! What Rust, Python and the templates have to agree on: `airflow/ductwork_airflow/contract.json`, compiled in.
//!
//! Hosts get the same file with the host revision; tests compare the templates with it. Holds no logic.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The contract that this tool was built with.
pub static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let text = include_str!("../../../../airflow/ductwork_airflow/contract.json");
    #[expect(clippy::expect_used, reason = "a test parses the same bytes")]
    serde_json::from_str(text).expect("airflow/ductwork_airflow/contract.json matches `Contract`")
});

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// What the file is, for whoever opens it.
    pub about: String,
    /// Everything that can run on a host, in the order of its start.
    pub components: Vec<String>,
    pub outputs: Outputs,
    pub ec2: OfEc2,
    pub ecs: OfEcs,
    pub parameters: Parameters,
    pub worker_set: WorkerSetSettings,
    pub scaling: Scaling,
    /// The termination hook of the hosts' Auto Scaling groups.
    pub lifecycle_hook: String,
    pub ports: Ports,
    pub limits: Limits,
    pub keys: Keys,
    /// Between two heartbeats of a component in its receipt.
    pub receipt_seconds: u32,
    pub secrets: Secrets,
    pub dags: Dags,
    pub options: Options,
    pub variables: Variables,
}

/// Outputs of the master stack.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// Those that every engine has to offer, because the tool reads them.
    pub engine: Vec<String>,
    /// Those that hosts read: a change of one is a change of what they run.
    pub hosts: Vec<String>,
    /// The same for each worker set, by the end of the output's name.
    pub worker_set: BTreeMap<String, String>,
    /// Stands for a value if there is none, such as the hosts of a set that the scheduler's hosts serve.
    pub none: String,
}

/// What of `outputs` and `parameters` only hosts read: tasks on ECS are not told it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfEc2 {
    pub about: String,
    pub outputs: Vec<String>,
    /// Keys of `outputs.worker_set`.
    pub worker_set: Vec<String>,
    pub parameters: Vec<String>,
}

/// What only tasks on ECS read, besides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfEcs {
    pub about: String,
    /// Outputs of the master stack that may be left out.
    pub outputs: Vec<String>,
    pub parameters: Vec<String>,
    /// Keys of the output `EcsExecutor`.
    pub executor: Vec<String>,
    /// Outputs of each worker set, by the end of the output's name.
    pub worker_set: BTreeMap<String, String>,
    /// The name of a worker set's service, with `{worker_set}` to be filled in.
    pub worker_service: String,
    /// The same of the service of its canary.
    pub canary_service: String,
}

/// Parameters of the master stack.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Those that hosts read: a change of one is a change of what they run.
    pub hosts: Vec<String>,
}

/// What the output `WorkerSets` says of each worker set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSetSettings {
    /// The set that always exists, and the queue of tasks that name none.
    pub default: String,
    pub keys: Vec<String>,
}

/// Defaults of a worker set's scaling.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    pub concurrency: u32,
    pub growth_threshold: f64,
    pub shrink_threshold: f64,
    pub shrink_after_minutes: u32,
}

/// Ports that Airflow itself opens on hosts, beside that of the API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    pub scheduler_health: u16,
    pub worker_logs: u16,
    pub triggerer_logs: u16,
}

impl Ports {
    #[must_use]
    pub fn all(&self) -> [u16; 3] {
        let Self { scheduler_health, worker_logs, triggerer_logs } = *self;
        [scheduler_health, worker_logs, triggerer_logs]
    }
}

/// What is refused for being too long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Characters of the parameter `AirflowConfig`.
    pub airflow_config: usize,
    /// Characters of the parameter `EnvironmentVariables`.
    pub environment_variables: usize,
}

/// Keys in the artifact bucket, with `{digest}`, `{environment}` and `{id}` to be filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    pub bundle: String,
    pub bundle_index: String,
    pub template: String,
    pub template_set: String,
    pub host_revision: String,
    pub environment: String,
    pub pointer: String,
    pub lease: String,
    /// What hosts are told of a migration, and where they save the database before it.
    pub migration: String,
    pub dump: String,
    pub leftovers: String,
    /// What workers leave that cut tasks short.
    pub loss: String,
    pub release: String,
    pub deployment: String,
    /// What a component of a host or task says of itself, with `{component}` to be filled in.
    pub receipt: String,
    /// What the tool asks the API server where it cannot reach it, and the answers.
    pub relay: String,
    pub answer: String,
    /// What the hosts of a worker set, `{set}`, read of their canary, and where it says which one it is.
    pub canary: String,
    pub claim: String,
}

/// Names of secrets that people create, with `{environment}` to be filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub google: String,
    /// Outputs that name the secrets which a worker reads; all other components may read more.
    pub workers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dags {
    /// The bundle that holds the user's `dags/` in Airflow's own list of bundles.
    pub bundle: String,
    /// The DAG that proves that a worker runs tasks.
    pub smoke: String,
}

/// Options of Airflow that users must not set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// `section.option`, or `section.*` for all of a section (`*` ends a name of any kind).
    pub owned: BTreeMap<String, Owned>,
    pub secret: Vec<String>,
    /// Endings of options that hold a secret or tell where to find one.
    pub secret_endings: Vec<String>,
}

/// An option that Ductwork decides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// What to do instead of setting it.
    pub cure: String,
    pub set_by: SetBy,
}

/// Environment variables that users must not set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variables {
    /// What to do instead, by name (`*` ends a name of any kind).
    pub owned: BTreeMap<String, String>,
    /// Endings of names whose value is a secret.
    pub secret_endings: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum SetBy {
    /// The environment file has another key for it, which the tool passes on.
    Environment,
    /// Each host, from the stack's outputs and parameters.
    Hosts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_this_type_says() {
        assert!(CONTRACT.outputs.hosts.contains(&"WorkerSets".to_owned()));
        assert!(CONTRACT.options.owned.values().all(|option| !option.cure.is_empty()));
        assert_eq!(CONTRACT.options.owned["core.load_examples"].set_by, SetBy::Environment);
    }

    #[test]
    fn what_only_hosts_read_is_something_that_hosts_read() {
        let OfEc2 { outputs, worker_set, parameters, .. } = &CONTRACT.ec2;
        assert!(outputs.iter().all(|name| CONTRACT.outputs.hosts.contains(name)), "{outputs:?}");
        assert!(worker_set.iter().all(|key| CONTRACT.outputs.worker_set.contains_key(key)), "{worker_set:?}");
        assert!(parameters.iter().all(|name| CONTRACT.parameters.hosts.contains(name)), "{parameters:?}");
        let both: Vec<&String> =
            CONTRACT.ecs.outputs.iter().filter(|name| CONTRACT.outputs.hosts.contains(name)).collect();
        assert!(both.is_empty(), "{both:?}");
    }

    #[test]
    fn nothing_is_listed_twice() {
        for list in [&CONTRACT.components, &CONTRACT.outputs.engine, &CONTRACT.outputs.hosts] {
            let mut sorted = list.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), list.len(), "{list:?}");
        }
    }
}
