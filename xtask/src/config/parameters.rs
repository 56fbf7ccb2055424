//! What the master stack is given: parameters and tags. No secret is among them.

use super::environment::{Database, Entry, Environment, HostGroup, Hosts, Login, Mail, Network, Vpc};
use super::values::VpcCidr;
use crate::model::names;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most that the parameter `AirflowConfig` holds; CloudFormation's own limit for any parameter.
pub const LONGEST_AIRFLOW_CONFIG: usize = 4096;

type Pairs = Vec<(String, String)>;

impl Environment {
    /// Every parameter of the master stack that is not a worker set's own, also those that equal their
    /// default: what an environment runs must not change when a default of a template does.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let groups = [
            self.common(),
            self.network.parameters(),
            self.entry.parameters(),
            self.database.parameters(),
            self.hosts.parameters(),
            self.operations(),
        ];
        groups.into_iter().flatten().collect()
    }

    fn common(&self) -> Pairs {
        vec![
            pair("ProjectName", &self.project),
            pair("EnvironmentName", &self.name),
            pair("Protected", self.protected),
            pair("ArtifactBucket", self.artifact_bucket()),
            pair("AirflowUrl", &self.airflow.url),
            pair("EntryDomain", self.airflow.url.host()),
            pair("AirflowPort", self.airflow.port),
            pair("Local", self.is_local()),
            pair("AirflowConfig", self.airflow_config()),
            pair("LoginConfig", self.login.config()),
            pair("MailConfig", self.mail.as_ref().map_or_else(|| "{}".to_owned(), Mail::config)),
        ]
    }

    fn operations(&self) -> Pairs {
        let schedule = self.schedule.as_ref();
        let time_zone = schedule.map_or("UTC", |schedule| &schedule.time_zone);
        vec![
            pair("BrokerKind", self.broker.kind),
            pair("CacheNodeType", &self.broker.node_type),
            pair("CacheReplicas", self.broker.replicas),
            pair("SharedFiles", self.storage.shared_files),
            pair("VaultRetentionDays", self.storage.vault_retention_days),
            pair("LogRetentionDays", self.storage.log_retention_days),
            pair("ServiceLogRetentionDays", self.watch.service_log_retention_days),
            pair("AlertEmail", or_empty(self.watch.alert_email.as_ref())),
            pair("BudgetUsd", self.watch.budget_usd),
            pair("AuditTrail", self.watch.audit_trail),
            pair("GitHubRepository", or_empty(self.github.repository.as_ref())),
            pair("SleepCron", or_empty(schedule.map(|schedule| &schedule.sleep))),
            pair("WakeCron", or_empty(schedule.map(|schedule| &schedule.wake))),
            pair("ScheduleTimeZone", time_zone),
        ]
    }

    /// Options of Airflow as one line of JSON: the user's own and those that other keys stand for.
    #[must_use]
    pub fn airflow_config(&self) -> String {
        let parse = self.dags.parse_timeout.as_secs();
        let truth = |truth: bool| if truth { "True" } else { "False" };
        let mut all = BTreeMap::from([
            pair("core.dagbag_import_timeout", parse),
            pair("core.load_examples", truth(self.airflow.load_examples)),
            // The process around the import gets the 20 s more that Airflow's own defaults give it.
            pair("dag_processor.dag_file_processor_timeout", parse + 20),
            pair("dag_processor.refresh_interval", self.dags.refresh_interval.as_secs()),
            pair("database.load_default_connections", truth(self.airflow.load_default_connections)),
        ]);
        all.extend(self.airflow.config.iter().map(|(key, value)| pair(key.as_str(), value)));
        Value::from_iter(all).to_string()
    }

    /// Parameters of `templates/bootstrap.yaml`, which all environments of an account and region share.
    #[must_use]
    pub fn bootstrap_parameters(&self) -> BTreeMap<String, String> {
        let provider = self.github.repository.is_some() && self.github.create_provider;
        BTreeMap::from([pair("GitHubOidcProvider", provider)])
    }

    /// Secrets that nobody but people can make: the key that asks for one, and its name or ARN.
    #[must_use]
    pub fn secrets_needed(&self) -> Vec<(&'static str, String)> {
        let google = self.login.google.as_ref();
        let google = google.map(|_| ("login.google_client_id", names::google_secret(self.name.as_str())));
        let url = self.database.url_secret.as_ref().map(|arn| ("database.url_secret", arn.to_string()));
        google.into_iter().chain(url).collect()
    }

    /// Tags of the master stack, which CloudFormation hands on to every resource that takes tags.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        let mut all = self.tags.clone();
        all.extend([
            pair("project", &self.project),
            pair("environment", &self.name),
            pair("team", &self.team),
        ]);
        all
    }
}

impl Network {
    /// The range is passed for an existing VPC as well, unused: the parameter has no empty value.
    fn parameters(&self) -> Pairs {
        let (cidr, id, subnets, public) = match &self.vpc {
            Vpc::Own(cidr) => (*cidr, String::new(), String::new(), String::new()),
            Vpc::Existing { id, subnets, public_subnets } => {
                (VpcCidr::DEFAULT, id.to_string(), joined(subnets), joined(public_subnets))
            }
        };
        vec![
            pair("VpcCidr", cidr),
            pair("AvailabilityZoneCount", self.zones),
            pair("NatMode", self.nat),
            pair("InterfaceEndpoints", self.interface_endpoints),
            pair("FlowLogs", self.flow_logs),
            pair("ExistingVpcId", id),
            pair("ExistingSubnetIds", subnets),
            pair("ExistingPublicSubnetIds", public),
        ]
    }
}

impl Entry {
    fn parameters(&self) -> Pairs {
        vec![
            pair("EntryScheme", self.load_balancer),
            pair("AllowedCidrs", joined(&self.allowed)),
            pair("CertificateArn", or_empty(self.certificate.as_ref())),
            pair("HostedZoneId", or_empty(self.hosted_zone.as_ref())),
            pair("AccessLogs", self.access_logs),
            pair("WebFirewall", self.firewall),
        ]
    }
}

impl Database {
    fn parameters(&self) -> Pairs {
        vec![
            pair("DatabaseEngine", self.engine),
            pair("DatabaseVersion", &self.version),
            pair("DatabaseInstanceClass", &self.instance_class),
            pair("DatabaseStorageGiB", self.storage_gib),
            pair("DatabaseMaxStorageGiB", self.max_storage_gib),
            pair("DatabaseBackupDays", self.backup_days),
            pair("DatabaseMultiAz", self.multi_az),
            pair("DatabaseSnapshot", or_empty(self.snapshot.as_ref())),
            pair("DatabaseUrlSecretArn", or_empty(self.url_secret.as_ref())),
            pair("AuroraMinCapacity", self.min_capacity),
            pair("AuroraMaxCapacity", self.max_capacity),
        ]
    }
}

impl Hosts {
    fn parameters(&self) -> Pairs {
        let mut all =
            vec![pair("HostArchitecture", self.architecture), pair("DrainSeconds", self.drain.as_secs())];
        for (prefix, group) in [("ApiServer", &self.api_server), ("Scheduler", &self.scheduler)] {
            let HostGroup { instance_type, count, volume_gib, permissions } = group;
            all.extend([
                pair(&format!("{prefix}InstanceType"), instance_type),
                pair(&format!("{prefix}Count"), count),
                pair(&format!("{prefix}VolumeGiB"), volume_gib),
                pair(&format!("{prefix}ManagedPolicyArns"), joined(&permissions.managed)),
            ]);
        }
        all
    }
}

impl Login {
    /// One line of JSON, its keys in order. The client's secret is not in it, hosts read it from Secrets Manager.
    #[must_use]
    pub fn config(&self) -> String {
        let mut config = BTreeMap::from([
            ("method", json!("password")),
            ("default_role", json!(self.default_role)),
            ("service_role", json!(self.service_role)),
            ("roles", json!(self.roles)),
        ]);
        if let Some(google) = &self.google {
            config.extend([
                ("method", json!("google")),
                ("google_client_id", json!(google.client_id)),
                ("google_domain", json!(google.domain)),
            ]);
        }
        Value::from_iter(config).to_string()
    }
}

impl Mail {
    fn config(&self) -> String {
        let config = BTreeMap::from([
            ("host", json!(self.host)),
            ("port", json!(self.port)),
            ("starttls", json!(self.starttls)),
            ("ssl", json!(self.ssl)),
            ("from", json!(self.from)),
        ]);
        Value::from_iter(config).to_string()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and references alike")]
pub(super) fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

pub(super) fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn or_empty<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}
