//! Checks single values of the file. None of them may be a secret.

use super::written::{self, Set};
use super::{Checked, FILE, PartOfPool};
use crate::config::document::Written;
use crate::config::problems::{Location, Problems, Refusal};
use crate::config::secrecy::{has_credentials, names_a_secret};
use crate::config::values::SecretName;
use crate::model::objects::{Connection, Variable};
use serde_json::Value;

/// The valid objects of a part of the file; the others are reported.
pub fn set(set: &Set, problems: &mut Problems) -> Checked {
    let mut checked = Checked::default();
    for (id, written) in &set.connections {
        name(id, "ID of a connection", is_id, "use letters, digits and `_-.`", problems);
        let place = (id.location.clone(), connection(&id.value, written, problems));
        checked.connections.insert(id.value.clone(), place);
    }
    for (key, written) in &set.variables {
        checked.variables.extend(variable(key, written, problems).map(|value| (key.clone(), value)));
    }
    for (pool_name, written) in &set.pools {
        name(pool_name, "name of a pool", is_pool, "use 1 to 256 characters on one line", problems);
        let place = (pool_name.location.clone(), pool(&pool_name.value, written, problems));
        checked.pools.insert(pool_name.value.clone(), place);
    }
    checked
}

fn name(written: &Written<String>, what: &str, valid: fn(&str) -> bool, hint: &str, problems: &mut Problems) {
    if !valid(&written.value) {
        let refusal = Refusal::new(format!("invalid {what}: `{}`", written.value), hint);
        problems.report("invalid_value", &written.location, refusal);
    }
}

fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    (1..=250).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_pool(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn connection(id: &str, written: &written::Connection, problems: &mut Problems) -> Connection {
    if let Some(Written { location, .. }) = &written.password {
        let message = "passwords do not belong in this file";
        problems.report("secret", location, Refusal::new(message, store("connections", id)));
    }
    if let Some(Written { value, location }) = &written.extra {
        extra(id, value, location, problems);
    }
    let mut text = |text: &Option<Written<String>>| {
        text.as_ref().map(|Written { value, location }| {
            credentials(value, location, &store("connections", id), problems);
            value.clone()
        })
    };
    let [conn_type, host, schema, login, description] =
        [&written.conn_type, &written.host, &written.schema, &written.login, &written.description]
            .map(&mut text);
    Connection {
        conn_type,
        host,
        schema,
        login,
        description,
        port: number(written.port.as_ref(), 65535, problems),
        extra: written.extra.as_ref().map(|extra| extra.value.clone()),
        secret: written.secret.as_ref().map(|secret| named(secret, "connections", id, problems)),
    }
}

/// What is in `extra` is known to providers by names such as `aws_secret_access_key`.
fn extra(id: &str, value: &Value, location: &Location, problems: &mut Problems) {
    if !value.is_object() {
        let hint = "write a table, as in `extra = { sslmode = \"require\" }`";
        problems.report("wrong_type", location, Refusal::new("expected a table", hint));
    }
    for (name, value) in leaves("extra", value) {
        let filled = value.as_str().is_none_or(|text| !text.is_empty());
        if filled && names_a_secret(&name) {
            let message = format!("`{name}` appears to contain a secret; secrets do not belong in this file");
            problems.report("secret", location, Refusal::new(message, store("connections", id)));
        } else if let Some(text) = value.as_str() {
            credentials(text, location, &store("connections", id), problems);
        }
    }
}

/// Every value that is neither table nor array, with its dotted name.
fn leaves<'v>(name: &str, value: &'v Value) -> Vec<(String, &'v Value)> {
    match value {
        Value::Object(entries) => {
            entries.iter().flat_map(|(key, value)| leaves(&format!("{name}.{key}"), value)).collect()
        }
        Value::Array(list) => list.iter().flat_map(|value| leaves(name, value)).collect(),
        _ => vec![(name.to_owned(), value)],
    }
}

/// A string as it is, `{ secret = "…" }`, or whatever else JSON can hold as JSON.
fn variable(key: &str, written: &Written<Value>, problems: &mut Problems) -> Option<Variable> {
    let Written { value, location } = written;
    if key.is_empty() || key.len() > 250 || key.chars().any(char::is_control) {
        let refusal = Refusal::new("invalid key of a variable", "use 1 to 250 characters on one line");
        problems.report("invalid_value", location, refusal);
    }
    let secret = value.as_object().filter(|entries| entries.len() == 1).and_then(|one| one.get("secret"));
    if let Some(secret) = secret.and_then(Value::as_str) {
        let secret = Written { value: secret.to_owned(), location: location.clone() };
        return Some(Variable::Secret { secret: named(&secret, "variables", key, problems) });
    }
    let secret = leaves(key, value).into_iter().find(|(name, _)| names_a_secret(name));
    if let Some((name, _)) = secret {
        let message = format!("`{name}` appears to contain a secret; secrets do not belong in this file");
        problems.report("secret", location, Refusal::new(message, store("variables", key)));
        return None;
    }
    for (_, value) in leaves(key, value) {
        credentials(value.as_str().unwrap_or_default(), location, &store("variables", key), problems);
    }
    Some(Variable::Plain(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
}

fn credentials(value: &str, location: &Location, hint: &str, problems: &mut Problems) {
    if has_credentials(value) {
        let message = "the URL contains a user name or password; secrets do not belong in this file";
        problems.report("secret", location, Refusal::new(message, hint));
    }
}

/// The cure for a secret in the file.
fn store(kind: &str, name: &str) -> String {
    let secret = format!("\"{kind}/{name}\"");
    let line = match kind {
        "connections" => format!("secret = {secret}"),
        _ => format!("{name} = {{ secret = {secret} }}"),
    };
    format!("write `{line}`, and store it: cargo xtask secret set {kind}/{name} --env ENV")
}

/// The name of a secret that hosts may read for this kind of object.
fn named(written: &Written<String>, kind: &str, name: &str, problems: &mut Problems) -> String {
    let secret = &written.value;
    let hint = format!("use `{kind}/{name}`, or another name that starts with `{kind}/`");
    let refusal = match SecretName::parse(secret) {
        Err(refusal) => Some(refusal),
        Ok(_) if !secret.starts_with(&format!("{kind}/")) => {
            Some(Refusal::new(format!("`{secret}` is not a secret of {kind}"), hint))
        }
        Ok(_) => None,
    };
    if let Some(refusal) = refusal {
        problems.report("invalid_value", &written.location, refusal);
    }
    secret.clone()
}

fn pool(name: &str, written: &written::Pool, problems: &mut Problems) -> PartOfPool {
    if name == "default_pool" {
        let location =
            written.slots.as_ref().map_or_else(|| Location::missing(FILE), |slots| slots.location.clone());
        let hint = "change its slots in Airflow (Admin, Pools); before the first deployment, set \
                    `\"core.default_pool_task_slot_count\"` under `[airflow.config]`";
        let refusal = Refusal::new("`default_pool` belongs to Airflow itself", hint);
        problems.report("owned_key", &location, refusal);
    }
    PartOfPool {
        slots: number(written.slots.as_ref(), 1_000_000, problems),
        description: written.description.as_ref().map(|text| text.value.clone()),
        include_deferred: written.include_deferred.as_ref().map(|flag| flag.value),
    }
}

/// A number that is written and wrong has been reported, and is not missing.
fn number(written: Option<&Written<i64>>, most: u32, problems: &mut Problems) -> Option<u32> {
    let Written { value, location } = written?;
    let number = u32::try_from(*value).ok().filter(|number| (1..=most).contains(number));
    if number.is_none() {
        let message = format!("`{value}` is out of range: 1 to {most}");
        let refusal = Refusal::new(message, format!("use a number from 1 to {most}"));
        problems.report("invalid_value", location, refusal);
    }
    Some(number.unwrap_or(1))
}
