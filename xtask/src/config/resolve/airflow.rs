//! Airflow's address, its options, and what holds for DAGs.

use crate::config::document::Written;
use crate::config::environment::{Airflow, Dags};
use crate::config::file;
use crate::config::parameters::LONGEST_AIRFLOW_CONFIG;
use crate::config::problems::{Problems, Wrong};
use crate::config::values::{AirflowKey, Endpoint, Url};
use std::collections::BTreeMap;
use std::time::Duration;

const PORT: u16 = 8080;
const PARSE_TIMEOUT_SECONDS: u32 = 30;
const REFRESH_INTERVAL_SECONDS: u32 = 5;

/// Ports of workers and triggerers (logs) and of schedulers (health); on this machine all share one address.
const TAKEN_PORTS: [u16; 3] = [8793, 8794, 8974];

/// Options that the tool or the hosts set, with what to do instead; a last part `*` stands for a whole
/// section. `ductwork_airflow/settings.py` refuses those that would cut the parts from each other too.
const OWNED: [(&str, &str); 34] = [
    ("api.base_url", "set `airflow.url`"),
    ("api.host", "remove it: the hosts listen where the security group expects it"),
    ("api.port", "set `airflow.port`"),
    ("api_auth.*", "remove it: the stack generates the key and hosts fetch it"),
    ("celery.extra_celery_config", "remove it: it makes workers drain"),
    ("celery.worker_concurrency", "set `hosts.worker.concurrency`"),
    ("celery.worker_enable_remote_control", "remove it: SQS has none"),
    ("celery_broker_transport_options.*", "remove it: the queue of the stack is the only broker"),
    ("core.auth_manager", "remove it: the login is part of the release"),
    ("core.dagbag_import_timeout", "set `dags.parse_timeout_seconds`"),
    ("core.dags_folder", "remove it: DAGs come from the bundle made of `dags/`"),
    ("core.execution_api_server_url", "set `airflow.url`"),
    ("core.executor", "remove it: tasks run on Celery workers"),
    ("core.hostname_callable", "remove it: hosts find each other's logs by it"),
    ("core.plugins_folder", "remove it: plugins are released from `plugins/`"),
    ("dag_processor.dag_bundle_config_list", "remove it: the bundle is made of `dags/`"),
    ("dag_processor.dag_bundle_storage_path", "remove it: the hosts know their folders"),
    ("dag_processor.dag_file_processor_timeout", "set `dags.parse_timeout_seconds`"),
    ("dag_processor.refresh_interval", "set `dags.refresh_interval_seconds`"),
    ("fab.config_file", "change `airflow/config/`, which is released with it"),
    ("logging.base_log_folder", "remove it: the hosts know their folders"),
    ("logging.remote_base_log_folder", "remove it: logs go to the bucket of the stack"),
    ("logging.remote_log_conn_id", "remove it: hosts reach the bucket by their role"),
    ("logging.remote_logging", "remove it: logs go to the bucket of the stack"),
    ("logging.trigger_log_server_port", "remove it: the security groups know the port"),
    ("logging.worker_log_server_port", "remove it: the security groups know the port"),
    ("operators.default_queue", "remove it: the queue is that of the stack"),
    ("scheduler.enable_health_check", "remove it: rollouts ask for the scheduler's health"),
    ("scheduler.scheduler_health_check_server_port", "remove it: rollouts ask for the scheduler's health"),
    ("secrets.backend", "remove it: connections and variables come from Secrets Manager"),
    ("secrets.backend_kwargs", "remove it: connections and variables come from Secrets Manager"),
    ("webserver.base_url", "set `airflow.url`"),
    ("webserver.config_file", "change `airflow/config/`, which is released with it"),
    ("webserver.web_server_port", "set `airflow.port`"),
];

/// Options that hold a secret, or a URL with one in it.
const SECRET: [&str; 8] = [
    "celery.broker_url",
    "celery.flower_basic_auth",
    "celery.result_backend",
    "core.fernet_key",
    "database.sql_alchemy_conn",
    "database.sql_alchemy_conn_async",
    "sentry.sentry_dsn",
    "smtp.smtp_user",
];
/// Endings of options that hold a secret or say how to come by one.
const SECRET_ENDINGS: [&str; 7] =
    ["_password", "_secret", "secret_key", "_token", "_cmd", "api_key", "access_key"];

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
    Some(Airflow { url: url?, port, config })
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

/// The checked name of an option, or the kind of problem and what is wrong.
fn option(name: &str, value: &str) -> Result<AirflowKey, (&'static str, Wrong)> {
    let key = AirflowKey::parse(name).map_err(|wrong| ("invalid_value", wrong))?;
    let is = |owned: &str| match owned.strip_suffix('*') {
        Some(section) => name.starts_with(section),
        None => owned == name,
    };
    let secret = SECRET.contains(&name)
        || SECRET_ENDINGS.iter().any(|ending| key.option().ends_with(ending))
        || has_credentials(value);
    if secret {
        let hint = "remove it here: the stack generates Airflow's own secrets, and connections and variables \
                    belong into Secrets Manager";
        return Err((
            "secret",
            Wrong::new(format!("`{name}` holds a secret, and this file is no place for one"), hint),
        ));
    }
    if let Some((_, cure)) = OWNED.iter().find(|(owned, _)| is(owned)) {
        return Err(("owned_key", Wrong::new(format!("`{name}` is set by the tool"), *cure)));
    }
    if value.chars().any(char::is_control) {
        let wrong = Wrong::new("has a line break or another control character", "write it on one line");
        return Err(("invalid_value", wrong));
    }
    Ok(key)
}

/// Whether a URL in it carries a user name or a password.
fn has_credentials(value: &str) -> bool {
    let authority =
        value.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    authority.contains('@')
}

/// What CloudFormation could not carry as one parameter.
pub fn check_size(config: &str, written: &file::Free, problems: &mut Problems) {
    if config.chars().count() > LONGEST_AIRFLOW_CONFIG {
        let place = crate::config::problems::Place {
            key: "airflow.config".to_owned(),
            line: written.iter().filter_map(|(_, value)| value.place.line).min(),
        };
        let message = format!(
            "too long: {} characters as JSON, {LONGEST_AIRFLOW_CONFIG} at most",
            config.chars().count()
        );
        let hint = "move what holds for every environment to `airflow/config/`";
        problems.invalid(&place, Wrong::new(message, hint));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_tool_and_secrets_are_refused() {
        for (name, value, kind) in [
            ("core.executor", "LocalExecutor", "owned_key"),
            ("api_auth.jwt_algorithm", "HS256", "owned_key"),
            ("celery_broker_transport_options.visibility_timeout", "1", "owned_key"),
            ("core.fernet_key", "x", "secret"),
            ("database.sql_alchemy_conn_cmd", "cat /secret", "secret"),
            ("smtp.smtp_password", "x", "secret"),
            ("api.secret_key", "x", "secret"),
            ("custom.store", "redis://user:hunter2@host/0", "secret"),
            ("parallelism", "1", "invalid_value"),
            ("core.x", "a\nb", "invalid_value"),
        ] {
            let (found, wrong) = option(name, value).unwrap_err();
            assert_eq!(found, kind, "{name}");
            assert!(!wrong.message.contains("hunter2"));
        }
        for (name, value) in
            [("core.parallelism", "32"), ("smtp.smtp_host", "smtp://h/a@b"), ("email.from", "a@b.c")]
        {
            assert!(option(name, value).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_owned_options_are_options() {
        for (name, _) in OWNED {
            assert!(AirflowKey::parse(&name.replace('*', "x")).is_ok(), "{name}");
        }
        for name in SECRET {
            assert!(AirflowKey::parse(name).is_ok(), "{name}");
        }
    }
}
