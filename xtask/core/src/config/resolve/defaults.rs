//! Defaults that depend on what kind of environment it is, rather than on a single key.

use crate::config::values::{LoadBalancer, Nat};

/// What kind of environment it is.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Whether it runs on the local cloud.
    pub local: bool,
    /// Whether accesses and changes are recorded.
    pub protected: bool,
    /// Whether it must survive losing a host or a zone.
    pub high_availability: bool,
}

impl Defaults {
    /// How many hosts a component has.
    pub fn hosts(self) -> u32 {
        if self.high_availability { 2 } else { 1 }
    }

    /// Hosts of the local cloud are processes on this machine, so it needs no NAT.
    pub fn nat(self) -> Nat {
        match (self.local, self.high_availability) {
            (true, _) => Nat::None,
            (false, true) => Nat::PerZone,
            (false, false) => Nat::Single,
        }
    }

    pub fn load_balancer(self) -> LoadBalancer {
        if self.high_availability { LoadBalancer::Internal } else { LoadBalancer::None }
    }

    /// How many replicas a cache has.
    pub fn replicas(self) -> u32 {
        u32::from(self.high_availability)
    }
}
