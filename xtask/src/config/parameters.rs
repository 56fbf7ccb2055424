//! What the master stack is given: parameters and tags. No secret is among them.

use super::environment::{Environment, HostGroup, Pace, Vpc};
use std::collections::BTreeMap;

/// The most that the parameter `AirflowConfig` holds; CloudFormation's own limit for any parameter.
pub const LONGEST_AIRFLOW_CONFIG: usize = 4096;

impl Environment {
    /// Every parameter of `templates/master.yaml`, also those that equal its default: what an
    /// environment runs must not change when a default of a template does.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            pair("ProjectName", &self.project),
            pair("EnvironmentName", &self.name),
            pair("Protected", self.protected),
            pair("ArtifactBucket", self.artifact_bucket()),
            pair("AirflowUrl", &self.airflow.url),
            pair("AirflowPort", self.airflow.port),
            pair("AirflowConfig", self.airflow_config()),
            pair("AllowedCidr", self.network.allowed),
            pair("DatabaseVersion", self.database.version),
            pair("DatabaseInstanceClass", &self.database.instance_class),
            pair("DatabaseStorageGiB", self.database.storage_gib),
            pair("DatabaseMaxStorageGiB", self.database.max_storage_gib),
            pair("DatabaseBackupDays", self.database.backup_days),
            pair("DatabaseMultiAz", self.database.multi_az),
            pair("HostArchitecture", self.hosts.architecture),
            pair("DrainSeconds", self.hosts.drain.as_secs()),
            pair("ApiServerCount", self.hosts.api_server.min),
            pair("SchedulerCount", self.hosts.scheduler.min),
            pair("WorkerMinCount", self.hosts.worker.min),
            pair("WorkerMaxCount", self.hosts.worker.max),
            pair("WorkerConcurrency", self.hosts.worker_concurrency),
            pair("WorkerDeploymentConfig", self.hosts.worker_rollout.deployment_config()),
            pair("LogRetentionDays", self.logs.retention_days),
        ]);
        all.extend(machine("ApiServer", &self.hosts.api_server));
        all.extend(machine("Scheduler", &self.hosts.scheduler));
        all.extend(machine("Worker", &self.hosts.worker));
        all.extend(vpc(&self.network.vpc));
        all
    }

    /// Options of Airflow as one line of JSON: the user's own and those that other keys stand for.
    #[must_use]
    pub fn airflow_config(&self) -> String {
        let parse = self.dags.parse_timeout.as_secs();
        let mut all = BTreeMap::from([
            pair("core.dagbag_import_timeout", parse),
            // The process around the import gets the 20 s more that Airflow's own defaults give it.
            pair("dag_processor.dag_file_processor_timeout", parse + 20),
            pair("dag_processor.refresh_interval", self.dags.refresh_interval.as_secs()),
        ]);
        all.extend(self.airflow.config.iter().map(|(key, value)| pair(key.as_str(), value)));
        serde_json::Value::from_iter(all).to_string()
    }

    /// Tags of the master stack, which CloudFormation hands on to every resource that takes tags.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        let mut all = self.tags.clone();
        all.extend([pair("project", &self.project), pair("environment", &self.name)]);
        all
    }
}

impl Pace {
    fn deployment_config(self) -> &'static str {
        match self {
            Pace::OneAtATime => "CodeDeployDefault.OneAtATime",
            Pace::HalfAtATime => "CodeDeployDefault.HalfAtATime",
            Pace::AllAtOnce => "CodeDeployDefault.AllAtOnce",
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and references alike")]
fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn machine(prefix: &str, group: &HostGroup) -> [(String, String); 2] {
    [
        pair(&format!("{prefix}InstanceType"), &group.instance_type),
        pair(&format!("{prefix}VolumeGiB"), group.volume_gib),
    ]
}

/// The range is passed for an existing VPC as well, unused: the parameter has no empty value.
fn vpc(vpc: &Vpc) -> [(String, String); 3] {
    let (cidr, id, subnets) = match vpc {
        Vpc::Own(cidr) => (*cidr, String::new(), String::new()),
        Vpc::Existing { id, subnets } => {
            let subnets: Vec<&str> = subnets.iter().map(super::values::SubnetId::as_str).collect();
            (super::values::VpcCidr::DEFAULT, id.to_string(), subnets.join(","))
        }
    };
    [pair("VpcCidr", cidr), pair("ExistingVpcId", id), pair("ExistingSubnetIds", subnets)]
}
