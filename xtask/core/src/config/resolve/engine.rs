//! What an engine runs components on, and the keys that mean something to others only.

use super::defaults::Defaults;
use super::{hosts, tasks, workers};
use crate::config::engines::cure;
use crate::config::environment::Compute;
use crate::config::file::File;
use crate::config::hosts::WorkerSet;
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::values::{Architecture, Executor, LoadBalancer};
use crate::model::engine::Engine;

/// What hosts and tasks have to match.
#[derive(Clone, Copy)]
pub struct Surroundings {
    pub engine: Result<Engine, Reported>,
    pub defaults: Defaults,
    pub architecture: Result<Architecture, Reported>,
    pub balancer: Option<LoadBalancer>,
}

/// What the components run on, and the worker sets.
pub fn compute(
    file: &File,
    around: Surroundings,
    problems: &mut Problems,
) -> Result<(Compute, Vec<WorkerSet>), Reported> {
    if let Ok(engine) = around.engine {
        only_its_own_keys(file, engine, problems);
    }
    let Surroundings { defaults, architecture, balancer, .. } = around;
    if let Some(engine) = around.engine.ok().filter(|engine| engine.is_ecs()) {
        let tasks = tasks::tasks(file, engine, defaults, architecture, balancer, problems);
        let room = tasks.as_ref().ok().and_then(|tasks| tasks.capacity.instances());
        let room = tasks::Room { engine, instances: room };
        if tasks.as_ref().is_ok_and(|tasks| !tasks.executors.contains(&Executor::Celery)) {
            return Ok((Compute::Tasks(tasks?), Vec::new()));
        }
        let sets = workers::workers(&file.workers, defaults, workers::Place::Task(room), problems);
        return Ok((Compute::Tasks(tasks?), sets?));
    }
    let hosts = hosts::hosts(&file.hosts, defaults, architecture, balancer, problems);
    let sets = workers::workers(&file.workers, defaults, workers::Place::Host(architecture.ok()), problems);
    if let (Ok(hosts), Ok(sets)) = (&hosts, &sets) {
        workers::rollouts_end(file, sets, hosts.drain, problems);
    }
    Ok((Compute::Hosts(hosts?), sets?))
}

/// Reports keys that have no effect on this engine, each with what has.
fn only_its_own_keys(file: &File, engine: Engine, problems: &mut Problems) {
    for location in file.locations() {
        if let Some(cure) = cure(&location.key, engine) {
            let name = location.key.rsplit('.').next().unwrap_or_default();
            let message = format!("`{name}` has no effect on the engine `{engine}`");
            problems.report("conflict", &location, Refusal::new(message, cure));
        }
    }
}
