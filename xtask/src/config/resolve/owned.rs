//! Options of Airflow that an environment file must not set: the tool does, or they hold a secret.

use crate::config::problems::Wrong;
use crate::config::values::AirflowKey;

/// Options that the tool or the hosts set, with what to do instead; a last part `*` stands for a whole
/// section. `ductwork_airflow/settings.py` refuses those that would cut the parts from each other too.
const OWNED: &[(&str, &str)] = &[
    ("api.base_url", "set `airflow.url`"),
    ("api.host", "remove it: the hosts listen where the security group expects it"),
    ("api.port", "set `airflow.port`"),
    ("api_auth.*", "remove it: the stack generates the key and hosts fetch it"),
    ("celery.extra_celery_config", "remove it: it makes workers drain"),
    ("celery.worker_concurrency", "set `concurrency` of a worker set, such as `workers.default.concurrency`"),
    ("celery.worker_enable_remote_control", "remove it: it follows from `broker.kind`"),
    ("celery_broker_transport_options.*", "remove it: the broker is part of the stack"),
    ("core.auth_manager", "remove it: the login is part of the release"),
    ("core.dagbag_import_timeout", "set `dags.parse_timeout_seconds`"),
    ("core.dags_folder", "remove it: DAGs come from the bundle made of `dags/`"),
    ("core.execution_api_server_url", "set `airflow.url`"),
    ("core.executor", "remove it: tasks run on Celery workers"),
    ("core.hostname_callable", "remove it: hosts find each other's logs by it"),
    ("core.load_examples", "set `airflow.load_examples`"),
    ("core.plugins_folder", "remove it: plugins are released from `plugins/`"),
    ("dag_processor.dag_bundle_config_list", "remove it: the bundle is made of `dags/`"),
    ("dag_processor.dag_bundle_storage_path", "remove it: the hosts know their folders"),
    ("dag_processor.dag_file_processor_timeout", "set `dags.parse_timeout_seconds`"),
    ("dag_processor.refresh_interval", "set `dags.refresh_interval_seconds`"),
    ("database.load_default_connections", "set `airflow.load_default_connections`"),
    ("database.sql_alchemy_connect_args_async", "remove it: it follows from `database.engine`"),
    ("email.email_backend", "set `mail`: Airflow sends through the server it names"),
    ("email.email_conn_id", "set `mail`: user and password are the connection `smtp_default`"),
    ("email.from_email", "set `mail.from`"),
    ("fab.auth_backends", "remove it: people log in as `login` says, programs as the user `service`"),
    ("fab.config_file", "change `airflow/config/`, which is released with it"),
    ("fab.enable_proxy_fix", "remove it: it follows from `entry.load_balancer`"),
    ("fab.proxy_fix_*", "remove it: it follows from `entry.load_balancer`"),
    ("logging.base_log_folder", "remove it: the hosts know their folders"),
    ("logging.remote_base_log_folder", "remove it: logs go to the bucket of the stack"),
    ("logging.remote_log_conn_id", "remove it: hosts reach the bucket by their role"),
    ("logging.remote_logging", "remove it: logs go to the bucket of the stack"),
    ("logging.trigger_log_server_port", "remove it: the security groups know the port"),
    ("logging.worker_log_server_port", "remove it: the security groups know the port"),
    ("operators.default_queue", "remove it: one of the worker sets serves `default`"),
    ("scheduler.enable_health_check", "remove it: rollouts ask for the scheduler's health"),
    ("scheduler.scheduler_health_check_server_port", "remove it: rollouts ask for the scheduler's health"),
    ("secrets.backend", "remove it: connections and variables come from Secrets Manager"),
    ("secrets.backend_kwargs", "remove it: connections and variables come from Secrets Manager"),
    ("smtp.smtp_host", "set `mail.host`"),
    ("smtp.smtp_mail_from", "set `mail.from`"),
    ("smtp.smtp_port", "set `mail.port`"),
    ("smtp.smtp_ssl", "set `mail.ssl`"),
    ("smtp.smtp_starttls", "set `mail.starttls`"),
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

/// The checked name of an option, or the kind of problem and what is wrong.
pub fn option(name: &str, value: &str) -> Result<AirflowKey, (&'static str, Wrong)> {
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
            ("smtp.smtp_host", "smtp.example.com", "owned_key"),
            ("fab.auth_backends", "x", "owned_key"),
            ("email.from_email", "a@b.c", "owned_key"),
            ("core.load_examples", "True", "owned_key"),
            ("api.secret_key", "x", "secret"),
            ("custom.store", "redis://user:hunter2@host/0", "secret"),
            ("parallelism", "1", "invalid_value"),
            ("core.x", "a\nb", "invalid_value"),
        ] {
            let (found, wrong) = option(name, value).unwrap_err();
            assert_eq!(found, kind, "{name}");
            assert!(!wrong.message.contains("hunter2"));
        }
        for (name, value) in [
            ("core.parallelism", "32"),
            ("smtp.smtp_timeout", "smtp://h/a@b"),
            ("email.subject_template", "a@b.c"),
        ] {
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
