//! Airflow's address, its options, and what holds for DAGs.

use super::check::truth;
use super::owned::option;
use crate::config::document::Written;
use crate::config::environment::{Airflow, Dags, Environment};
use crate::config::file::{self, File};
use crate::config::parameters::LONGEST_AIRFLOW_CONFIG;
use crate::config::problems::{Place, Problems, Wrong};
use crate::config::values::{AirflowKey, Endpoint, Url};
use std::collections::BTreeMap;
use std::time::Duration;

const PORT: u16 = 8080;
const PARSE_TIMEOUT_SECONDS: u32 = 30;
const REFRESH_INTERVAL_SECONDS: u32 = 5;

/// Ports of workers and triggerers (logs) and of schedulers (health); on this machine all share one address.
const TAKEN_PORTS: [u16; 3] = [8793, 8794, 8974];

pub fn airflow(
    written: &file::Airflow,
    endpoint: Option<&Endpoint>,
    problems: &mut Problems,
) -> Option<Airflow> {
    let port = port(written.port.as_ref(), problems).unwrap_or(PORT);
    let url = match &written.url {
        Some(_) => problems.text(written.url.as_ref(), Url::parse),
        None if endpoint == Some(&Endpoint::Local) => Some(Url::loopback(port)),
        None => {
            let hint = "add `url = \"https://airflow.example.com\"` below `[airflow]`: \
                        the address at which people and components will reach Airflow";
            problems.missing("airflow.url", hint);
            None
        }
    };
    let config = config(&written.config, problems);
    Some(Airflow {
        url: url?,
        port,
        load_examples: truth(written.load_examples.as_ref(), false),
        load_default_connections: truth(written.load_default_connections.as_ref(), false),
        config,
    })
}

fn port(written: Option<&Written<i64>>, problems: &mut Problems) -> Option<u16> {
    let port = problems.number(written, 1024..=65535, "(those below belong to the system)")?;
    let port = u16::try_from(port).ok()?;
    if let Some(written) = written.filter(|_| TAKEN_PORTS.contains(&port)) {
        let message = format!("`{port}` is taken by another component of Airflow");
        problems.invalid(&written.place, Wrong::new(message, format!("write another one, like {PORT}")));
    }
    Some(port)
}

fn config(written: &file::Free, problems: &mut Problems) -> BTreeMap<AirflowKey, String> {
    let mut config = BTreeMap::new();
    for (name, value) in written {
        match option(name, &value.value) {
            Ok(key) => {
                if config.insert(key, value.value.clone()).is_some() {
                    let wrong = Wrong::new(format!("`{name}` is written twice"), "remove one of the two");
                    problems.conflict(&value.place, wrong);
                }
            }
            Err((kind, wrong)) => problems.report(kind, &value.place, wrong),
        }
    }
    config
}

/// What CloudFormation could not carry as one parameter.
pub fn check_sizes(environment: &Environment, written: &File, problems: &mut Problems) {
    let (options, roles) = (&written.airflow.config, &written.login.roles);
    for (key, json, written, hint) in [
        (
            "airflow.config",
            environment.airflow_config(),
            options,
            "move what holds for every environment to `airflow/config/`",
        ),
        (
            "login.roles",
            environment.login.config(),
            roles,
            "give a role to those alone who need another than `default_role`, or to the rest in the UI",
        ),
    ] {
        let length = json.chars().count();
        if length > LONGEST_AIRFLOW_CONFIG {
            let line = written.iter().filter_map(|(_, value)| value.place.line).min();
            let place = Place { key: key.to_owned(), line };
            let message = format!("too long: {length} characters as JSON, {LONGEST_AIRFLOW_CONFIG} at most");
            problems.invalid(&place, Wrong::new(message, hint));
        }
    }
}

pub fn dags(written: &file::Dags, problems: &mut Problems) -> Dags {
    let seconds =
        |written: Option<u32>, default: u32| Duration::from_secs(u64::from(written.unwrap_or(default)));
    let parse = problems.number(written.parse_timeout_seconds.as_ref(), 1..=600, "seconds");
    // Airflow looks at bundles every 5 s at most (`dag_processor.bundle_refresh_check_interval`).
    let refresh = problems.number(written.refresh_interval_seconds.as_ref(), 5..=3600, "seconds");
    Dags {
        parse_timeout: seconds(parse, PARSE_TIMEOUT_SECONDS),
        refresh_interval: seconds(refresh, REFRESH_INTERVAL_SECONDS),
    }
}
