//! Choices between a few words, as the file writes them and as the templates do.

use super::super::document::{list, nearest};
use super::super::problems::Wrong;

/// An enumeration with the word of each value in the file and, where it differs, in parameters.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $what:literal, $($value:ident $word:literal $(as $parameter:literal)?),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($value,)*
        }

        impl $name {
            pub fn parse(text: &str) -> Result<Self, Wrong> {
                match text {
                    $($word => Ok(Self::$value),)*
                    _ => Err(no_choice(text, $what, &[$($word),*])),
                }
            }

            /// The word in parameters.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => choice!(@ $word $(as $parameter)?),)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
    (@ $word:literal as $parameter:literal) => { $parameter };
    (@ $word:literal) => { $word };
}

fn no_choice(text: &str, what: &str, words: &[&str]) -> Wrong {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let hint = match nearest(text, &words) {
        Some(near) => format!("write `{near}` if that is what you mean"),
        None => format!("write {}", list(&words)),
    };
    Wrong::new(format!("`{text}` is no {what}"), hint)
}

choice! {
    /// What Airflow runs on.
    Engine, "engine; `ec2` is the only one so far",
    // Auto Scaling groups and CodeDeploy.
    Ec2 "ec2",
}

choice! {
    /// What the processors of the hosts are.
    Architecture, "architecture of EC2",
    // Intel and AMD.
    X86 "x86_64",
    // Graviton.
    Arm "arm64",
}

choice! {
    /// How private subnets reach the internet.
    Nat, "way out of private subnets",
    // Not at all: hosts live in public subnets.
    None "none",
    Single "single",
    PerZone "per_zone" as "per-zone",
}

choice! {
    /// Who reaches the load balancer, if there is one.
    LoadBalancer, "kind of load balancer",
    None "none",
    Internal "internal",
    InternetFacing "internet_facing" as "internet-facing",
}

choice! {
    /// What keeps Airflow's metadata.
    DatabaseEngine, "database engine",
    Postgres "postgres",
    AuroraPostgres "aurora_postgres" as "aurora-postgresql",
    Mysql "mysql",
    // One that this tool does not make, by its URL.
    Existing "existing",
}

choice! {
    /// What carries tasks from schedulers to workers.
    BrokerKind, "kind of broker",
    Sqs "sqs",
    Valkey "valkey",
}

choice! {
    /// How many hosts of a group a rollout takes at once, in CodeDeploy's own words.
    Pace, "pace of a rollout",
    OneAtATime "one_at_a_time" as "CodeDeployDefault.OneAtATime",
    HalfAtATime "half_at_a_time" as "CodeDeployDefault.HalfAtATime",
    AllAtOnce "all_at_once" as "CodeDeployDefault.AllAtOnce",
}

choice! {
    /// How people log in.
    LoginMethod, "way to log in",
    Password "password",
    Google "google",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_file_and_of_parameters() {
        assert_eq!(Nat::parse("per_zone").unwrap().as_str(), "per-zone");
        assert_eq!(LoadBalancer::parse("internal").unwrap().as_str(), "internal");
        assert_eq!(
            DatabaseEngine::parse("postgresql").unwrap_err().hint,
            "write `postgres` if that is what you mean"
        );
        assert_eq!(BrokerKind::parse("kafka").unwrap_err().hint, "write `sqs` or `valkey`");
        assert_eq!(
            LoadBalancer::parse("internet-facing").unwrap_err().hint,
            "write `internet_facing` if that is what you mean"
        );
        assert!(Engine::parse("EC2").is_err());
    }
}
