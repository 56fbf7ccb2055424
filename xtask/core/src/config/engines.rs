//! Keys that only some engines have.

use crate::model::engine::Engine;

/// A key or table that other engines do not have.
struct Own {
    /// Dotted; `*` stands for the name of a worker set.
    key: &'static str,
    engines: &'static [Engine],
    /// What people do about it in a file of another engine.
    cure: &'static str,
}

const HOSTS: &[Engine] = &[Engine::Ec2];
const TASKS: &[Engine] = &[Engine::Fargate, Engine::EcsEc2];
const FARGATE: &[Engine] = &[Engine::Fargate];
const INSTANCES: &[Engine] = &[Engine::EcsEc2];
/// Where each worker set has capacity of its own.
const OWN_CAPACITY: &[Engine] = &[Engine::Ec2, Engine::Fargate];

/// The first that fits counts.
const OWN: &[Own] = &[
    own("hosts.image", HOSTS, "remove it: components run from the container image, see `[image]`"),
    own("hosts.image_parameter", HOSTS, "remove it: components run from the container image, see `[image]`"),
    own("hosts.packages", HOSTS, "set `packages` under `[image]` instead"),
    own(
        "hosts.drain_minutes",
        HOSTS,
        "remove it: workers end their tasks before they stop, however long these take",
    ),
    own("hosts.api_server.on_scheduler", HOSTS, "remove it: every component has a service of its own"),
    own("hosts.api_server", HOSTS, "set `cpu`, `memory` and `count` under `[services.api_server]` instead"),
    own("hosts.scheduler", HOSTS, "set `cpu`, `memory` and `count` under `[services.scheduler]` instead"),
    own(
        "broker.image",
        TASKS,
        "remove it: on `ec2` the broker is not a task; set `engine = \"fargate\"` or `engine = \"ecs-ec2\"`",
    ),
    own("broker.flower", TASKS, "remove it, or set `engine = \"fargate\"` or `engine = \"ecs-ec2\"`"),
    own("cluster.insights", TASKS, "remove it, or set `engine = \"fargate\"` or `engine = \"ecs-ec2\"`"),
    own("logs.archive", TASKS, "remove it, or set `engine = \"fargate\"` or `engine = \"ecs-ec2\"`"),
    own("cluster", INSTANCES, "remove it, or set `engine = \"ecs-ec2\"`, whose cluster has instances"),
    own(
        "executors",
        TASKS,
        "remove it: on hosts, tasks run on Celery workers; set `engine = \"fargate\"` or `engine = \"ecs-ec2\"` for the executor `ecs`",
    ),
    own(
        "ecs_executor",
        TASKS,
        "remove it: on hosts, tasks run on Celery workers; set `engine = \"fargate\"` or `engine = \"ecs-ec2\"` for the executor `ecs`",
    ),
    own("services", TASKS, "remove it, or set `engine = \"fargate\"` or `engine = \"ecs-ec2\"`"),
    own(
        "tasks",
        TASKS,
        "remove it, or set `engine = \"fargate\"` or `engine = \"ecs-ec2\"`: on `ec2` there is no ECS to run it",
    ),
    own("workers.*.instance_type", HOSTS, "set `cpu` and `memory` instead"),
    own("workers.*.more_instance_types", HOSTS, "set `cpu` and `memory` instead"),
    own(
        "workers.*.volume_gib",
        HOSTS,
        "remove it: `ephemeral_gib` on `fargate` and `cluster.volume_gib` on `ecs-ec2` are the room for files",
    ),
    own("workers.*.on_scheduler", HOSTS, "remove it: every worker set has a service of its own"),
    own("workers.*.rollout", HOSTS, "remove it: ECS starts new workers before old ones stop"),
    own("workers.*.cpu", TASKS, "set `instance_type` instead"),
    own("workers.*.memory", TASKS, "set `instance_type` instead"),
    own(
        "workers.*.ephemeral_gib",
        FARGATE,
        "remove it: `workers.*.volume_gib` on `ec2` and `cluster.volume_gib` on `ecs-ec2` are the room for files",
    ),
    own(
        "workers.*.spot_percent",
        OWN_CAPACITY,
        "set it under `[cluster]` instead: worker sets share its instances",
    ),
    own(
        "workers.*.on_demand_base",
        OWN_CAPACITY,
        "remove it: worker sets share the instances of the cluster",
    ),
];

const fn own(key: &'static str, engines: &'static [Engine], cure: &'static str) -> Own {
    Own { key, engines, cure }
}

impl Own {
    /// Whether it is this key, or the table that the key is in.
    fn covers(&self, key: &str) -> bool {
        let mut parts = key.split('.');
        self.key.split('.').all(|part| parts.next().is_some_and(|given| part == "*" || part == given))
    }
}

/// What to do about a key that means nothing to this engine.
#[must_use]
pub fn cure(key: &str, engine: Engine) -> Option<&'static str> {
    let own = OWN.iter().find(|own| own.covers(key))?;
    (!own.engines.contains(&engine)).then_some(own.cure)
}

/// Whether an environment on this engine can have the key.
#[must_use]
pub fn has_key(engine: Engine, key: &str) -> bool {
    cure(key, engine).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn every_key_is_one_of_some_engine_and_every_rule_is_about_a_key() {
        let keys = keys();
        for key in &keys {
            assert!(Engine::ALL.into_iter().any(|engine| has_key(engine, key)), "{key}");
        }
        for own in OWN {
            assert!(keys.iter().any(|key| own.covers(key)), "{} is no key", own.key);
        }
    }

    #[test]
    fn engines_differ_in_what_they_run_on_alone() {
        let of = |engine, key| has_key(engine, key);
        for key in ["aws.account", "hosts.architecture", "workers.big.concurrency", "workers.cluster.min"] {
            assert!(Engine::ALL.into_iter().all(|engine| of(engine, key)), "{key}");
        }
        for (key, having) in [
            ("hosts.api_server.count", [true, false, false]),
            ("services.triggerer.cpu", [false, true, true]),
            ("cluster.insights", [false, true, true]),
            ("cluster.max", [false, false, true]),
            ("workers.big.cpu", [false, true, true]),
            ("workers.big.spot_percent", [true, true, false]),
            ("workers.big.ephemeral_gib", [false, true, false]),
        ] {
            assert_eq!(Engine::ALL.map(|engine| of(engine, key)), having, "{key}");
        }
    }
}
