//! What an environment passes to its stacks: parameters, settings of worker sets, and tags. Never a secret.

mod tasks;

use super::environment::{Compute, Database, Entry, Environment, Login, Mail, Network, Vpc};
use super::hosts::{HostGroup, Hosts, RunsOn, WorkerSet};
use super::values::{Account, Cron, Nat, Url, VpcCidr};
use crate::model::names;
use crate::model::package_index::PackageIndex;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Pairs = Vec<(String, String)>;

/// What components are started from, as far as their engine needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// The ID of a machine image.
    pub machine: Option<String>,
    /// A container image by its digest: `registry/repository@sha256:…`.
    pub container: Option<String>,
    /// Those of external tasks, likewise, by the names of the tasks; none where only their form matters.
    pub tasks: Option<BTreeMap<String, String>>,
}

impl Images {
    /// For what does not depend on which ones they are: they look as they should, and nobody has them.
    #[must_use]
    pub fn example() -> Self {
        let container =
            format!("{}.dkr.ecr.us-east-1.amazonaws.com/ductwork@sha256:{:064}", Account::LOCAL, 0);
        Self { machine: Some("ami-00000000".to_owned()), container: Some(container), tasks: None }
    }
}

impl Environment {
    /// Every parameter of the master stack except those of worker sets; `index` is where packages come from. Those that
    /// equal the default of the template are included, so that a new default does not change existing environments.
    #[must_use]
    pub fn parameters(&self, images: &Images, index: Option<&PackageIndex>) -> BTreeMap<String, String> {
        let groups = [
            self.common(),
            self.network.parameters(),
            self.entry.parameters(),
            self.database.parameters(),
            self.operations(),
            self.of_worker_sets(),
            self.computing(images),
            self.external.iter().map(|task| task.image_parameter(images)).collect(),
            vec![pair("PackageIndex", or_empty(index))],
        ];
        groups.into_iter().flatten().collect()
    }

    fn common(&self) -> Pairs {
        vec![
            pair("ProjectName", &self.project),
            pair("EnvironmentName", &self.name),
            pair("Local", self.is_local()),
            pair("Protected", self.protected),
            pair("ArtifactBucket", self.artifact_bucket()),
            pair("AirflowUrl", or_empty(self.airflow.url.as_ref())),
            pair("EntryDomain", self.airflow.url.as_ref().map_or("", Url::host)),
            pair("AirflowPort", self.airflow.port),
            pair("AirflowConfig", self.airflow_config()),
            pair("EnvironmentVariables", self.environment_variables()),
            pair("LoginConfig", self.login.config()),
            pair("MailConfig", self.mail.as_ref().map_or_else(|| "{}".to_owned(), Mail::config)),
        ]
    }

    fn computing(&self, images: &Images) -> Pairs {
        match &self.compute {
            Compute::Hosts(hosts) => hosts.parameters(images),
            Compute::Tasks(tasks) => {
                [tasks.parameters(images), self.broker.services(), vec![self.network.public_ip()]].concat()
            }
        }
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
            pair("ServiceLogRetentionDays", self.monitoring.service_log_retention_days),
            pair("AlertEmail", or_empty(self.monitoring.alert_email.as_ref())),
            pair("BudgetUsd", self.monitoring.budget_usd),
            pair("AuditTrail", self.monitoring.audit_trail),
            pair("GitHubRepository", or_empty(self.github.repository.as_ref())),
            pair("ReleaseSource", self.release.rules.from.as_ref().unwrap_or(&self.name).to_string()),
            pair("ScheduleTimeZone", time_zone),
        ]
    }

    /// Only templates of worker sets have these. Auto Scaling and Application Auto Scaling write the same times
    /// differently, and hosts have a canary without the stack.
    fn of_worker_sets(&self) -> Pairs {
        if self.workers.is_empty() {
            return Vec::new();
        }
        let times = self.schedule.as_ref().map(|schedule| [&schedule.sleep, &schedule.wake]);
        let (word, written): (_, fn(&Cron) -> String) = match self.compute {
            Compute::Hosts(_) => ("Cron", |time| time.as_str().to_owned()),
            Compute::Tasks(_) => ("Schedule", |time| time.application_auto_scaling().unwrap_or_default()),
        };
        let [sleep, wake] = times.map_or_else(Default::default, |times| times.map(written));
        let mut all = vec![pair(&format!("Sleep{word}"), sleep), pair(&format!("Wake{word}"), wake)];
        if let Compute::Tasks(_) = self.compute {
            all.push(pair("Canary", self.release.canary.is_some()));
        }
        all
    }

    /// Airflow options as one line of JSON: the user's own and those that other keys of the file stand for.
    #[must_use]
    pub fn airflow_config(&self) -> String {
        let parse = self.dags.parse_timeout.as_secs();
        let python = |flag: bool| if flag { "True" } else { "False" };
        let mut all = BTreeMap::from([
            pair("core.dagbag_import_timeout", parse),
            pair("core.load_examples", python(self.airflow.load_examples)),
            // The process gets 20 s more than the import that it runs, as in Airflow's defaults.
            pair("dag_processor.dag_file_processor_timeout", parse + 20),
            pair("dag_processor.refresh_interval", self.dags.refresh_interval.as_secs()),
            pair("database.load_default_connections", python(self.airflow.load_default_connections)),
        ]);
        all.extend(self.airflow.config.iter().map(|(key, value)| pair(key.as_str(), value)));
        Value::from_iter(all).to_string()
    }

    /// Environment variables as one line of JSON.
    #[must_use]
    pub fn environment_variables(&self) -> String {
        Value::from_iter(self.env.iter().map(|(name, value)| pair(name.as_str(), value))).to_string()
    }

    /// Parameters of `templates/bootstrap.yaml`, whose stack all environments of an account and region share.
    #[must_use]
    pub fn bootstrap_parameters(&self) -> BTreeMap<String, String> {
        let provider = self.github.repository.is_some() && self.github.create_provider;
        BTreeMap::from([pair("GitHubOidcProvider", provider)])
    }

    /// The secrets that people have to create: for each, the key that needs it and its name or ARN.
    #[must_use]
    pub fn secrets_needed(&self) -> Vec<(&'static str, String)> {
        let google = self.login.google.as_ref();
        let google = google.map(|_| ("login.google_client_id", names::google_secret(self.name.as_str())));
        let url = self.database.url_secret.as_ref().map(|arn| ("database.url_secret", arn.to_string()));
        google.into_iter().chain(url).collect()
    }

    /// Tags of the master stack, which CloudFormation passes on to every resource that supports tags.
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
    /// `VpcCidr` is passed for an existing VPC too, where it has no effect: it cannot be empty.
    fn parameters(&self) -> Pairs {
        let (cidr, id, subnets, public) = match &self.vpc {
            Vpc::New(cidr) => (*cidr, String::new(), String::new(), String::new()),
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

    /// Without NAT, tasks are in public subnets, where only an address of their own gets them out.
    fn public_ip(&self) -> (String, String) {
        let own = self.nat == Nat::None && matches!(self.vpc, Vpc::New(_));
        pair("AssignPublicIp", if own { "ENABLED" } else { "DISABLED" })
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
    fn parameters(&self, images: &Images) -> Pairs {
        let mut all = vec![
            pair("HostImage", or_empty(images.machine.as_ref())),
            pair("HostImageParameter", or_empty(self.image.as_ref().filter(|image| !image.is_id()))),
            pair("HostPackages", joined(&self.packages)),
            pair("DrainSeconds", self.drain.as_secs()),
            pair("ApiServerOnScheduler", self.api_server_on_scheduler),
        ];
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
    /// One line of JSON with sorted keys. The client secret is not in it: hosts read it from Secrets Manager.
    pub(super) fn config(&self) -> String {
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

impl WorkerSet {
    /// The parameters of `worker-set.yaml` that belong to this set alone.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            pair("WorkerSet", &self.name),
            pair("Queue", &self.queue),
            pair("Concurrency", self.concurrency),
            pair("OnDemandPercent", 100 - self.spot_percent),
            pair("OnDemandBase", self.on_demand_base),
            pair("MinCount", self.min),
            pair("MaxCount", self.max),
            pair("WorkerManagedPolicyArns", joined(&self.permissions.managed)),
        ]);
        match &self.runs_on {
            RunsOn::Host { instance_type, more_instance_types, volume_gib, rollout } => all.extend([
                pair("OnScheduler", self.on_scheduler),
                pair("InstanceType", instance_type),
                pair("MoreInstanceTypes", joined(more_instance_types)),
                pair("VolumeGiB", volume_gib),
                pair("DeploymentConfig", rollout),
            ]),
            RunsOn::Task { size, ephemeral_gib } => all.extend([
                pair("Cpu", size.cpu),
                pair("Memory", size.memory),
                pair("EphemeralGiB", ephemeral_gib),
                // ECS weighs the two against each other.
                pair("SpotPercent", self.spot_percent),
            ]),
        }
        all
    }

    /// Its entry in the output `WorkerSets` of the master stack, which hosts read. The keys are those of
    /// the contract.
    #[must_use]
    pub fn settings(&self) -> Value {
        json!({
            "prefix": self.prefix(),
            "queue": self.queue,
            "concurrency": self.concurrency,
            "on_scheduler": self.on_scheduler,
            "growth_threshold": self.growth_threshold,
            "shrink_threshold": self.shrink_threshold,
            "shrink_after_minutes": self.shrink_after_minutes,
            "min": self.min,
            "max": self.max,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "takes numbers and references alike")]
pub(super) fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn or_empty<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}
