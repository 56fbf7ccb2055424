//! What a release does to an environment that runs on another engine: what is replaced, and what is kept.

use crate::model::engine::Engine;
use crate::model::release::Release;
use serde::Serialize;

/// What every engine has in common, so no change of it touches them.
pub const KEPT: &str = "database, broker, secrets, logs and bundles";

/// For how long CloudFormation waits for workers that protect themselves, before it gives up on hosts and on services.
/// See "Known limits" in `templates/README.md`.
const HOSTS_MAY_TAKE: &str = "an hour";
const SERVICES_MAY_TAKE: &str = "three hours";

/// From one engine to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EngineChange {
    pub from: Engine,
    pub to: Engine,
}

impl EngineChange {
    /// Of the release that runs and the one that is to; none on the same engine.
    #[must_use]
    pub fn between(old: Option<&Release>, new: &Release) -> Option<Self> {
        let (from, to) = (old?.engine, new.engine);
        (from != to).then_some(Self { from, to })
    }

    /// As the plan says it.
    #[must_use]
    pub fn text(self) -> String {
        let Self { from, to } = self;
        let replaced = match (from, to) {
            (Engine::Ec2, _) => "replaces the hosts by services of ECS",
            (_, Engine::Ec2) => "replaces the services of ECS by hosts",
            (_, Engine::EcsEc2) => "moves every service to hosts of the cluster",
            (..) => "moves every service to Fargate, then removes the hosts",
        };
        let patience = if from == Engine::Ec2 { HOSTS_MAY_TAKE } else { SERVICES_MAY_TAKE };
        format!(
            "changes: {from} → {to}; {replaced}, keeps {KEPT}; workers end their running tasks first, within {patience}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_says_what_is_replaced_and_what_is_kept() {
        let told = |from, to| EngineChange { from, to }.text();
        let kept = "keeps database, broker, secrets, logs and bundles; workers end their running tasks first, within";
        assert_eq!(
            told(Engine::Fargate, Engine::Ec2),
            format!("changes: fargate → ec2; replaces the services of ECS by hosts, {kept} three hours")
        );
        assert_eq!(
            told(Engine::Ec2, Engine::EcsEc2),
            format!("changes: ec2 → ecs-ec2; replaces the hosts by services of ECS, {kept} an hour")
        );
        assert_eq!(
            told(Engine::EcsEc2, Engine::Fargate),
            format!(
                "changes: ecs-ec2 → fargate; moves every service to Fargate, then removes the hosts, {kept} three hours"
            )
        );
    }
}
