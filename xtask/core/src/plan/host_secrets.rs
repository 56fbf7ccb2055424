//! The secrets that components read as they start. Whoever changes one wants it to be read again.

use crate::model::contract::CONTRACT;
use crate::model::names;
use crate::model::secret::{HostSecret, Versions};
use serde_json::Value;
use std::collections::BTreeMap;

type Values = BTreeMap<String, String>;

const ENDING: &str = "SecretArn";

/// The secrets of an environment with these outputs and parameters of its stack, by name.
#[must_use]
pub fn host_secrets(outputs: &Values, parameters: &Values) -> BTreeMap<String, HostSecret> {
    let made = CONTRACT.outputs.hosts.iter().filter(|name| name.ends_with(ENDING));
    let made = made.filter_map(|name| {
        let id = outputs.get(name).filter(|arn| **arn != CONTRACT.outputs.none)?.clone();
        Some((short(&id).to_owned(), HostSecret { id, on_workers: CONTRACT.secrets.workers.contains(name) }))
    });
    let google = google(parameters).map(|id| (id.clone(), HostSecret { id, on_workers: false }));
    made.chain(google).collect()
}

/// The secret of the Google client, if people log in by it.
fn google(parameters: &Values) -> Option<String> {
    let login: Value = serde_json::from_str(parameters.get("LoginConfig")?).ok()?;
    let environment = parameters.get("EnvironmentName").filter(|_| login["method"] == "google")?;
    Some(names::google_secret(environment))
}

/// An ARN without account and region: `arn:aws:secretsmanager:eu-central-1:111122223333:secret:NAME-AbCdEf`.
fn short(arn: &str) -> &str {
    arn.split_once(":secret:").map_or(arn, |(_, name)| name)
}

/// The versions that hosts of a deployment group read, which is named by its output.
#[must_use]
pub fn of_group(group: &str, secrets: &BTreeMap<String, HostSecret>, versions: &Versions) -> Versions {
    let workers = names::serves_workers(group);
    let read = |name: &str| !workers || secrets.get(name).is_some_and(|secret| secret.on_workers);
    versions
        .iter()
        .filter(|(name, _)| read(name))
        .map(|(name, version)| (name.clone(), version.clone()))
        .collect()
}

/// The names of those that have another version now than hosts have read.
#[must_use]
pub fn changed(read: &Versions, now: &Versions) -> Vec<String> {
    let differs = |(name, version): &(&String, &String)| read.get(*name).is_some_and(|read| read != *version);
    now.iter().filter(differs).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FERNET: &str =
        "arn:aws:secretsmanager:eu-central-1:111122223333:secret:ductwork/dev/platform/fernet-AbCdEf";

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_a_host_reads() {
        let outputs = values(&[
            ("FernetKeySecretArn", FERNET),
            ("CacheSecretArn", "-"),
            ("AdminSecretArn", "a:secret:b"),
        ]);
        let with = |login: &str| {
            let found =
                host_secrets(&outputs, &values(&[("EnvironmentName", "dev"), ("LoginConfig", login)]));
            found.into_iter().map(|(name, secret)| (name, secret.on_workers)).collect::<Vec<_>>()
        };
        let made = [("b".to_owned(), false), ("ductwork/dev/platform/fernet-AbCdEf".to_owned(), true)];
        assert_eq!(with(r#"{"method": "password"}"#), made);
        let google = ("ductwork/dev/login/google".to_owned(), false);
        assert_eq!(with(r#"{"method": "google"}"#), [made[0].clone(), google, made[1].clone()]);
    }

    #[test]
    fn workers_are_left_alone_when_a_login_changes() {
        let secret = |on_workers| HostSecret { id: String::new(), on_workers };
        let secrets =
            BTreeMap::from([("admin".to_owned(), secret(false)), ("fernet".to_owned(), secret(true))]);
        let versions = values(&[("admin", "1"), ("fernet", "1")]);
        assert_eq!(of_group("ApiServerDeploymentGroup", &secrets, &versions), versions);
        let fernet = values(&[("fernet", "1")]);
        assert_eq!(of_group("WorkerDefaultDeploymentGroup", &secrets, &versions), fernet);
    }

    #[test]
    fn only_a_secret_that_was_read_can_have_changed() {
        let read = values(&[("admin", "1"), ("fernet", "1"), ("gone", "1")]);
        let now = values(&[("admin", "2"), ("fernet", "1"), ("new", "1")]);
        assert_eq!(changed(&read, &now), ["admin"]);
        assert!(changed(&Versions::new(), &now).is_empty(), "nothing was recorded");
    }
}
