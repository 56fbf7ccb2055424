//! The file as it is written: every key optional, nothing checked but types.

use crate::config::document::{self, Table, Written};
use crate::config::problems::{Problems, Reported};
use serde_json::Value;

type Text = Option<Written<String>>;

#[derive(Debug)]
pub struct File {
    pub common: Set,
    pub environments: Vec<(Written<String>, Set)>,
}

/// What can be common or an environment's own.
#[derive(Debug)]
pub struct Set {
    pub connections: Vec<(Written<String>, Connection)>,
    pub variables: Vec<(String, Written<Value>)>,
    pub pools: Vec<(Written<String>, Pool)>,
}

#[derive(Debug)]
pub struct Connection {
    pub conn_type: Text,
    pub host: Text,
    pub port: Option<Written<i64>>,
    pub schema: Text,
    pub login: Text,
    pub extra: Option<Written<Value>>,
    pub description: Text,
    pub secret: Text,
    /// Only read to be refused.
    pub password: Option<Written<Value>>,
}

#[derive(Debug)]
pub struct Pool {
    pub slots: Option<Written<i64>>,
    pub description: Text,
    pub include_deferred: Option<Written<bool>>,
}

impl File {
    /// Reads what fits and reports what does not.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn parse(text: &str, problems: &mut Problems) -> Result<Self, Reported> {
        document::read(text, problems, |table| Self {
            common: Set::read(table),
            environments: table.each("environments", Set::read),
        })
    }
}

impl Set {
    fn read(table: &mut Table) -> Self {
        Self {
            connections: table.each("connections", Connection::read),
            variables: table.values("variables"),
            pools: table.each("pools", Pool::read),
        }
    }
}

impl Connection {
    /// Also knows what `airflow_settings.yaml` calls the fields.
    fn read(table: &mut Table) -> Self {
        for (old, new) in [
            ("conn_host", "host"),
            ("conn_port", "port"),
            ("conn_schema", "schema"),
            ("conn_login", "login"),
            ("conn_extra", "extra"),
        ] {
            table.renamed(old, new);
        }
        let old_password = table.json("conn_password");
        Self {
            conn_type: table.string("conn_type"),
            host: table.string("host"),
            port: table.integer("port"),
            schema: table.string("schema"),
            login: table.string("login"),
            extra: table.json("extra"),
            description: table.string("description"),
            secret: table.string("secret"),
            password: table.json("password").or(old_password),
        }
    }
}

impl Pool {
    fn read(table: &mut Table) -> Self {
        table.renamed("pool_slot", "slots");
        table.renamed("pool_description", "description");
        Self {
            slots: table.integer("slots"),
            description: table.string("description"),
            include_deferred: table.boolean("include_deferred"),
        }
    }
}
