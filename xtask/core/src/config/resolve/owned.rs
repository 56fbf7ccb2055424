//! Airflow options that an environment file must not set: those that the tool sets, and secrets.

use crate::config::problems::Refusal;
use crate::config::secrecy::has_credentials;
use crate::config::values::AirflowKey;
use crate::model::contract::CONTRACT;

/// The checked name of an option, or the kind of problem and what is wrong.
pub fn option(name: &str, value: &str) -> Result<AirflowKey, (&'static str, Refusal)> {
    let key = AirflowKey::parse(name).map_err(|refusal| ("invalid_value", refusal))?;
    if is_secret(&key) || has_credentials(value) {
        let hint = "remove it: the stack generates the secrets of Airflow itself; store those of connections \
                    and variables in Secrets Manager";
        let message = format!("`{name}` appears to contain a secret; secrets do not belong in this file");
        return Err(("secret", Refusal::new(message, hint)));
    }
    if let Some(cure) = cure_if_owned(name) {
        return Err(("owned_key", Refusal::new(format!("`{name}` is set by the tool"), cure)));
    }
    if value.chars().any(char::is_control) {
        let message = "the value contains a line break or another control character";
        return Err(("invalid_value", Refusal::new(message, "write it on one line")));
    }
    Ok(key)
}

/// What to do instead of setting the option, if the tool sets it.
fn cure_if_owned(name: &str) -> Option<&'static str> {
    let owned = CONTRACT.options.owned.iter().find(|(pattern, _)| matches(pattern, name));
    owned.map(|(_, owned)| owned.cure.as_str())
}

/// Whether a name is that of the contract, where `*` ends a name of any kind.
pub fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn is_secret(key: &AirflowKey) -> bool {
    let options = &CONTRACT.options;
    options.secret.iter().any(|secret| secret == key.as_str())
        || options.secret_endings.iter().any(|ending| key.option().ends_with(ending))
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
            let (found, refusal) = option(name, value).unwrap_err();
            assert_eq!(found, kind, "{name}");
            assert!(!refusal.message.contains("hunter2"));
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
    fn the_options_of_the_contract_are_options() {
        for name in CONTRACT.options.owned.keys() {
            assert!(AirflowKey::parse(&name.replace('*', "x")).is_ok(), "{name}");
        }
        for name in &CONTRACT.options.secret {
            assert!(AirflowKey::parse(name).is_ok(), "{name}");
        }
    }
}
