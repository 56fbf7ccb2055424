//! Defaults that depend on what kind of environment it is, rather than on a single key.

use crate::config::values::{LoadBalancer, Nat};

/// What kind of environment it is.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Whether it runs on the local cloud.
    pub local: bool,
    /// Whether components are tasks on ECS.
    pub ecs: bool,
    /// Whether accesses and changes are recorded.
    pub protected: bool,
    /// Whether it must survive losing a host or a zone.
    pub high_availability: bool,
}

impl Defaults {
    /// How many hosts or tasks a component has.
    pub fn hosts(self) -> u32 {
        if self.high_availability { 2 } else { 1 }
    }

    /// NAT costs more than any host of a small environment, so it is left to those that need it. Hosts of
    /// the local cloud are processes on this machine.
    pub fn nat(self, balancer: Option<LoadBalancer>) -> Nat {
        match (self.local, self.high_availability) {
            (true, _) => Nat::None,
            (false, true) => Nat::PerZone,
            (false, false) if balancer == Some(LoadBalancer::InternetFacing) => Nat::Single,
            (false, false) => Nat::None,
        }
    }

    /// In a VPC of their own, people reach a single API server without one, if it has a host whose address stays
    /// the same.
    pub fn load_balancer(self, existing_vpc: bool) -> LoadBalancer {
        match self.high_availability || existing_vpc && !self.local {
            true => LoadBalancer::Internal,
            false if self.ecs && !self.local => LoadBalancer::InternetFacing,
            false => LoadBalancer::None,
        }
    }

    /// How many replicas a cache has.
    pub fn replicas(self) -> u32 {
        u32::from(self.high_availability)
    }
}
