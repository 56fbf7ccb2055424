//! Services on ECS, the size of their tasks, and the instances of a cluster.

use super::check::{at, flag};
use super::defaults::Defaults;
use super::executors;
use super::hosts::{instance_type, more_types, permissions};
use crate::config::file::{self, File, Number};
use crate::config::problems::{Location, Problems, Reported};
use crate::config::tasks::{Capacity, Instances, ManagedInstances, Service, Tasks};
use crate::config::values::{Architecture, Insights, InstanceType, LoadBalancer, Size, TaskSize};
use crate::model::engine::Engine;
use std::ops::RangeInclusive;

/// Airflow's API server takes about 1 GiB, and as much again while a page of many runs is made.
const API_SERVER: TaskSize = TaskSize::new(512, 2048);
/// Its loop needs a vCPU to itself as soon as there is something to do; the scaler is in the same task.
const SCHEDULER: TaskSize = TaskSize::new(1024, 2048);
/// Two processes that each import what the files of DAGs import.
const DAG_PROCESSOR: TaskSize = TaskSize::new(512, 2048);
/// It waits for what others do.
const TRIGGERER: TaskSize = TaskSize::new(512, 1024);
/// Each of the four task slots has a supervisor and a process of the task.
pub const WORKER: TaskSize = TaskSize::new(1024, 4096);

/// What ECS takes as the size of a task that no Fargate has to offer.
const CPU: RangeInclusive<u32> = 128..=196_608;
const MEMORY: RangeInclusive<u32> = 128..=25_165_824;
/// As large as the snapshot in the image of ECS.
const VOLUME_GIB: u32 = 30;
const MOST_INSTANCES: u32 = 100;
/// Twice what the components and one worker take, because a rollout starts new tasks before old ones stop.
const INSTANCES: u32 = 4;

pub fn tasks(
    file: &File,
    engine: Engine,
    defaults: Defaults,
    architecture: Result<Architecture, Reported>,
    balancer: Option<LoadBalancer>,
    problems: &mut Problems,
) -> Result<Tasks, Reported> {
    let insights = problems.choice(&file.cluster.insights, Insights::parse, Insights::Enabled);
    let capacity = capacity(&file.cluster, engine, defaults, architecture.ok(), problems);
    let room = Room { engine, instances: capacity.as_ref().ok().and_then(Capacity::instances) };
    let single = balancer == Some(LoadBalancer::None);
    let count = if single { 1 } else { defaults.hosts() };
    let written = &file.services;
    let api_server =
        Kind { size: API_SERVER, count, range: 1..=10 }.resolve(&plain(&written.api_server), room, problems);
    let api_server_max = most(&written.api_server, api_server.as_ref().ok(), problems);
    one_without_balancer(&written.api_server, single, problems);
    let executors = executors::executors(file, problems);
    let ecs_executor = executors::ecs_executor(file, room, problems);
    if let Ok(executors) = &executors {
        executors::only_their_own_tables(file, executors, problems);
    }
    let count = defaults.hosts();
    let scheduler = Kind { size: SCHEDULER, count, range: 1..=4 }.resolve(&written.scheduler, room, problems);
    let dag_processor =
        Kind { size: DAG_PROCESSOR, count, range: 1..=4 }.resolve(&written.dag_processor, room, problems);
    let triggerer = Kind { size: TRIGGERER, count, range: 1..=4 }.resolve(&written.triggerer, room, problems);
    Ok(Tasks {
        architecture: architecture?,
        insights: insights?,
        log_archive: flag(&file.logs.archive, false),
        capacity: capacity?,
        api_server: api_server?,
        api_server_max: api_server_max?,
        scheduler: scheduler?,
        dag_processor: dag_processor?,
        triggerer: triggerer?,
        executors: executors?,
        ecs_executor: ecs_executor?,
    })
}

/// What the table of the API server has in common with those of other services.
fn plain(written: &file::ApiService) -> file::Service {
    file::Service {
        cpu: written.cpu.clone(),
        memory: written.memory.clone(),
        count: written.count.clone(),
        managed_policies: written.managed_policies.clone(),
        policies: written.policies.clone(),
    }
}

/// To which the API server may grow. Without it, as many as there are anyway.
fn most(
    written: &file::ApiService,
    service: Option<&Service>,
    problems: &mut Problems,
) -> Result<u32, Reported> {
    let max = problems.number(&written.max_count, 1..=10, "tasks")?;
    let count = service.map_or(1, |service| service.count);
    match (at(&written.max_count), max) {
        (Some(location), Some(max)) if max < count => {
            let message = format!("{max} is less than `count`, which is {count}");
            Err(problems.conflict(location, message, format!("use {count} or more, or lower `count`")))
        }
        (_, max) => Ok(max.unwrap_or(count)),
    }
}

fn one_without_balancer(written: &file::ApiService, single: bool, problems: &mut Problems) {
    for number in [&written.count, &written.max_count].into_iter().flatten() {
        if single && number.value > 1 {
            let hint = "set `load_balancer` to `\"internal\"` or `\"internet_facing\"` under `[entry]`, or remove it";
            problems.conflict(&number.location, "more than one API server requires a load balancer", hint);
        }
    }
}

/// The defaults and limits of one service.
struct Kind {
    size: TaskSize,
    count: u32,
    range: RangeInclusive<u32>,
}

impl Kind {
    fn resolve(
        self,
        written: &file::Service,
        room: Room,
        problems: &mut Problems,
    ) -> Result<Service, Reported> {
        let size = room.size(&written.cpu, &written.memory, self.size, problems);
        let count = problems.number_or(&written.count, self.count, self.range, "tasks");
        let permissions = permissions(&written.managed_policies, &written.policies, problems);
        Ok(Service { size: size?, count: count?, permissions })
    }
}

fn capacity(
    written: &file::Cluster,
    engine: Engine,
    defaults: Defaults,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) -> Result<Capacity, Reported> {
    match engine {
        Engine::EcsEc2 if flag(&written.managed, false) => managed(written, problems).map(Capacity::Managed),
        Engine::EcsEc2 => instances(written, defaults, architecture, problems).map(Capacity::Instances),
        Engine::Fargate | Engine::Ec2 => Ok(Capacity::Fargate),
    }
}

/// ECS decides which instances there are, and how many.
fn managed(written: &file::Cluster, problems: &mut Problems) -> Result<ManagedInstances, Reported> {
    let keys = [
        ("instance_type", at(&written.instance_type)),
        ("more_instance_types", at(&written.more_instance_types)),
        ("min", at(&written.min)),
        ("max", at(&written.max)),
        ("spot_percent", at(&written.spot_percent)),
    ];
    let mut outcome = Ok(());
    for (key, location) in keys {
        if let Some(location) = location {
            let message = format!("`{key}` has no effect with `managed = true`");
            let hint =
                "remove it: ECS chooses the instances, as many as the containers need; or remove `managed`";
            outcome = Err(problems.conflict(location, message, hint));
        }
    }
    let volume_gib = problems.number_or(&written.volume_gib, VOLUME_GIB, VOLUME_GIB..=16_384, "GiB");
    outcome?;
    Ok(ManagedInstances { volume_gib: volume_gib? })
}

fn instances(
    written: &file::Cluster,
    defaults: Defaults,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) -> Result<Instances, Reported> {
    let first = instance_type(&written.instance_type, architecture, Size::Large, problems);
    let more = more_types(&written.more_instance_types, first.as_ref().ok(), architecture, problems);
    let min = problems.number_or(&written.min, defaults.hosts(), 0..=MOST_INSTANCES, "instances");
    let max = problems.number(&written.max, 1..=MOST_INSTANCES, "instances");
    let spot_percent = problems.number_or(&written.spot_percent, 0, 0..=100, "percent");
    let volume_gib = problems.number_or(&written.volume_gib, VOLUME_GIB, VOLUME_GIB..=16_384, "GiB");
    let (min, max) = (min?, max?);
    if let (Some(location), Some(max)) = (at(&written.max), max.filter(|max| *max < min)) {
        let message = format!("{max} is less than `min`, which is {min}");
        problems.conflict(location, message, format!("use {min} or more, or lower `min`"));
    }
    Ok(Instances {
        instance_type: first?,
        more_instance_types: more,
        min,
        max: max.unwrap_or(min.max(defaults.hosts() * INSTANCES)),
        spot_percent: spot_percent?,
        volume_gib: volume_gib?,
    })
}

/// What limits the size of a task: what Fargate offers, or an instance.
#[derive(Clone, Copy)]
pub struct Room<'a> {
    pub engine: Engine,
    /// None if there are none, or something is wrong with them.
    pub instances: Option<&'a Instances>,
}

impl Room<'_> {
    /// The size that is written, or as much of the default as goes with it.
    pub fn size(
        self,
        cpu: &Number,
        memory: &Number,
        default: TaskSize,
        problems: &mut Problems,
    ) -> Result<TaskSize, Reported> {
        if self.engine == Engine::Fargate {
            return fargate(cpu, memory, default, problems);
        }
        let units = problems.number_or(cpu, default.cpu, CPU, "CPU units");
        let mib = problems.number_or(memory, default.memory, MEMORY, "MiB");
        let size = TaskSize::new(units?, mib?);
        if let Some(instances) = self.instances {
            fits(size, &instances.instance_type, location(cpu, memory), problems);
        }
        Ok(size)
    }
}

fn location<'w>(cpu: &'w Number, memory: &'w Number) -> Option<&'w Location> {
    at(memory).or(at(cpu))
}

/// The two are judged together: what is offered of one depends on the other.
fn fargate(
    cpu: &Number,
    memory: &Number,
    default: TaskSize,
    problems: &mut Problems,
) -> Result<TaskSize, Reported> {
    let units = problems.number(cpu, TaskSize::FARGATE_CPU, "CPU units");
    let mib = problems.number(memory, TaskSize::FARGATE_MEMORY, "MiB");
    let size = match (units?, mib?) {
        (Some(cpu), Some(memory)) => TaskSize::new(cpu, memory),
        (Some(cpu), None) => default.with_cpu(cpu),
        (None, Some(memory)) => default.with_memory(memory),
        (None, None) => default,
    };
    problems.valid(location(cpu, memory).unwrap_or(&Location::default()), size.fargate())
}

/// Reports a task that no instance has room for. The operating system takes some of the memory.
fn fits(size: TaskSize, chosen: &InstanceType, location: Option<&Location>, problems: &mut Problems) {
    let Some(has) = chosen.size().filter(|has| size.cpu > has.cpu || size.memory >= has.memory) else {
        return;
    };
    let message = format!(
        "a task with {} CPU units and {} MiB does not fit on a `{chosen}`, which has {} and less than {}",
        size.cpu, size.memory, has.cpu, has.memory
    );
    let unwritten = Location::missing("cluster.instance_type");
    let hint = "use less, or set a larger `instance_type` under `[cluster]`";
    problems.conflict(location.unwrap_or(&unwritten), message, hint);
}
