//! Choices between a few words, as the file writes them and as the templates do.

use crate::config::problems::Refusal;
use crate::config::words::{list, nearest};
use crate::model::engine::Engine;

/// An enumeration with the word of each value in the file and, if it differs, in parameters.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $what:literal, $($(#[$about:meta])* $value:ident $word:literal $(as $parameter:literal)?),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $value,)*
        }

        impl $name {
            pub fn parse(text: &str) -> Result<Self, Refusal> {
                match text {
                    $($word => Ok(Self::$value),)*
                    _ => Err(refuse(text, $what, &[$($word),*])),
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

fn refuse(text: &str, what: &str, words: &[&str]) -> Refusal {
    let hint = match nearest(text, words) {
        Some(near) if words.len() > 1 => {
            let others: Vec<&&str> = words.iter().filter(|word| *word != near).collect();
            format!("use `{near}`, or else {}", list(&others))
        }
        _ => format!("use {}", list(words)),
    };
    Refusal::new(format!("invalid {what}: `{text}`"), hint)
}

/// The engine with this word.
///
/// # Errors
/// There is no such engine; the cure names those that exist.
pub fn engine(text: &str) -> Result<Engine, Refusal> {
    let found = Engine::ALL.into_iter().find(|engine| engine.word() == text);
    found.ok_or_else(|| refuse(text, "engine", &Engine::ALL.map(Engine::word)))
}

choice! {
    /// The processor architecture of the hosts.
    Architecture, "processor architecture",
    /// Intel and AMD.
    X86 "x86_64",
    /// Graviton.
    Arm "arm64",
}

choice! {
    /// How hosts in private subnets reach the internet.
    Nat, "NAT mode",
    /// They do not exist: hosts are in public subnets.
    None "none",
    Single "single",
    PerZone "per_zone" as "per-zone",
}

choice! {
    /// Who can reach the load balancer, if there is one.
    LoadBalancer, "load balancer",
    None "none",
    Internal "internal",
    InternetFacing "internet_facing" as "internet-facing",
}

choice! {
    /// The database that keeps Airflow's metadata.
    DatabaseEngine, "database engine",
    Postgres "postgres",
    AuroraPostgres "aurora_postgres" as "aurora-postgresql",
    Mysql "mysql",
    /// A database that the stack does not create, reached by its URL.
    Existing "existing",
}

choice! {
    /// What carries tasks from the schedulers to the workers.
    BrokerKind, "broker",
    Sqs "sqs",
    /// ElastiCache.
    Valkey "valkey",
    /// A task of ECS.
    ValkeyService "valkey_service" as "valkey-service",
}

choice! {
    /// What runs the tasks of Airflow.
    Executor, "executor",
    /// The workers of worker sets.
    Celery "celery",
    /// Each is a task of ECS of its own.
    Ecs "ecs",
}

choice! {
    /// What CloudWatch records of a cluster of ECS.
    Insights, "level of Container Insights",
    Disabled "disabled",
    /// Of the cluster and its services.
    Enabled "enabled",
    /// Of each task and container as well.
    Enhanced "enhanced",
}

choice! {
    /// How many hosts of a group a rollout replaces at once, in CodeDeploy's own terms.
    Pace, "rollout pace",
    OneAtATime "one_at_a_time" as "CodeDeployDefault.OneAtATime",
    HalfAtATime "half_at_a_time" as "CodeDeployDefault.HalfAtATime",
    AllAtOnce "all_at_once" as "CodeDeployDefault.AllAtOnce",
}

choice! {
    /// What builds `airflow/Dockerfile`.
    Builder, "builder of images",
    Docker "docker",
    Podman "podman",
    Buildah "buildah",
}

impl Builder {
    /// The first that works is taken, unless the environment file names one.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Buildah];
}

choice! {
    /// How people log in.
    LoginMethod, "login method",
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
            "use `postgres`, or else `aurora_postgres`, `mysql` or `existing`"
        );
        assert_eq!(BrokerKind::parse("kafka").unwrap_err().hint, "use `sqs`, `valkey` or `valkey_service`");
        assert_eq!(
            LoadBalancer::parse("internet-facing").unwrap_err().hint,
            "use `internet_facing`, or else `none` or `internal`"
        );
    }

    #[test]
    fn an_unknown_engine_is_refused_with_those_that_exist() {
        for known in Engine::ALL {
            assert_eq!(engine(known.word()), Ok(known));
        }
        let hint = |text: &str| {
            let refusal = engine(text).unwrap_err();
            assert_eq!(refusal.message, format!("invalid engine: `{text}`"));
            refusal.hint
        };
        assert_eq!(hint("farget"), "use `fargate`, or else `ec2` or `ecs-ec2`");
        assert_eq!(hint("kubernetes"), "use `ec2`, `fargate` or `ecs-ec2`");
    }
}
