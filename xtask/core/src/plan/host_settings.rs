//! What hosts read of the master stack: a change of it, and of nothing else, is a reason for a rollout.

use crate::model::contract::CONTRACT;
use crate::model::digest::Digest;
use crate::model::names;
use serde_json::json;
use std::collections::BTreeMap;

type Values = BTreeMap<String, String>;

/// The digest of every output and parameter that hosts read, and of the versions of secrets.
#[must_use]
pub fn digest(outputs: &Values, parameters: &Values, secrets: &Values) -> Digest {
    let of_sets = names::worker_set_prefixes(outputs).into_iter().flat_map(|prefix| {
        CONTRACT.outputs.worker_set.values().map(move |suffix| format!("{prefix}{suffix}"))
    });
    let read: Vec<String> = CONTRACT.outputs.hosts.iter().cloned().chain(of_sets).collect();
    let outputs: BTreeMap<&String, Option<&String>> =
        read.iter().map(|name| (name, outputs.get(name))).collect();
    let parameters: BTreeMap<&String, Option<&String>> =
        CONTRACT.parameters.hosts.iter().map(|name| (name, parameters.get(name))).collect();
    let read = json!({ "outputs": outputs, "parameters": parameters, "secrets": secrets });
    Digest::of(read.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_a_host_reads_counts() {
        let outputs = values(&[
            ("AirflowUrl", "http://a"),
            ("WorkerSets", r#"{"default": {"prefix": "WorkerDefault"}}"#),
            ("WorkerDefaultQueueUrl", "q"),
            ("DashboardName", "d"),
        ]);
        let parameters = values(&[("AirflowConfig", "{}"), ("DatabaseBackupDays", "7")]);
        let secrets = values(&[("ductwork/dev/login/google", "1")]);
        let before = digest(&outputs, &parameters, &secrets);
        let with_output = |name: &str| {
            let mut changed = outputs.clone();
            changed.insert(name.to_owned(), "changed".to_owned());
            digest(&changed, &parameters, &secrets)
        };
        let with_parameter = |name: &str| {
            let mut changed = parameters.clone();
            changed.insert(name.to_owned(), "changed".to_owned());
            digest(&outputs, &changed, &secrets)
        };
        for read in ["AirflowUrl", "CacheHost", "WorkerDefaultQueueUrl", "WorkerDefaultDeploymentGroup"] {
            assert_ne!(with_output(read), before, "{read}");
        }
        for unread in ["DashboardName", "TrailBucket", "WorkerDefaultDeadLetterQueueUrl", "DeployRoleArn"] {
            assert_eq!(with_output(unread), before, "{unread}");
        }
        assert_ne!(with_parameter("AirflowConfig"), before);
        assert_eq!(with_parameter("DatabaseBackupDays"), before);
        assert_ne!(digest(&outputs, &parameters, &values(&[("ductwork/dev/login/google", "2")])), before);
    }
}
