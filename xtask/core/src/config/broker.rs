//! What the stack is given for services of ECS around the broker.

use super::environment::Broker;
use super::parameters::pair;
use super::values::BrokerKind;
use crate::model::account::{Hosts, TaskDemand};
use crate::model::release::FLOWER_PARAMETER;

/// Of each task, as in `templates/engines/ecs/valkey.yaml` and `flower.yaml`.
const UNITS: u32 = 256;

impl Broker {
    /// What only services of ECS are given.
    pub(super) fn services(&self) -> Vec<(String, String)> {
        // The template puts `arn:` and the partition before it.
        let repository = self
            .image
            .in_ecr()
            .map(|[account, region, repository]| format!("{region}:{account}:repository/{repository}"));
        vec![
            pair("BrokerImage", self.image.reference().whole()),
            pair("BrokerRepository", repository.unwrap_or_default()),
            pair(FLOWER_PARAMETER, self.flower),
        ]
    }

    /// The tasks that run around the broker.
    pub(super) fn tasks(&self) -> Vec<TaskDemand> {
        let one = Hosts { on_demand: 1, spot: 0 };
        let all = [("broker.kind", self.kind == BrokerKind::ValkeyService), ("broker.flower", self.flower)];
        let wanted = all.into_iter().filter(|(_, wanted)| *wanted);
        let demand = |key: &str| TaskDemand { key: key.to_owned(), units: UNITS, first: one, most: one };
        wanted.map(|(key, _)| demand(key)).collect()
    }
}
