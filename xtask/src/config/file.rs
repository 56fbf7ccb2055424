//! An environment file as it is written: every key optional, nothing defaulted, nothing checked but types.

use super::document::{self, Table, Written};
use super::problems::Problems;

type Text = Option<Written<String>>;
type Number = Option<Written<i64>>;
type Truth = Option<Written<bool>>;
/// Keys of the user's own.
pub type Free = Vec<(String, Written<String>)>;

#[derive(Debug, Default)]
pub struct File {
    pub project: Text,
    pub engine: Text,
    pub protected: Truth,
    pub aws: Aws,
    pub airflow: Airflow,
    pub dags: Dags,
    pub network: Network,
    pub database: Database,
    pub hosts: Hosts,
    pub logs: Logs,
    pub tags: Free,
}

#[derive(Debug, Default)]
pub struct Aws {
    pub account: Text,
    pub region: Text,
    pub endpoint: Text,
}

#[derive(Debug, Default)]
pub struct Airflow {
    pub url: Text,
    pub port: Number,
    pub config: Free,
}

#[derive(Debug, Default)]
pub struct Dags {
    pub parse_timeout_seconds: Number,
    pub refresh_interval_seconds: Number,
}

#[derive(Debug, Default)]
pub struct Network {
    pub vpc_cidr: Text,
    pub vpc_id: Text,
    pub subnet_ids: Option<Written<Vec<String>>>,
    pub allowed_cidr: Text,
}

#[derive(Debug, Default)]
pub struct Database {
    pub version: Number,
    pub instance_class: Text,
    pub storage_gib: Number,
    pub max_storage_gib: Number,
    pub backup_days: Number,
    pub multi_az: Truth,
}

#[derive(Debug, Default)]
pub struct Hosts {
    pub architecture: Text,
    pub drain_minutes: Number,
    pub api_server: Fixed,
    pub scheduler: Fixed,
    pub worker: Worker,
}

/// Hosts of a fixed number.
#[derive(Debug, Default)]
pub struct Fixed {
    pub instance_type: Text,
    pub count: Number,
    pub volume_gib: Number,
}

#[derive(Debug, Default)]
pub struct Worker {
    pub instance_type: Text,
    pub min: Number,
    pub max: Number,
    pub volume_gib: Number,
    pub concurrency: Number,
    pub rollout: Text,
}

#[derive(Debug, Default)]
pub struct Logs {
    pub retention_days: Number,
}

impl File {
    /// Reads what fits and notes everything that does not; nothing where the text is not TOML.
    pub fn parse(text: &str, problems: &mut Problems) -> Option<Self> {
        document::read(text, problems, Self::read)
    }

    fn read(table: &mut Table) -> Self {
        Self {
            project: table.string("project"),
            engine: table.string("engine"),
            protected: table.boolean("protected"),
            aws: table.table("aws", Aws::read),
            airflow: table.table("airflow", Airflow::read),
            dags: table.table("dags", Dags::read),
            network: table.table("network", Network::read),
            database: table.table("database", Database::read),
            hosts: table.table("hosts", Hosts::read),
            logs: table.table("logs", Logs::read),
            tags: table.free("tags"),
        }
    }
}

/// Every key that an environment file may have, dotted; `airflow.config` and `tags` stand for a table
/// of the user's own keys.
#[must_use]
pub fn keys() -> Vec<String> {
    document::keys_of(File::read)
}

impl Aws {
    fn read(table: &mut Table) -> Self {
        Self {
            account: table.string("account"),
            region: table.string("region"),
            endpoint: table.string("endpoint"),
        }
    }
}

impl Airflow {
    fn read(table: &mut Table) -> Self {
        Self { url: table.string("url"), port: table.integer("port"), config: table.free("config") }
    }
}

impl Dags {
    fn read(table: &mut Table) -> Self {
        Self {
            parse_timeout_seconds: table.integer("parse_timeout_seconds"),
            refresh_interval_seconds: table.integer("refresh_interval_seconds"),
        }
    }
}

impl Network {
    fn read(table: &mut Table) -> Self {
        Self {
            vpc_cidr: table.string("vpc_cidr"),
            vpc_id: table.string("vpc_id"),
            subnet_ids: table.strings("subnet_ids"),
            allowed_cidr: table.string("allowed_cidr"),
        }
    }
}

impl Database {
    fn read(table: &mut Table) -> Self {
        Self {
            version: table.integer("version"),
            instance_class: table.string("instance_class"),
            storage_gib: table.integer("storage_gib"),
            max_storage_gib: table.integer("max_storage_gib"),
            backup_days: table.integer("backup_days"),
            multi_az: table.boolean("multi_az"),
        }
    }
}

impl Hosts {
    fn read(table: &mut Table) -> Self {
        Self {
            architecture: table.string("architecture"),
            drain_minutes: table.integer("drain_minutes"),
            api_server: table.table("api_server", Fixed::read),
            scheduler: table.table("scheduler", Fixed::read),
            worker: table.table("worker", Worker::read),
        }
    }
}

impl Fixed {
    fn read(table: &mut Table) -> Self {
        Self {
            instance_type: table.string("instance_type"),
            count: table.integer("count"),
            volume_gib: table.integer("volume_gib"),
        }
    }
}

impl Worker {
    fn read(table: &mut Table) -> Self {
        Self {
            instance_type: table.string("instance_type"),
            min: table.integer("min"),
            max: table.integer("max"),
            volume_gib: table.integer("volume_gib"),
            concurrency: table.integer("concurrency"),
            rollout: table.string("rollout"),
        }
    }
}

impl Logs {
    fn read(table: &mut Table) -> Self {
        Self { retention_days: table.integer("retention_days") }
    }
}
