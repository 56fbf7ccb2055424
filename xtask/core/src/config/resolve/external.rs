//! External tasks: each with one source of its image, of a size that its engine offers.

use super::check::{at, flag};
use super::env;
use super::hosts::permissions;
use super::tasks::Room;
use crate::config::document::Written;
use crate::config::environment::Compute;
use crate::config::external::{ExternalTask, Origin};
use crate::config::file;
use crate::config::hosts::WorkerSet;
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::values::{FolderPath, ForeignImage, TaskName, TaskSize};
use crate::model::engine::Engine;

/// The smallest that Fargate has with memory enough for Python and some packages.
const SIZE: TaskSize = TaskSize::new(256, 512);
/// Each takes a part of what one parameter of a stack can hold.
const MOST_TASKS: usize = 15;
/// What a folder runs unless it says otherwise.
const COMMAND: [&str; 2] = ["python", "main.py"];

/// All external tasks, sorted by name. `shared` tells whether there is a shared folder.
pub fn tasks(
    written: &file::ExternalTasks,
    engine: Result<Engine, Reported>,
    compute: Option<&(Compute, Vec<WorkerSet>)>,
    shared: Option<bool>,
    problems: &mut Problems,
) -> Result<Vec<ExternalTask>, Reported> {
    // On other engines, the key itself has been refused.
    let Some(engine) = engine.ok().filter(|engine| engine.is_ecs()) else { return Ok(Vec::new()) };
    let instances = match compute {
        Some((Compute::Tasks(tasks), _)) => tasks.capacity.instances(),
        _ => None,
    };
    let room = Room { engine, instances };
    let mut found: Vec<(&Written<String>, ExternalTask)> = Vec::new();
    let mut outcome = Ok(());
    for (name, keys) in &written.0 {
        match task(name, keys, room, shared, problems) {
            Ok(task) => found.push((name, task)),
            Err(reported) => outcome = Err(reported),
        }
    }
    if let Some((name, _)) = written.0.get(MOST_TASKS) {
        let message = format!("too many tasks: {}, the limit is {MOST_TASKS}", written.0.len());
        problems.invalid(
            &name.location,
            Refusal::new(message, "remove some of them, or have one run several commands"),
        );
    }
    found.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    for (index, (name, later)) in found.iter().enumerate() {
        for (_, earlier) in found.iter().take(index).filter(|(_, one)| one.stack() == later.stack()) {
            let (a, b, stack) = (&earlier.name, &later.name, later.stack());
            let message = format!("`{a}` and `{b}` would become the same stack, `{stack}`");
            problems.conflict(&name.location, message, "rename one of the two");
        }
    }
    outcome?;
    Ok(found.into_iter().map(|(_, task)| task).collect())
}

fn task(
    name: &Written<String>,
    written: &file::ExternalTask,
    room: Room,
    shared: Option<bool>,
    problems: &mut Problems,
) -> Result<ExternalTask, Reported> {
    let size = room.size(&written.cpu, &written.memory, SIZE, problems);
    let origin = origin(name, written, problems);
    let permissions = permissions(&written.managed_policies, &written.policies, problems);
    let environment = env::env(&written.environment, problems);
    let command = command(written, problems);
    let files = flag(&written.files, false);
    if let Some(location) = at(&written.files).filter(|_| files && shared == Some(false)) {
        let hint = "set `shared = true` under `[files]`, or remove it";
        problems.conflict(location, "there is no shared folder", hint);
    }
    let parsed = problems.valid(&name.location, TaskName::parse(&name.value));
    Ok(ExternalTask {
        name: parsed?,
        origin: origin?,
        size: size?,
        command: command?,
        environment,
        files,
        permissions,
    })
}

/// A folder or an image, and not both.
fn origin(
    name: &Written<String>,
    written: &file::ExternalTask,
    problems: &mut Problems,
) -> Result<Origin, Reported> {
    let folder = problems.text(&written.folder, FolderPath::parse);
    let image = problems.text(&written.image, ForeignImage::parse);
    match (folder?, image?) {
        (Some(folder), None) => Ok(Origin::Folder(folder)),
        (None, Some(image)) => Ok(Origin::Image(image)),
        (Some(_), Some(_)) => {
            let location = at(&written.image).unwrap_or(&name.location);
            let message = "`image` and `folder` both say where the image comes from";
            Err(problems.conflict(location, message, "remove one of the two"))
        }
        (None, None) => {
            let hint = "add `folder`, which an image is built from, or `image`, which somebody else has made";
            Err(problems.conflict(&name.location, "nothing says where the image comes from", hint))
        }
    }
}

/// The words as they are: what is repeated or empty may be meant.
fn command(written: &file::ExternalTask, problems: &mut Problems) -> Result<Vec<String>, Reported> {
    match &written.command {
        Some(command) if command.value.is_empty() => {
            let hint = "write the program and its arguments, or remove it";
            Err(problems.invalid(&command.location, Refusal::new("the command is empty", hint)))
        }
        Some(command) => Ok(command.value.clone()),
        None if written.folder.is_some() => Ok(COMMAND.map(str::to_owned).to_vec()),
        None => Ok(Vec::new()),
    }
}
