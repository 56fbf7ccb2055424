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
}

impl Engine {
    pub const ALL: [Self; 1] = [Self::Ec2];

    /// The word in environment files, release records and folder names.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
        }
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
