//! What runs Airflow's components: it decides the templates, the rollout and the runtime of a release.

use serde::{Deserialize, Serialize};

/// The engine of an environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Auto Scaling groups and CodeDeploy.
    #[default]
    Ec2,
}

impl Engine {
    pub const ALL: &[Engine] = &[Engine::Ec2];

    /// The word in environment files and records, and the name of its folder of templates.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Engine::Ec2 => "ec2",
        }
    }
}
