//! What DAGs need of Airflow besides code: connections, variables and pools. Part of a release; no secret is
//! in it, only names of secrets.

use super::difference::Difference;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

type Named<T> = BTreeMap<String, T>;

/// The objects of one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objects {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connections: Named<Connection>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: Named<Variable>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: Named<Pool>,
}

/// A connection, its fields named as in Airflow's own JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conn_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The secret that holds the password, or more fields as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl Connection {
    /// This one, with what it does not say taken from the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            conn_type: self.conn_type.or(other.conn_type),
            host: self.host.or(other.host),
            port: self.port.or(other.port),
            schema: self.schema.or(other.schema),
            login: self.login.or(other.login),
            extra: self.extra.or(other.extra),
            description: self.description.or(other.description),
            secret: self.secret.or(other.secret),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variable {
    Plain(String),
    /// The secret that holds the value.
    Secret {
        secret: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Without a limit if negative, which only people can ask of Airflow.
    pub slots: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default)]
    pub include_deferred: bool,
}

/// What is added, changed and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectsDiff {
    pub connections: Difference,
    pub variables: Difference,
    pub pools: Difference,
}

impl Objects {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each secret that is named, with what needs it, such as `connections.warehouse`.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, &str)> {
        let connections = self.connections.iter().filter_map(|(id, connection)| {
            Some((format!("connections.{id}"), connection.secret.as_deref()?))
        });
        let variables = self.variables.iter().filter_map(|(key, variable)| match variable {
            Variable::Secret { secret } => Some((format!("variables.{key}"), secret.as_str())),
            Variable::Plain(_) => None,
        });
        connections.chain(variables).collect()
    }

    #[must_use]
    pub fn since(&self, old: &Self) -> ObjectsDiff {
        ObjectsDiff {
            connections: Difference::between(&old.connections, &self.connections),
            variables: Difference::between(&old.variables, &self.variables),
            pools: Difference::between(&old.pools, &self.pools),
        }
    }
}
