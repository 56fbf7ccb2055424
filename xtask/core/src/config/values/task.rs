//! The size of a task on ECS: what Fargate offers. An instance takes any that it has room for.

use crate::config::problems::Refusal;
use std::ops::RangeInclusive;

/// What a task may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskSize {
    /// In CPU units, of which a vCPU has 1024.
    pub cpu: u32,
    /// In MiB.
    pub memory: u32,
}

/// The CPU units that a task on Fargate can have.
const CPUS: [u32; 7] = [256, 512, 1024, 2048, 4096, 8192, 16_384];

/// What Fargate offers with these CPU units, in MiB
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html>).
fn memories(cpu: u32) -> Vec<u32> {
    let (least, most, step) = match cpu {
        256 => return vec![512, 1024, 2048],
        512 => (1024, 4096, 1024),
        1024 => (2048, 8192, 1024),
        2048 => (4096, 16_384, 1024),
        4096 => (8192, 30_720, 1024),
        8192 => (16_384, 61_440, 4096),
        16_384 => (32_768, 122_880, 8192),
        _ => return Vec::new(),
    };
    (least..=most).step_by(step).collect()
}

/// The values next to the one that is wanted, below and above; it alone if it is among them.
fn neighbours(sorted: &[u32], wanted: u32) -> Vec<u32> {
    let below = sorted.iter().rev().find(|value| **value <= wanted);
    let above = sorted.iter().find(|value| **value >= wanted);
    let mut found: Vec<u32> = below.into_iter().chain(above).copied().collect();
    found.dedup();
    found
}

/// The CPU units nearest to these among those that come with so much memory.
fn with_memory(cpu: u32, memory: u32) -> Option<u32> {
    let has = |cpu: &&u32| {
        let offered = memories(**cpu);
        offered.first().is_some_and(|least| *least <= memory) && offered.last() >= Some(&memory)
    };
    CPUS.iter().filter(has).min_by_key(|known| known.abs_diff(cpu)).copied()
}

impl TaskSize {
    /// The least and the most that Fargate has.
    pub const FARGATE_CPU: RangeInclusive<u32> = 256..=16_384;
    pub const FARGATE_MEMORY: RangeInclusive<u32> = 512..=122_880;

    #[must_use]
    pub const fn new(cpu: u32, memory: u32) -> Self {
        Self { cpu, memory }
    }

    /// A size that Fargate offers.
    ///
    /// # Errors
    /// It does not; the cure names the nearest that it does.
    pub fn fargate(self) -> Result<Self, Refusal> {
        if memories(self.cpu).contains(&self.memory) {
            return Ok(self);
        }
        let Self { cpu, memory } = self;
        let message = format!("Fargate has no tasks with {cpu} CPU units and {memory} MiB");
        let nearest: Vec<String> = self.nearest().iter().map(ToString::to_string).collect();
        Err(Refusal::new(message, format!("use {}", nearest.join(", or "))))
    }

    /// The sizes of Fargate next to this one, which it does not offer.
    fn nearest(self) -> Vec<Self> {
        let mut cpus = neighbours(&CPUS, self.cpu);
        cpus.extend(with_memory(self.cpu, self.memory).filter(|cpu| !cpus.contains(cpu)));
        let at = |cpu: u32| {
            neighbours(&memories(cpu), self.memory).into_iter().map(move |memory| Self { cpu, memory })
        };
        cpus.into_iter().flat_map(at).collect()
    }

    /// The default with the CPU units that are written: as much of its memory as they come with.
    #[must_use]
    pub fn with_cpu(self, cpu: u32) -> Self {
        let offered = memories(cpu);
        let memory = offered.first().zip(offered.last());
        Self { cpu, memory: memory.map_or(self.memory, |(least, most)| self.memory.clamp(*least, *most)) }
    }

    /// The default with the memory that is written: the CPU units nearest to its own that come with it.
    #[must_use]
    pub fn with_memory(self, memory: u32) -> Self {
        Self { cpu: with_memory(self.cpu, memory).unwrap_or(self.cpu), memory }
    }
}

impl std::fmt::Display for TaskSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`cpu = {}` with `memory = {}`", self.cpu, self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As AWS lists them: vCPUs, and the least, the most and the steps of memory in GiB.
    const LISTED: [(f64, f64, f64, f64); 6] = [
        (0.5, 1.0, 4.0, 1.0),
        (1.0, 2.0, 8.0, 1.0),
        (2.0, 4.0, 16.0, 1.0),
        (4.0, 8.0, 30.0, 1.0),
        (8.0, 16.0, 60.0, 4.0),
        (16.0, 32.0, 120.0, 8.0),
    ];

    fn listed(size: TaskSize) -> bool {
        let (cpu, gib) = (f64::from(size.cpu) / 1024.0, f64::from(size.memory) / 1024.0);
        let smallest = cpu == 0.25 && [0.5, 1.0, 2.0].contains(&gib);
        let listed = |(vcpus, least, most, step): &(f64, f64, f64, f64)| {
            cpu == *vcpus && (*least..=*most).contains(&gib) && (gib - least) % step == 0.0
        };
        smallest || LISTED.iter().any(listed)
    }

    /// Every one that could be meant, and some that nobody means.
    fn all() -> impl Iterator<Item = TaskSize> {
        let cpus = CPUS.into_iter().chain([0, 1, 128, 255, 300, 768, 1000, 3000, 12_000, 32_768, u32::MAX]);
        let memories = (0..=131_072).step_by(256).chain([1, 513, 1000, 2047, u32::MAX]).collect::<Vec<_>>();
        cpus.flat_map(move |cpu| memories.clone().into_iter().map(move |memory| TaskSize { cpu, memory }))
    }

    #[test]
    fn fargate_offers_what_aws_lists_and_nothing_else() {
        for size in all() {
            assert_eq!(size.fargate().is_ok(), listed(size), "{size}");
        }
        for size in all().filter(|size| listed(*size)) {
            assert!(
                TaskSize::FARGATE_CPU.contains(&size.cpu) && TaskSize::FARGATE_MEMORY.contains(&size.memory)
            );
        }
        assert_eq!(all().filter(|size| listed(*size)).count(), 3 + 4 + 7 + 13 + 23 + 12 + 12);
    }

    /// Nearest: of the sizes with the same CPU units, none is between it and the one that is refused.
    #[test]
    fn what_is_refused_has_its_nearest_named_and_these_are_offered() {
        for size in all().filter(|size| !listed(*size)) {
            let (nearest, hint) = (size.nearest(), size.fargate().unwrap_err().hint);
            assert!(!nearest.is_empty() && nearest.len() <= 4, "{size}: {nearest:?}");
            for near in &nearest {
                assert!(near.fargate().is_ok(), "{size}: {near}");
                assert!(hint.contains(&near.to_string()), "{size}: {hint}");
            }
            let range = |near: &TaskSize| {
                let away = near.memory.abs_diff(size.memory);
                memories(near.cpu).into_iter().all(|other| {
                    (other < size.memory) != (near.memory < size.memory)
                        || other.abs_diff(size.memory) >= away
                })
            };
            assert!(nearest.iter().all(range), "{size}: {nearest:?}");
            let same = nearest.iter().filter(|near| near.cpu == size.cpu).count();
            assert_eq!(same > 0, CPUS.contains(&size.cpu), "{size}: {nearest:?}");
        }
    }

    #[test]
    fn the_cure_is_what_people_could_have_meant() {
        let hint = |cpu, memory| TaskSize { cpu, memory }.fargate().unwrap_err().hint;
        assert_eq!(
            hint(512, 1536),
            "use `cpu = 512` with `memory = 1024`, or `cpu = 512` with `memory = 2048`"
        );
        assert_eq!(
            hint(256, 4096),
            "use `cpu = 256` with `memory = 2048`, or `cpu = 512` with `memory = 4096`"
        );
        assert_eq!(
            hint(4096, 4096),
            "use `cpu = 4096` with `memory = 8192`, or `cpu = 2048` with `memory = 4096`"
        );
        assert_eq!(
            hint(1000, 2048),
            "use `cpu = 512` with `memory = 2048`, or `cpu = 1024` with `memory = 2048`"
        );
        assert_eq!(hint(1, 1), "use `cpu = 256` with `memory = 512`");
    }

    /// Whoever writes one of the two need not know what goes with it.
    #[test]
    fn one_of_the_two_is_enough() {
        let default = TaskSize::new(1024, 4096);
        for size in all().filter(|size| listed(*size)) {
            assert!(default.with_cpu(size.cpu).fargate().is_ok(), "{size}");
            assert!(default.with_memory(size.memory).fargate().is_ok(), "{size}");
        }
        assert_eq!(default.with_cpu(512), TaskSize::new(512, 4096));
        assert_eq!(default.with_cpu(256), TaskSize::new(256, 2048));
        assert_eq!(default.with_memory(2048), TaskSize::new(1024, 2048));
        assert_eq!(default.with_memory(16_384), TaskSize::new(2048, 16_384));
    }
}
