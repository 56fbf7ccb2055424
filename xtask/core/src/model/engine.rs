//! The engines: what an environment's Airflow runs on. Chosen once, by the environment file.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What Airflow runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Auto Scaling groups of EC2 instances, released by CodeDeploy.
    #[default]
    Ec2,
    /// Services of ECS on Fargate, which has no hosts to look after.
    Fargate,
    /// Services of ECS on EC2 instances of the environment's own.
    EcsEc2,
}

impl Engine {
    pub const ALL: [Self; 3] = [Self::Ec2, Self::Fargate, Self::EcsEc2];

    /// The word in environment files and release records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Fargate => "fargate",
            Self::EcsEc2 => "ecs-ec2",
        }
    }

    /// Where its templates are, under `templates/engines/`. Both kinds of ECS have most of them in common.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Fargate | Self::EcsEc2 => "ecs",
        }
    }

    /// Whether components are tasks of ECS, which run from the container image.
    #[must_use]
    pub fn is_ecs(self) -> bool {
        self != Self::Ec2
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_that_of_records() {
        for engine in Engine::ALL {
            assert_eq!(serde_json::to_string(&engine).unwrap(), format!("\"{}\"", engine.word()));
        }
    }
}
