//! What the stack is given for services of ECS around the broker.

use super::environment::Broker;
use super::parameters::pair;

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
            pair("Flower", self.flower),
        ]
    }
}
