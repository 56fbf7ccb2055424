//! What runs the tasks of Airflow, and keys that have no effect without it.

use super::hosts::permissions;
use super::tasks::Room;
use crate::config::file::File;
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::tasks::EcsExecutor;
use crate::config::values::{Executor, TaskSize};

/// As much as a worker has for each of its four tasks.
const TASK: TaskSize = TaskSize::new(512, 1024);

/// Tables that are of one executor alone.
const CELERY: [&str; 3] = ["workers", "broker", "schedule"];
const ECS: [&str; 1] = ["ecs_executor"];

/// In the order of the file. Celery alone, if nothing is written.
pub fn executors(file: &File, problems: &mut Problems) -> Result<Vec<Executor>, Reported> {
    let Some(written) = &file.executors else { return Ok(vec![Executor::Celery]) };
    if written.value.is_empty() {
        let refusal = Refusal::new("the list is empty", "list `celery`, `ecs` or both, or remove it");
        return Err(problems.invalid(&written.location, refusal));
    }
    let found = problems.texts(&file.executors, 2, Executor::parse);
    // What is wrong with the others has been reported.
    Ok(found)
}

/// Reports tables of an executor that there is not.
pub fn only_their_own_tables(file: &File, executors: &[Executor], problems: &mut Problems) {
    for (executor, tables) in [(Executor::Celery, &CELERY[..]), (Executor::Ecs, &ECS)] {
        if executors.contains(&executor) {
            continue;
        }
        for location in file.locations() {
            let (table, _) = location.key.split_once('.').unwrap_or((&location.key, ""));
            if tables.contains(&table) {
                let message = format!("`{}` has no effect without the executor `{executor}`", location.key);
                let hint = format!("remove it, or add `\"{executor}\"` to `executors`");
                problems.conflict(&location, message, hint);
            }
        }
    }
}

/// What a task is, if it overrides nothing.
pub fn ecs_executor(file: &File, room: Room, problems: &mut Problems) -> Result<EcsExecutor, Reported> {
    let written = &file.ecs_executor;
    let size = room.size(&written.cpu, &written.memory, TASK, problems);
    let permissions = permissions(&written.managed_policies, &written.policies, problems);
    Ok(EcsExecutor { size: size?, permissions })
}
