//! The image of an external task: a folder of the project, and the packages that its lock names.

use super::Kind;
use super::project::with_folders;
use crate::doors::archive::layer::Member;
use crate::doors::archive::{Entry, Mode};
use crate::doors::fs;
use crate::fail::{Fail, Problem, Result};
use crate::model::image::{Start, places};
use crate::observe::tree::{self, Content, Modes, Source};
use std::path::Path;

/// Where the folder is in the image, and where its command begins.
const PLACE: &str = "opt/ductwork/task";
/// The first that is there is installed.
const LOCKS: [&str; 2] = ["requirements.lock", "requirements.txt"];

/// What the image of the task `name` is made of.
///
/// # Errors
/// What is wrong with its requirements.
pub fn kind(root: &Path, name: &str, folder: &str) -> Result<Kind> {
    let lock = lock(root, folder).map_err(|problem| refused(vec![problem]))?;
    Ok(Kind {
        title: name.to_owned(),
        paths: vec![folder.to_owned()],
        locks: lock.into_iter().collect(),
        start: start(),
    })
}

/// The files of its layer, sorted.
///
/// # Errors
/// All that is missing or cannot be packed, together.
pub fn members(root: &Path, folder: &str) -> Result<Vec<Member>> {
    let mut problems = Vec::new();
    let entries = entries(root, folder, &mut problems);
    if !problems.is_empty() {
        problems.extend(tree::unreadable(root, &entries));
        return Err(refused(problems));
    }
    let files = entries.into_iter().map(|Entry { name, source, stat, mode }| {
        Member::file(format!("{PLACE}/{name}"), source, stat, mode == Mode::Program)
    });
    Ok(with_folders(files.collect()))
}

/// All that keeps an image from being made of the folder.
#[must_use]
pub fn problems(root: &Path, folder: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    entries(root, folder, &mut problems);
    if problems.is_empty() {
        problems.extend(lock(root, folder).err());
    }
    problems
}

fn entries(root: &Path, folder: &str, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let source = Source { folder, prefix: "", modes: Modes::Programs, content: Content::Users };
    tree::read(root, &[source], problems)
}

fn refused(problems: Vec<Problem>) -> Fail {
    Fail::problems("cannot make the image of an external task", problems)
}

/// What is installed, if anything is. Without checksums, the same folder would not make the same image.
fn lock(root: &Path, folder: &str) -> std::result::Result<Option<String>, Problem> {
    let names = LOCKS.map(|file| format!("{folder}/{file}"));
    let Some(name) = names.iter().find(|name| root.join(name).is_file()) else { return Ok(None) };
    let text = fs::read_to_string(&root.join(name)).map_err(|fail| {
        Problem::new("unreadable", name, fail.to_string(), format!("make it readable: chmod u+r '{name}'"))
    })?;
    if is_locked(&text) {
        return Ok(Some(name.clone()));
    }
    let cure = format!(
        "lock it: uv pip compile --generate-hashes --universal {folder}/requirements.txt -o {folder}/{}",
        LOCKS[0]
    );
    Err(Problem::new("not_locked", name, "names packages without their checksums", cure))
}

/// Whether every requirement has a checksum, on its own line or on one that continues it.
fn is_locked(text: &str) -> bool {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '-']));
    lines.into_iter().all(|line| line.contains("--hash="))
}

/// No init and no entry point: the task definition asks ECS for the one, and names the command.
fn start() -> Start {
    let root = |place: &str| format!("/{place}");
    let variables = [
        ("HOME", "/tmp"),
        ("LANG", "C.UTF-8"),
        // The user has a number and no name.
        ("LOGNAME", "task"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        // Lines are in the log when they are written.
        ("PYTHONUNBUFFERED", "1"),
        ("USER", "task"),
    ];
    let (user, group) = places::OWNER;
    Start {
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        path: vec![format!("{}/bin", root(places::VENV))],
        user: format!("{user}:{group}"),
        folder: root(PLACE),
        volumes: vec![root("tmp")],
        ..Start::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_may_have_no_requirements_but_none_without_checksums() {
        let project = fs::scratch_dir(&std::env::temp_dir()).unwrap();
        let write = |name: &str, text: &str| fs::write(&project.path().join(name), text.as_bytes()).unwrap();
        let told =
            || problems(project.path(), "tasks/a").into_iter().map(|one| one.location).collect::<Vec<_>>();
        assert_eq!(told(), ["tasks/a"], "there is no such folder");
        write("tasks/a/main.py", "");
        assert!(told().is_empty() && lock(project.path(), "tasks/a").unwrap().is_none());
        write("tasks/a/requirements.txt", "# of the report\nclick\n");
        assert_eq!(told(), ["tasks/a/requirements.txt"]);
        write("tasks/a/requirements.lock", "--only-binary :all:\nclick==8.1 \\\n    --hash=sha256:00\n");
        assert_eq!(lock(project.path(), "tasks/a").unwrap().unwrap(), "tasks/a/requirements.lock");
        let names: Vec<String> =
            members(project.path(), "tasks/a").unwrap().into_iter().map(|member| member.name).collect();
        assert!(names.contains(&"opt/ductwork/task/main.py".to_owned()), "{names:?}");
    }
}
