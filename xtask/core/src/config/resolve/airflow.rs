//! The address of Airflow, its options, and settings for DAGs.

use super::check::flag;
use super::git;
use super::owned::option;
use crate::config::document::Written;
use crate::config::environment::{Airflow, Dags};
use crate::config::file;
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::values::{AirflowKey, EnvironmentName, Url};
use crate::model::contract::CONTRACT;
use std::collections::BTreeMap;
use std::time::Duration;

const PORT: u16 = 8080;
const PARSE_TIMEOUT_SECONDS: u32 = 30;
const REFRESH_INTERVAL_SECONDS: u32 = 5;

/// `local` says whether the environment runs on the local cloud, unless that is unclear.
pub fn airflow(
    written: &file::Airflow,
    local: Result<bool, Reported>,
    problems: &mut Problems,
) -> Result<Airflow, Reported> {
    // With an invalid port, which has been reported, the rest is still worth checking.
    let port = port(&written.port, problems).unwrap_or(PORT);
    let url = problems.text(&written.url, Url::parse);
    let url = url.map(|url| url.or_else(|| (local == Ok(true)).then(|| Url::loopback(port))));
    let config = config(&written.config, problems);
    Ok(Airflow {
        url: url?,
        port,
        load_examples: flag(&written.load_examples, false),
        load_default_connections: flag(&written.load_default_connections, false),
        config,
    })
}

fn port(written: &file::Number, problems: &mut Problems) -> Result<u16, Reported> {
    let number = problems.number(written, 1024..=65535, "(ports below 1024 are reserved)")?;
    let port = number.and_then(|number| u16::try_from(number).ok()).unwrap_or(PORT);
    match written {
        Some(written) if CONTRACT.ports.all().contains(&port) => {
            let message = format!("port `{port}` is used by another component of Airflow");
            let refusal = Refusal::new(message, format!("use another port, such as {PORT}"));
            Err(problems.invalid(&written.location, refusal))
        }
        _ => Ok(port),
    }
}

/// The valid options; the others are reported.
fn config(written: &file::Free, problems: &mut Problems) -> BTreeMap<AirflowKey, String> {
    let mut config = BTreeMap::new();
    for (name, Written { value, location }) in written {
        match option(name, value) {
            Ok(key) => {
                if config.insert(key, value.clone()).is_some() {
                    problems.conflict(
                        location,
                        format!("`{name}` is written twice"),
                        "remove one of the two",
                    );
                }
            }
            Err((kind, refusal)) => {
                problems.report(kind, location, refusal);
            }
        }
    }
    config
}

pub fn dags(
    file: &file::File,
    name: Option<&EnvironmentName>,
    problems: &mut Problems,
) -> Result<Dags, Reported> {
    let written = &file.dags;
    let git = git::dags(file, name, problems);
    let parse = problems.number_or(&written.parse_timeout_seconds, PARSE_TIMEOUT_SECONDS, 1..=600, "seconds");
    // Airflow looks at bundles every 5 s at most (`dag_processor.bundle_refresh_check_interval`).
    let refresh =
        problems.number_or(&written.refresh_interval_seconds, REFRESH_INTERVAL_SECONDS, 5..=3600, "seconds");
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    Ok(Dags { parse_timeout: seconds(parse?), refresh_interval: seconds(refresh?), git: git? })
}
